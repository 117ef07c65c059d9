"""A bandwidth limit: a token bucket that may go into debt, and sleeps the debt off."""

from collections.abc import Callable
from threading import Lock

BURST_S = 0.25
SMALLEST_SLICE = 1024
LARGEST_SLICE = 64 * 1024


class Throttle:
    """Lets bytes_per_s pass on average, and a burst of a quarter of a second. Shared by threads.

    now: seconds, never going back; sleep: waits for seconds. slice_bytes: how much to move at once so that a
    limited transfer flows instead of stuttering.
    """

    def __init__(self, bytes_per_s: float, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        if bytes_per_s <= 0:
            raise ValueError("a bandwidth limit must be above 0")
        self.bytes_per_s = bytes_per_s
        self.slice_bytes = max(SMALLEST_SLICE, min(LARGEST_SLICE, int(bytes_per_s * BURST_S)))
        self._burst = bytes_per_s * BURST_S
        self._tokens = self._burst
        self._now = now
        self._sleep = sleep
        self._seen = now()
        self._lock = Lock()

    def spend(self, count: int) -> None:
        """Account for count bytes; sleep until the average is within the limit again."""
        with self._lock:
            now = self._now()
            self._tokens = min(self._burst, self._tokens + (now - self._seen) * self.bytes_per_s)
            self._seen = now
            self._tokens -= count
            debt = -self._tokens
        if debt > 0:
            self._sleep(debt / self.bytes_per_s)
