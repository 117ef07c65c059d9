"""A chunk list as changes to another: what is sent when a large file changes a little.

Operations (docs/SPEC.md, section 2) are u32 start, u32 count: copy from the base list; start LITERAL: `count`
items follow. A literal costs 8 bytes more than its items and a copy saves 36 bytes a chunk less 8: a splice
is never larger than the list it makes and 8 bytes.
"""

import struct

from toastbox.core.content import ITEM_SIZE
from toastbox.core.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LITERAL = 0xFFFFFFFF
OPERATION = "<II"
OPERATION_SIZE = 8


def make_splice(base: bytes, new: bytes) -> bytes:
    """Operations that make the list `new` from the list `base`."""
    places = {base[at : at + ITEM_SIZE]: at for at in range(len(base) - ITEM_SIZE, -1, -ITEM_SIZE)}
    operations: list[bytes] = []
    at = literal = 0
    expected = 0  # where in base the chunk after the last copy is: a repeated chunk is taken from there
    while at < len(new):
        start = _find(base, new[at : at + ITEM_SIZE], expected, places)
        if start < 0:
            at += ITEM_SIZE
            continue
        _add_literal(operations, new[literal:at])
        length = _common(base, start, new, at)
        operations.append(struct.pack(OPERATION, start // ITEM_SIZE, length // ITEM_SIZE))
        at += length
        literal = at
        expected = start + length
    _add_literal(operations, new[literal:])
    return b"".join(operations)


def _find(base: bytes, wanted: bytes, expected: int, places: dict[bytes, int]) -> int:
    if base[expected : expected + ITEM_SIZE] == wanted:
        return expected
    return places.get(wanted, -1)


def _common(base: bytes, start: int, new: bytes, at: int) -> int:
    """Bytes of whole items that are equal from base[start] and new[at] on."""
    length = ITEM_SIZE
    most = min(len(base) - start, len(new) - at)
    while (
        length < most
        and base[start + length : start + length + ITEM_SIZE] == new[at + length : at + length + ITEM_SIZE]
    ):
        length += ITEM_SIZE
    return length


def _add_literal(operations: list[bytes], literal: bytes) -> None:
    if literal:
        operations.append(struct.pack(OPERATION, LITERAL, len(literal) // ITEM_SIZE))
        operations.append(literal)


def apply_splice(base: bytes, operations: bytes, max_chunks: int) -> bytes:
    """The new list. WireError, before memory is taken: malformed operations, or too many chunks."""
    if len(base) % ITEM_SIZE:
        raise WireError("base list of a bad length")
    if check_splice(operations, len(base) // ITEM_SIZE) > max_chunks:
        raise WireError("splice makes too many chunks")
    made = bytearray()
    for start, count, at in _walk(operations):
        if start == LITERAL:
            made.extend(operations[at : at + count * ITEM_SIZE])
        else:
            made.extend(base[start * ITEM_SIZE : (start + count) * ITEM_SIZE])
    return bytes(made)


def check_splice(operations: bytes, base_chunks: int = LITERAL) -> int:
    """Number of chunks that operations make. WireError: malformed, or a copy from beyond the base."""
    chunks = 0
    for start, count, _ in _walk(operations):
        if start != LITERAL and start + count > base_chunks:
            raise WireError("splice copies beyond its base")
        chunks += count
    return chunks


def _walk(operations: bytes) -> "Iterator[tuple[int, int, int]]":
    """(start, count, where literal items begin) of each operation."""
    at = 0
    while at < len(operations):
        if at + OPERATION_SIZE > len(operations):
            raise WireError("splice operation cut off")
        start, count = struct.unpack_from(OPERATION, operations, at)
        at += OPERATION_SIZE
        literal_size = count * ITEM_SIZE if start == LITERAL else 0
        if count == 0 or at + literal_size > len(operations):
            raise WireError("splice operation of a bad length")
        yield start, count, at
        at += literal_size
