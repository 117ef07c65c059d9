"""When not to believe what a folder shows: nothing is deleted elsewhere because a disk went away."""

LEAST_LIVE = 50


def too_many_deletes(deleted: int, live_before: int) -> bool:
    """Whether so much would go at once that the owner has to confirm it: more than half of 50 entries or more."""
    return live_before >= LEAST_LIVE and deleted * 2 > live_before
