"""The large file of a side, and its two edits. A change appears in the folder at once, never growing."""

import random

from tools.bench.pair import Side
from tools.bench.workload import SEED, insert_byte, overwrite, write_random

NAME = "large.bin"


def place(side: Side, size_bytes: int) -> None:
    """Moves the large file into the folder whole; the same bytes in every session."""
    write_random(side.desk / NAME, size_bytes, random.Random(SEED + 3))
    (side.desk / NAME).rename(side.folder / NAME)


def insert(side: Side) -> None:
    """One byte at offset 1000, as an editor saves: a new file beside, renamed over the old one."""
    insert_byte(side.folder / NAME, side.desk / NAME)
    (side.desk / NAME).rename(side.folder / NAME)


def overwrite_pieces(side: Side, count: int) -> None:
    """Pieces of 4 KiB at random offsets, in place, as a database saves."""
    overwrite(side.folder / NAME, count)
