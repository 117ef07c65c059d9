"""Time in a history: one true time that everything moves on, and what each device believes it to be."""

SECOND = 1_000_000_000
YEAR_1970, YEAR_2026, YEAR_2107 = 0, 56 * 365 * 86400 * SECOND, 137 * 365 * 86400 * SECOND


class Time:
    """True time, ns."""

    def __init__(self) -> None:
        self.now_ns = 0

    def advance(self, ns: int) -> None:
        self.now_ns += ns


class DeviceClock:
    """device.interfaces.Clock. The wall clock jumps when told to."""

    def __init__(self, time: Time, wall_ns: int = YEAR_2026) -> None:
        self._time = time
        self._offset_ns = wall_ns

    def monotonic_s(self) -> float:
        return self._time.now_ns / SECOND

    def wall_ns(self) -> int:
        return self._time.now_ns + self._offset_ns

    def sleep(self, seconds: float) -> None:
        self._time.advance(int(seconds * SECOND))

    def jump(self, wall_ns: int) -> None:
        self._offset_ns = wall_ns


class HubClock:
    """hub.clock.Clock."""

    def __init__(self, time: Time) -> None:
        self._time = time

    def now_s(self) -> int:
        return (self._time.now_ns + YEAR_2026) // SECOND

    def monotonic(self) -> float:
        return self._time.now_ns / SECOND
