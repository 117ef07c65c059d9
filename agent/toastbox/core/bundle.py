"""Bundles: streams of chunks (docs/SPEC.md, section 3).

The reader takes the stream in pieces of any size. A chunk that lies whole in one piece is handed out as a
view of it, uncopied; one that does not is gathered in a buffer of its size, copied once. The size is judged
before memory is taken.
"""

import struct

from toastbox.core.entry import HASH_SIZE
from toastbox.core.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_SIZE = 4 + HASH_SIZE
MAX_BUNDLE = 64 << 20
MISSING = 15
SIZE_BITS = 28
SIZE_MASK = (1 << SIZE_BITS) - 1


def chunk_head(digest: bytes, size: int) -> bytes:
    """What goes before a chunk's data: 36 bytes."""
    return size.to_bytes(4, "little") + digest


def missing_head(digest: bytes) -> bytes:
    """Says that the sender does not have this chunk."""
    return (MISSING << SIZE_BITS).to_bytes(4, "little") + digest


class BundleReader:
    """Takes a bundle apart. max_chunk: largest chunk accepted, bytes."""

    def __init__(self, max_chunk: int) -> None:
        self._max_chunk = max_chunk
        self._head = bytearray(HEAD_SIZE)
        self._head_filled = 0
        self._data = memoryview(b"")
        self._filled = 0
        self._in_data = False

    def feed(self, data: bytes | bytearray | memoryview) -> "Iterator[tuple[bytes, memoryview | None]]":
        """(hash, data) of every chunk that is complete now; data is None where the sender has none.

        A view is good until the next item is asked for. To be run to its end before the next piece is fed.
        Chunks are not verified here. Raises WireError.
        """
        view = memoryview(data)
        at = 0
        end = len(view)
        while at < end:
            if not self._in_data:
                at += self._take_head(view, at, end)
                if self._head_filled < HEAD_SIZE:
                    return
                size, missing = self._judge_head()
                digest = bytes(self._head[4:])
                if missing:
                    self._head_filled = 0
                    yield digest, None
                elif end - at >= size:
                    self._head_filled = 0
                    yield digest, view[at : at + size]
                    at += size
                else:
                    self._data = memoryview(bytearray(size))
                    self._filled = 0
                    self._in_data = True
            else:
                at += self._take_data(view, at, end)
                if self._filled == len(self._data):
                    whole = self._data
                    self._in_data = False
                    self._head_filled = 0
                    self._data = memoryview(b"")
                    yield bytes(self._head[4:]), whole

    def close(self) -> None:
        """The stream has ended. WireError when it ended inside a chunk."""
        if self._head_filled or self._in_data:
            raise WireError("bundle ends inside a chunk")

    def _take_head(self, view: memoryview, at: int, end: int) -> int:
        count = min(HEAD_SIZE - self._head_filled, end - at)
        self._head[self._head_filled : self._head_filled + count] = view[at : at + count]
        self._head_filled += count
        return count

    def _take_data(self, view: memoryview, at: int, end: int) -> int:
        count = min(len(self._data) - self._filled, end - at)
        self._data[self._filled : self._filled + count] = view[at : at + count]
        self._filled += count
        return count

    def _judge_head(self) -> tuple[int, bool]:
        """(bytes of data that follow, whether the chunk is missing)."""
        (head,) = struct.unpack_from("<I", self._head, 0)
        encoding = head >> SIZE_BITS
        size = head & SIZE_MASK
        if encoding == MISSING and size == 0:
            return 0, True
        if encoding:
            raise WireError("chunk of an unknown encoding")
        if not 0 < size <= self._max_chunk:
            raise WireError("chunk of a bad size")
        return size, False
