"""What commands print. Results go to stdout, progress and errors to stderr.

On a terminal lists are aligned and have headings, and long work shows one line that is written over. In a
pipe a list is a line for each item with tabs between, and progress is silent. Text that came from elsewhere
(paths, names of devices) never reaches a terminal with its control characters.
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

REDRAW_S = 0.1
GAP = "  "


def printable(text: str | bytes) -> str:
    """Text on one line that does nothing to a terminal: controls, and bytes not of UTF-8, are escaped."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(text: str = "") -> None:
    """One line of result."""
    print(text)


def say_json(value: Any) -> None:
    """A result for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=not sys.stdout.isatty()))


def warn(text: str) -> None:
    """One line to the person, not part of the result. What cannot be said is left unsaid: the exit code remains."""
    with suppress(OSError):
        print(f"toastbox: {printable(text)}", file=sys.stderr)


def say_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A list: aligned under headings on a terminal, tabs in a pipe. The cells are made printable."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            print("\t".join(row))
        return
    texts.insert(0, list(headings))
    widths = [max(len(row[at]) for row in texts) for at in range(len(headings))]
    for row in texts:
        print(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def when(seconds: float) -> str:
    """A time of the hub's clock in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


class Progress:
    """One line on the terminal, written over and gone at the end; nothing in a pipe."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._drawn = False
        self._next_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """Replace the line, ten times a second at most."""
        now = time.monotonic()
        if not self._live or now < self._next_s:
            return
        self._next_s = now + REDRAW_S
        self._drawn = True
        from shutil import get_terminal_size  # with it come all of Python's compressors

        width = get_terminal_size().columns - 1
        print(f"\r\x1b[K{printable(text)[:width]}", end="", file=sys.stderr, flush=True)
