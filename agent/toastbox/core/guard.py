"""When not to believe what a folder shows: nothing is deleted elsewhere because a disk went away."""

LEAST_LIVE = 50
WINDOW_S = 60  # what is deleted within it is counted as one go by the hub


def too_many_deletes(deleted: int, live_before: int) -> bool:
    """Whether the owner has to confirm it: more than half of 50 entries or more would go at once."""
    return live_before >= LEAST_LIVE and deleted * 2 > live_before


class Root:
    """Which folder this is. file_system: what statfs tells of the file system; inode: of the folder."""

    __slots__ = ("file_system", "inode")

    def __init__(self, file_system: str, inode: int) -> None:
        self.file_system = file_system
        self.inode = inode


def judge_root(known: Root, seen: Root | None, visible_entries: int, indexed_entries: int) -> str:
    """Why this is not the folder that was joined, or "". visible_entries: names in it now, 0 when none."""
    if seen is None:
        return "the folder is gone, or its disk is not mounted"
    if seen.file_system != known.file_system:
        return "the folder is on another file system than when it was joined"
    if seen.inode != known.inode:
        return "the folder is not the one that was joined"
    if indexed_entries and not visible_entries:
        return "the folder is empty but was not"
    return ""
