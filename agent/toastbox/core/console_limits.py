"""The settings of a board that keeps limits of bandwidth and their hours. A microcontroller does not.

`console_settings.add(SETTINGS)` puts them beside those of every board.
"""

from toastbox.core.console_settings import is_ascii
from toastbox.core.schedule import parse_offset, parse_rate, parse_schedule


def _check_rate(text: str) -> str:
    return str(parse_rate(text)) if text else "0"


def _check_schedule(text: str) -> str:
    if len(text) > 400 or not is_ascii(text):
        raise ValueError("a schedule has at most 400 characters")
    parse_schedule(text)
    return text


def _check_offset(text: str) -> str:
    if text:
        parse_offset(text)
    return text or "+00:00"


SETTINGS = {
    "limit.up": (_check_rate, "0", False, "most bytes a second sent, 0: no limit"),
    "limit.down": (_check_rate, "0", False, "most bytes a second fetched, 0: no limit"),
    "schedule": (_check_schedule, "", False, "limits by time: 08:00-18:00 100kB/1MB, ..."),
    "time.offset": (_check_offset, "+00:00", False, "of the schedule's times from UTC"),
}
