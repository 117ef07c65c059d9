"""Bundles: streams of chunks (docs/SPEC.md, section 3).

The reader takes the stream in pieces of any size. A chunk that lies whole in one piece is handed out as a
view of it, uncopied; one that does not is gathered in a buffer of its size, copied once. The size is judged
before memory is taken.

A segment is a run of chunks deflated together: small files of one kind have more in common than each has in itself.
It says how large it is, so that no more is taken for it however far it would inflate; inside it a chunk has no name,
as the receiver must hash it in any case. Only a reader that was given an inflater takes segments: who has no room for
deflate's window does not ask for them.
"""

import struct

from toastbox.core.entry import HASH_SIZE
from toastbox.core.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD_SIZE = 4 + HASH_SIZE
MAX_BUNDLE = 64 << 20
SEGMENT_HEAD_SIZE = 8
MAX_SEGMENT = 512 << 10  # what a segment may inflate to
SEGMENT = 1
MISSING = 15
SIZE_BITS = 28
SIZE_MASK = (1 << SIZE_BITS) - 1


def chunk_head(digest: bytes, size: int) -> bytes:
    """What goes before a chunk's data: 36 bytes."""
    return size.to_bytes(4, "little") + digest


def missing_head(digest: bytes) -> bytes:
    """Says that the sender does not have this chunk."""
    return (MISSING << SIZE_BITS).to_bytes(4, "little") + digest


def segment_head(packed: int, size: int) -> bytes:
    """What goes before `packed` bytes of raw deflate that inflate to `size` bytes: 8 bytes."""
    return (SEGMENT << SIZE_BITS | packed).to_bytes(4, "little") + size.to_bytes(4, "little")


class BundleReader:
    """Takes a bundle apart. max_chunk: largest chunk accepted, bytes.

    inflate(data, size): exactly size bytes from raw deflate, or ValueError; without it segments are refused.
    """

    def __init__(self, max_chunk: int, inflate: "Callable[[memoryview, int], bytes] | None" = None) -> None:
        self._max_chunk = max_chunk
        self._most = min(max_chunk, SIZE_MASK)  # above it, the field says another encoding
        self._inflate = inflate
        self._head = bytearray(HEAD_SIZE)
        self._head_filled = 0
        self._data = memoryview(b"")
        self._filled = 0
        self._in_data = False

    def feed(self, data: bytes | bytearray | memoryview) -> "Iterator[tuple[bytes, memoryview | None]]":
        """(hash, data) of every chunk that is complete now; data is None where the sender has none.

        The hash is empty where the sender left it out (in a segment). A view is good until the next item is asked for.
        To be run to its end before the next piece is fed. Chunks are not verified here. Raises WireError.
        """
        view = memoryview(data)
        at = 0
        end = len(view)
        while at < end:
            if not self._in_data:
                if not self._head_filled and end - at > HEAD_SIZE:
                    (size,) = struct.unpack_from("<I", view, at)
                    start = at + HEAD_SIZE
                    if 0 < size <= self._most and size <= end - start:  # a chunk as it is, whole: nearly all are
                        at = start + size
                        yield bytes(view[start - HASH_SIZE : start]), view[start:at]
                        continue
                at += self._take_head(view, at, end)
                if self._head_filled < self._head_size():
                    continue
                size, encoding = self._judge_head()
                if encoding == MISSING:
                    self._head_filled = 0
                    yield bytes(self._head[4:]), None
                elif end - at >= size:
                    self._head_filled = 0
                    yield from self._chunks(encoding, view[at : at + size])
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
                    yield from self._chunks(self._head[3] >> 4, whole)

    def close(self) -> None:
        """The stream has ended. WireError when it ended inside a chunk."""
        if self._head_filled or self._in_data:
            raise WireError("bundle ends inside a chunk")

    def _head_size(self) -> int:
        if self._head_filled < 4:
            return 4
        return SEGMENT_HEAD_SIZE if self._head[3] >> 4 == SEGMENT else HEAD_SIZE

    def _take_head(self, view: memoryview, at: int, end: int) -> int:
        count = min(self._head_size() - self._head_filled, end - at)
        self._head[self._head_filled : self._head_filled + count] = view[at : at + count]
        self._head_filled += count
        return count

    def _take_data(self, view: memoryview, at: int, end: int) -> int:
        count = min(len(self._data) - self._filled, end - at)
        self._data[self._filled : self._filled + count] = view[at : at + count]
        self._filled += count
        return count

    def _judge_head(self) -> tuple[int, int]:
        """(bytes of data that follow, encoding)."""
        (head,) = struct.unpack_from("<I", self._head, 0)
        encoding = head >> SIZE_BITS
        size = head & SIZE_MASK
        if encoding == MISSING and size == 0:
            return 0, MISSING
        if encoding == SEGMENT and self._inflate is not None:
            (plain,) = struct.unpack_from("<I", self._head, 4)
            if not 0 < size < plain <= MAX_SEGMENT:
                raise WireError("segment of a bad size")
            return size, SEGMENT
        if encoding:
            raise WireError("chunk of an unknown encoding")
        if not 0 < size <= self._max_chunk:
            raise WireError("chunk of a bad size")
        return size, 0

    def _chunks(self, encoding: int, data: memoryview) -> "Iterator[tuple[bytes, memoryview]]":
        """The chunk that data is, or those of a segment."""
        if encoding != SEGMENT or self._inflate is None:
            yield bytes(self._head[4:]), data
            return
        (size,) = struct.unpack_from("<I", self._head, 4)
        try:
            plain = memoryview(self._inflate(data, size))
        except ValueError:
            raise WireError("segment does not inflate to its size")
        at = 0
        while at < size:
            length = int.from_bytes(plain[at : at + 4], "little")
            at += 4
            if not 0 < length <= min(self._max_chunk, size - at):
                raise WireError("chunk of a bad size in a segment")
            yield b"", plain[at : at + length]
            at += length
