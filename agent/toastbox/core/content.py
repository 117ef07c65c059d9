"""What a file contains, in chunks: chunk lists and content ids (docs/SPEC.md, section 1).

A chunk list is bytes, 36 a chunk: hash and size (u32). The list of an empty file is empty; that of a file of
one chunk is implied by its content id and size, and is neither sent nor stored.
"""

import hashlib

from toastbox.core.entry import EMPTY_CONTENT, FILE, HASH_SIZE, Entry
from toastbox.core.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator  # MicroPython has neither this nor typing

MAX_CHUNK = 1 << 20
ITEM_SIZE = HASH_SIZE + 4
LIST_MARK = b"toastbox list 1\n"


def chunk_item(digest: bytes, size: int) -> bytes:
    """One chunk of a list."""
    return digest + size.to_bytes(4, "little")


def items(chunks: bytes) -> "Iterator[tuple[bytes, int]]":
    """(hash, size) of every chunk."""
    for at in range(0, len(chunks), ITEM_SIZE):
        end = at + HASH_SIZE
        yield chunks[at:end], int.from_bytes(chunks[end : end + 4], "little")


def content_id(chunks: bytes, size: int) -> bytes:
    """The content id of a file of `size` bytes with that chunk list."""
    if size == 0:
        return EMPTY_CONTENT
    if len(chunks) == ITEM_SIZE:
        return bytes(chunks[:HASH_SIZE])
    digest = hashlib.sha256(LIST_MARK)
    digest.update(chunks)
    return digest.digest()


def list_of(entry: Entry) -> bytes:
    """The chunk list of a file as far as the entry tells: b"" when it is empty or elsewhere."""
    if entry.chunks or entry.kind != FILE or entry.size == 0 or not entry.listed:
        return entry.chunks
    return chunk_item(entry.content, entry.size)


def check_list(chunks: bytes, size: int) -> None:
    """WireError unless this may be the list of a file of `size` bytes and several chunks."""
    if len(chunks) % ITEM_SIZE or len(chunks) < 2 * ITEM_SIZE:
        raise WireError("a chunk list is cut off, or needless")
    total = 0
    for at in range(HASH_SIZE, len(chunks), ITEM_SIZE):
        piece = int.from_bytes(chunks[at : at + 4], "little")
        if not 0 < piece <= MAX_CHUNK:
            raise WireError("a chunk is empty or larger than chunks may be")
        total += piece
    if total != size:
        raise WireError("a chunk list does not add up to its file")


def is_list_of(entry: Entry, chunks: bytes) -> bool:
    """Whether this is the chunk list of a file of several chunks."""
    try:
        check_list(chunks, entry.size)
    except WireError:
        return False
    return content_id(chunks, entry.size) == entry.content
