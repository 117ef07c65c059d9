"""The time of day from the hub, for boards that forget it with the power: for people, and for the times of files.

Taken from an answer over TLS (the field Date), once a start, forward only, and only while the board's clock was never
set. Nothing is decided by it: a file's time is compared with what the same file had before, and a clock that jumps
forward makes every time before the jump an old one, as it is.
"""

MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"


def read_date(value):
    """(year, month, day, hour, minute, second) of `Wed, 25 Nov 2026 01:15:32 GMT`; None if it is not of this form."""
    parts = value.lower().split()
    if len(parts) != 6 or parts[5] != b"gmt" or len(parts[2]) != 3:
        return None
    try:
        month = MONTHS.find(parts[2].decode())
        numbers = [int(part) for part in [parts[3], parts[1]] + parts[4].split(b":")]
        year, day, hour, minute, second = numbers
    except ValueError:
        return None
    good = 2024 <= year < 2100 and 1 <= day <= 31 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 61
    return (year, month // 3 + 1, day, hour, minute, second) if good and month >= 0 and month % 3 == 0 else None


def set_from(value):
    """Set the board's clock; whether it was. A build without a clock is left as it is."""
    date = read_date(value)
    try:
        from machine import RTC
    except ImportError:
        return False
    if date is None:
        return False
    year, month, day, hour, minute, second = date
    RTC().datetime((year, month, day, 0, hour, minute, second, 0))
    return True
