"""Bandwidth by the time of day."""

from toastbox.core.schedule import CLOCK_SET_S, limits_at, parse_offset, parse_rate, parse_schedule

DAY = CLOCK_SET_S  # a midnight, UTC
TEXT = "08:00-18:00 100kB/1MB, 22:00-06:00 0/2MiB"


def test_limits_by_the_time():
    entries = parse_schedule(TEXT)
    for hours, minutes, wanted in [
        (7, 59, (5, 6)),
        (8, 0, (100000, 1000000)),
        (17, 59, (100000, 1000000)),
        (18, 0, (5, 6)),
        (22, 0, (0, 2097152)),
        (0, 0, (0, 2097152)),
        (5, 59, (0, 2097152)),
        (6, 0, (5, 6)),
    ]:
        assert limits_at(entries, (5, 6), DAY + hours * 3600 + minutes * 60) == wanted, (hours, minutes)
    assert limits_at(entries, (5, 6), DAY + 7 * 3600, 60) == (100000, 1000000)
    assert limits_at(entries, (5, 6), DAY + 3 * 3600, -9 * 60) == (5, 6)
    assert limits_at([], (5, 6), 0) == (5, 6)


def test_without_a_clock_the_strictest_counts():
    entries = parse_schedule(TEXT)
    assert limits_at(entries, (0, 0), 3600) == (100000, 1000000)
    assert limits_at(entries, (7, 0), 3600) == (7, 1000000)
    assert limits_at(parse_schedule("00:00-24:00 0/0"), (0, 0), 3600) == (0, 0)


def test_a_whole_day():
    entries = parse_schedule("00:00-24:00 1kB/2kB")
    for hour in (0, 12, 23):
        assert limits_at(entries, (0, 0), DAY + hour * 3600) == (1000, 2000)


def test_words():
    for text, wanted in [("0", 0), ("512", 512), ("100kB", 100000), ("1.5 MiB", 1572864), ("2 kb/s", 2000)]:
        assert parse_rate(text) == wanted, text
    assert parse_offset("+05:30") == 330 and parse_offset("-01:00") == -60
    for text in ("", "x", "1.2.3kB", "1xB", "-5", "."):
        try:
            parse_rate(text)
        except ValueError:
            continue
        raise AssertionError(text)
