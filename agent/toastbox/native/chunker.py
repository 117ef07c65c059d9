"""Chunker: the C chunker's Python face. The rule: cnative/CHUNKER.md; the reference: core/chunker.py."""

import mmap

from toastbox._native import ffi, lib
from toastbox.native.status import check

Buffer = bytes | bytearray | memoryview | mmap.mmap

_BATCH = 256  # ends taken from C at a time: 2 KiB of state


class Chunker:
    """Finds where chunks end in a stream, given in pieces of any size.

    min_size, avg_size, max_size: bytes; avg_size is a power of two from 512 to 16 MiB, min_size 32 to
    avg_size, max_size avg_size to 1 GiB. ValueError otherwise. Views are read in place, without the GIL, and
    not kept.
    """

    def __init__(self, min_size: int = 16384, avg_size: int = 65536, max_size: int = 262144) -> None:
        if not all(0 <= size <= 0xFFFFFFFF for size in (min_size, avg_size, max_size)):
            raise ValueError("size out of range")
        self._state = ffi.new("tbx_chunker *")
        check(lib.tbx_chunker_init(self._state, min_size, avg_size, max_size))
        self._used = ffi.new("size_t *")
        self._ends = ffi.new("size_t[]", _BATCH)

    def scan(self, view: Buffer) -> int:
        """Bytes of view through the next cut; -1: all of it was consumed and the chunk goes on."""
        with ffi.from_buffer("uint8_t[]", view) as data:
            found = lib.tbx_chunker_scan(self._state, data, len(data), self._used)
        return int(self._used[0]) if found == 1 else -1

    def cuts(self, view: Buffer) -> list[int]:
        """Consumes view; the offsets in it where chunks end. What follows the last one is an open chunk."""
        ends: list[int] = []
        with ffi.from_buffer("uint8_t[]", view) as data:
            at, size = 0, len(data)
            while at < size:
                count = lib.tbx_chunker_cuts(self._state, data + at, size - at, self._ends, _BATCH, self._used)
                found = ffi.unpack(self._ends, count)
                ends += [at + end for end in found] if at else found
                at += self._used[0]
        return ends

    def reset(self) -> None:
        """Starts anew, as after a cut."""
        lib.tbx_chunker_reset(self._state)
