"""Mass deletion: what one device deletes within a minute, counted on the hub's monotonic clock."""

from collections import deque
from collections.abc import Callable

from toastbox.core.guard import WINDOW_S, too_many_deletes


class DeletionGuard:
    """Knows for each device how many live entries it deleted, second by second, over the last minute."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._deleted: dict[int, deque[tuple[int, int]]] = {}

    def holds(self, device: int, coming: int, live: int) -> bool:
        """Whether `coming` more deletions would be too many, when `live` entries are left now."""
        recent = self._recent(device)
        return too_many_deletes(recent + coming, live + recent)

    def note(self, device: int, count: int) -> None:
        """These were committed unconfirmed."""
        second = int(self._monotonic())
        window = self._deleted.setdefault(device, deque())
        if window and window[-1][0] == second:
            count += window.pop()[1]
        window.append((second, count))

    def _recent(self, device: int) -> int:
        window = self._deleted.get(device)
        if window is None:
            return 0
        oldest = int(self._monotonic()) - WINDOW_S
        while window and window[0][0] <= oldest:
            window.popleft()
        if not window:
            del self._deleted[device]
        return sum(count for _, count in window)
