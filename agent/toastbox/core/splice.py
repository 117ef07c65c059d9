"""A chunk list as changes to an earlier one (docs/SPEC.md, section 2): copies of runs, and new items.

Built greedily: an item that the base has, too, is copied, and the run is made as long as it goes. One item in the
base stands for all its repetitions, but the one that continues the run is preferred.
"""

import struct

from toastbox.core.content import ITEM_SIZE

NEW = 0xFFFFFFFF
OPERATION = "<II"


class SpliceError(ValueError):
    """Operations that do not fit their base."""


def make_splice(base: bytes, new: bytes) -> bytes:
    """Operations that turn one chunk list into another."""
    where = {}
    for index in range(len(base) // ITEM_SIZE):
        where.setdefault(base[index * ITEM_SIZE : (index + 1) * ITEM_SIZE], index)
    out = bytearray()
    at = 0
    while at < len(new):
        start, count = _copied(base, where, new, at)
        if count:
            out += struct.pack(OPERATION, start, count)
        else:
            count = _fresh(where, new, at)
            out += struct.pack(OPERATION, NEW, count) + new[at : at + count * ITEM_SIZE]
        at += count * ITEM_SIZE
    return bytes(out)


def _copied(base: bytes, where: dict[bytes, int], new: bytes, at: int) -> tuple[int, int]:
    """(start, count) of the run of the base that stands at `at` in the new list; count 0: none."""
    start = where.get(new[at : at + ITEM_SIZE])
    if start is None:
        return 0, 0
    count = 1
    here, there = at + ITEM_SIZE, (start + 1) * ITEM_SIZE
    while here < len(new) and there < len(base) and new[here : here + ITEM_SIZE] == base[there : there + ITEM_SIZE]:
        count += 1
        here += ITEM_SIZE
        there += ITEM_SIZE
    return start, count


def _fresh(where: dict[bytes, int], new: bytes, at: int) -> int:
    """How many items from `at` on the base does not have."""
    end = at
    while end < len(new) and new[end : end + ITEM_SIZE] not in where:
        end += ITEM_SIZE
    return (end - at) // ITEM_SIZE


def apply_splice(base: bytes, operations: bytes, max_chunks: int) -> bytes:
    """The list that operations make of a base. SpliceError: they do not fit, or make more than max_chunks."""
    out = bytearray()
    at = 0
    while at < len(operations):
        if len(operations) - at < 8:
            raise SpliceError("an operation is cut off")
        start, count = struct.unpack_from(OPERATION, operations, at)
        at += 8
        source, first = (operations, at) if start == NEW else (base, start * ITEM_SIZE)
        last = first + count * ITEM_SIZE
        if not count or last > len(source) or len(out) + last - first > max_chunks * ITEM_SIZE:
            raise SpliceError("an operation reaches beyond its list")
        out += source[first:last]
        if start == NEW:
            at = last
    return bytes(out)
