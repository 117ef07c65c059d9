"""What the bytes of a .mpy file are for (version 6 of the format, MicroPython's py/persistentcode.c)."""

from dataclasses import dataclass
from pathlib import Path

HEAD = 4
TUPLE = 10
TEXT = (5, 6)  # str and bytes: a zero byte behind them
EMPTY = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Parts:
    """Bytes. names: the table of names, rows of them; constants: other objects; code: the rest."""

    rows: int
    names: int
    constants: int
    code: int


def parts(path: Path) -> Parts:
    data = path.read_bytes()
    rows, at = _number(data, HEAD)
    objects, start = _number(data, at)
    at = start
    for _ in range(rows):
        size, at = _number(data, at)
        at += 0 if size & 1 else (size >> 1) + 1  # one that every MicroPython has is only a number
    names = at - start
    for _ in range(objects):
        at = _behind_object(data, at)
    return Parts(rows, names, at - start - names, len(data) - at)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """(a number in groups of seven bits, position behind)."""
    value = 0
    while data[at] & 0x80:
        value, at = (value | data[at] & 0x7F) << 7, at + 1
    return value | data[at], at + 1


def _behind_object(data: bytes, at: int) -> int:
    kind = data[at]
    if kind in EMPTY:
        return at + 1
    size, at = _number(data, at + 1)
    if kind == TUPLE:
        for _ in range(size):
            at = _behind_object(data, at)
        return at
    return at + size + (kind in TEXT)
