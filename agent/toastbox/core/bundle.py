"""Chunks in a row (docs/SPEC.md, section 3): bytes in, chunks out."""

import struct

HEAD_SIZE = 36
MISSING = 15
SIZE_MASK = (1 << 28) - 1


class BundleError(ValueError):
    """A bundle that no honest peer sends."""


def chunk_head(digest: bytes, size: int) -> bytes:
    return size.to_bytes(4, "little") + digest


def missing_head(digest: bytes) -> bytes:
    return (MISSING << 28).to_bytes(4, "little") + digest


class BundleReader:
    """Feed it what arrives, in any pieces. max_chunk: largest size a chunk may claim."""

    def __init__(self, max_chunk: int) -> None:
        self._max_chunk = max_chunk
        self._rest = bytearray()

    def feed(self, data):  # type: ignore[no-untyped-def]
        """Yield (hash, data), or (hash, None) for a missing chunk; valid until the next item. Raises BundleError.

        Go through all of it before feeding again.
        """
        view = memoryview(data)
        at = 0
        while self._rest and at < len(view):
            wanted = HEAD_SIZE if len(self._rest) < HEAD_SIZE else HEAD_SIZE + self._size(self._rest, 0)
            take = min(wanted - len(self._rest), len(view) - at)
            self._rest += view[at : at + take]
            at += take
            if len(self._rest) >= HEAD_SIZE and len(self._rest) == HEAD_SIZE + self._size(self._rest, 0):
                record, self._rest = self._rest, bytearray()
                yield self._item(memoryview(record), 0, len(record))
        while len(view) - at >= HEAD_SIZE:
            end = at + HEAD_SIZE + self._size(view, at)
            if end > len(view):
                break
            yield self._item(view, at, end)
            at = end
        if at < len(view):
            self._rest += view[at:]

    def close(self) -> None:
        """Raise BundleError if the bundle ended inside a record."""
        if self._rest:
            raise BundleError("a bundle is cut off")

    def _size(self, data, at: int) -> int:  # type: ignore[no-untyped-def]
        (head,) = struct.unpack_from("<I", data, at)
        size, encoding = head & SIZE_MASK, head >> 28
        if encoding == MISSING and size == 0:
            return 0
        if encoding or not 0 < size <= self._max_chunk:
            raise BundleError("a chunk has a bad size or encoding")
        return size

    def _item(self, view, at: int, end: int):  # type: ignore[no-untyped-def]
        digest = bytes(view[at + 4 : at + HEAD_SIZE])
        return digest, (view[at + HEAD_SIZE : end] if end - at > HEAD_SIZE else None)
