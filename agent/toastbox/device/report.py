"""What the device tells about itself: state, counters, and why a name is held back.

Written by the loop's thread only, read by others: plain values, replaced whole.
"""

MOST_REASONS = 1000


class Report:
    """Filled by the loop, read by status. At most MOST_REASONS names are told of."""

    def __init__(self) -> None:
        self.state = "starting"
        self.error = ""
        self.head = 0
        self.cursor = 0
        self.epoch = 0
        self.entries = 0
        self.held_deletes = 0
        self.counts = {"received": 0, "sent": 0, "deleted": 0, "conflicts": 0, "scans": 0}
        self._reasons: dict[bytes, str] = {}  # what a scan could not propose
        self._not_applied: dict[bytes, str] = {}  # what the journal has and cannot be had here

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] += by

    def hold(self, path: bytes, reason: str) -> None:
        if path in self._reasons or len(self._reasons) < MOST_REASONS:
            self._reasons[path] = reason

    def release(self, path: bytes) -> None:
        self._reasons.pop(path, None)

    def release_below(self, path: bytes) -> None:
        """Nothing is there any more."""
        below = path + b"/"
        for held in [held for held in self._reasons if held == path or held.startswith(below)]:
            del self._reasons[held]

    def forget_reasons(self) -> None:
        """A whole scan finds again what still holds."""
        self._reasons.clear()

    def not_applied(self, reasons: dict[bytes, str]) -> None:
        """All of the journal's entries that are held back now."""
        self._not_applied = reasons

    def reasons(self) -> list[tuple[bytes, str]]:
        return sorted((self._reasons | self._not_applied).items())[:MOST_REASONS]
