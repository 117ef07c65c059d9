"""A bandwidth limit: a token bucket that may go into debt, and sleeps the debt off. It may change by the hour."""

from collections.abc import Callable
from threading import Lock

BURST_S = 0.25
SMALLEST_SLICE = 1024
LARGEST_SLICE = 64 * 1024


class Throttle:
    """Lets bytes_per_s pass on average, and a burst of a quarter of a second. Shared by threads.

    bytes_per_s: a number above 0, or what tells it at any moment, where 0 is no limit.

    now: seconds, never going back; sleep: waits for seconds. slice_bytes: how much to move at once so that a
    limited transfer flows instead of stuttering.
    """

    def __init__(
        self, bytes_per_s: float | Callable[[], float], now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        if callable(bytes_per_s):
            self._rate = bytes_per_s
        elif bytes_per_s > 0:
            self._rate = lambda: bytes_per_s
        else:
            raise ValueError("a bandwidth limit must be above 0")
        self._tokens = self._rate() * BURST_S
        self._now = now
        self._sleep = sleep
        self._seen = now()
        self._lock = Lock()

    @property
    def slice_bytes(self) -> int:
        rate = self._rate()
        return max(SMALLEST_SLICE, min(LARGEST_SLICE, int(rate * BURST_S))) if rate else LARGEST_SLICE

    def spend(self, count: int) -> None:
        """Account for count bytes; sleep until the average is within the limit again."""
        with self._lock:
            now, rate = self._now(), self._rate()
            self._tokens = min(rate * BURST_S, self._tokens + (now - self._seen) * rate)
            self._seen = now
            if not rate:
                self._tokens = 0.0
                return
            self._tokens -= count
            debt = -self._tokens
        if debt > 0:
            self._sleep(debt / rate)
