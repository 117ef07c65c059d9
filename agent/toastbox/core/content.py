"""Chunk lists and content ids (docs/SPEC.md, section 1). A list item is a hash and a u32 size: 36 bytes."""

import hashlib

from toastbox.core.entry import EMPTY_CONTENT, FILE, Entry

ITEM_SIZE = 36
LIST_TAG = b"toastbox list 1\n"


def content_id(chunks: bytes, size: int) -> bytes:
    """Content id of a file of `size` bytes with this chunk list."""
    if size == 0:
        return EMPTY_CONTENT
    if len(chunks) == ITEM_SIZE:
        return bytes(chunks[:32])
    digest = hashlib.sha256(LIST_TAG)
    digest.update(chunks)
    return digest.digest()


def chunk_item(digest: bytes, size: int) -> bytes:
    return digest + size.to_bytes(4, "little")


def list_of(entry: Entry) -> bytes:
    """The chunk list of a file as far as the entry tells; b"" when it is empty, or has to be asked for."""
    if entry.chunks or entry.kind != FILE or entry.size == 0 or not entry.listed:
        return entry.chunks
    return chunk_item(entry.content, entry.size)


def list_size(chunks: bytes) -> int:
    """Bytes of the file that a chunk list describes."""
    total = 0
    for at in range(32, len(chunks), ITEM_SIZE):
        total += int.from_bytes(chunks[at : at + 4], "little")
    return total
