"""Bandwidth by the time of day, as a person writes it: `08:00-18:00 100kB/1MB, 22:00-06:00 0/0`.

Each entry is FROM-TO UP/DOWN: most bytes a second sent and fetched, 0 for no limit. A span may cross midnight. The
first entry that fits counts; outside all of them the plain limits do. Times are the board's (UTC plus `time.offset`).

A board without a clock does not know the time until something has set it. Until then the strictest limit that any
entry or the plain limits give is kept: whoever writes a schedule pays for what goes over it.
"""

MAX_ENTRIES = 16
DAY_MIN = 24 * 60
# 2024-01-01: a clock that stands before this program was written was never set.
CLOCK_SET_S = 1704067200
UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000000, "gb": 1000000000, "kib": 1024, "mib": 1048576, "gib": 1073741824}


def parse_rate(text: str) -> int:
    """Bytes a second from `512`, `100kB`, `1.5MiB`, `0`. Raises ValueError."""
    text = text.strip().lower()
    if text[-2:] == "/s":
        text = text[:-2]
    size = 0
    while size < len(text) and text[size] in "0123456789.":
        size += 1
    digits, unit = text[:size], text[size:].strip()
    if unit not in UNITS or not 0 < size < 12 or digits.count(".") > 1 or digits == ".":
        raise ValueError("a rate is a number and a unit, as 100kB or 1.5MiB, or 0 for no limit")
    return int(float(digits) * UNITS[unit]) if "." in digits else int(digits) * UNITS[unit]


def parse_time(text: str) -> int:
    """Minutes since midnight from `08:30`; `24:00` is midnight too. Raises ValueError."""
    hours, _, minutes = text.strip().partition(":")
    if not (_digits(hours) and len(minutes) == 2 and _digits(minutes)):
        raise ValueError("a time is HH:MM, as 08:30")
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > DAY_MIN:
        raise ValueError("a time is 00:00 to 24:00")
    return found % DAY_MIN


def _digits(text: str) -> bool:
    return 0 < len(text) <= 2 and all(["0" <= each <= "9" for each in text])


def parse_schedule(text: str) -> list[tuple[int, int, int, int]]:
    """(from, to, up, down) of each entry: minutes since midnight, bytes a second. Raises ValueError."""
    entries = []
    for part in [part.strip() for part in text.split(",") if part.strip()]:
        span, _, rates = part.partition(" ")
        first, dash, last = span.partition("-")
        up, slash, down = rates.partition("/")
        if not dash or not slash:
            raise ValueError("an entry is FROM-TO UP/DOWN, as 08:00-18:00 100kB/1MB")
        start, end = parse_time(first), parse_time(last)
        if start == end and first.strip() != "00:00":
            raise ValueError("the span " + span + " is empty; a whole day is 00:00-24:00")
        entries.append((start, end, parse_rate(up), parse_rate(down)))
    if len(entries) > MAX_ENTRIES:
        raise ValueError("a schedule has 16 entries at most")
    return entries


def parse_offset(text: str) -> int:
    """Minutes east of UTC from `+01:00` or `-09:30`. Raises ValueError."""
    sign = text[:1]
    if sign not in ("+", "-") or text.count(":") != 1:
        raise ValueError("an offset is +HH:MM or -HH:MM from UTC, as +01:00")
    minutes = parse_time(text[1:])
    if minutes > 14 * 60:
        raise ValueError("an offset is at most 14:00")
    return minutes if sign == "+" else -minutes


def limits_at(
    entries: list[tuple[int, int, int, int]], plain: tuple[int, int], unix_s: int, offset_min: int = 0
) -> tuple[int, int]:
    """(up, down) that count at this time; 0: no limit. unix_s: the board's clock, set or not."""
    if not entries:
        return plain
    if unix_s < CLOCK_SET_S:
        rates = [plain] + [(up, down) for _, _, up, down in entries]
        return _strictest([up for up, _ in rates]), _strictest([down for _, down in rates])
    minute = (unix_s // 60 + offset_min) % DAY_MIN
    for start, end, up, down in entries:
        inside = start <= minute < end if start < end else (minute >= start or minute < end)
        if inside:
            return up, down
    return plain


def _strictest(rates: list[int]) -> int:
    limits = [rate for rate in rates if rate]
    return min(limits) if limits else 0
