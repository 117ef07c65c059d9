"""Time as the hub uses it, so that tests and the simulator can bring their own."""

import time
from typing import Protocol


class Clock(Protocol):
    """now_s: the wall, may jump; for retention and people. monotonic: for windows and limits."""

    def now_s(self) -> int: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's own."""

    def now_s(self) -> int:
        return int(time.time())

    def monotonic(self) -> float:
        return time.monotonic()
