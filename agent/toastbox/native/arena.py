"""Arena: all file metadata and transfer buffers in one mapping whose size is set beforehand.

The mapping is carved once: pools of equal records (chunk buffers), named bump regions, and the bump region
`main` from what is left. Pages are the kernel's until first touched. Nothing in here grows; what does not fit
raises ArenaFull and the caller makes its batch smaller.

A memoryview handed out stays mapped as long as it is referenced, but after its release the same bytes are
handed out again: whoever releases must have dropped the views.
"""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from toastbox._native import ffi, lib
from toastbox.native.status import check

MAIN = "main"


class RegionStats(NamedTuple):
    """Figures of one region since the arena was made."""

    name: str
    size_bytes: int
    in_use_bytes: int
    peak_bytes: int
    refusals: int


class _Part:
    """What bump regions and pools share: a C region, and views of the mapping."""

    def __init__(self, name: str, region: Any, memory: "_Memory") -> None:
        self.name = name
        self.region = region
        self._memory = memory

    def stats(self) -> RegionStats:
        region = self.region
        return RegionStats(self.name, region.size, region.in_use, region.peak, region.refusals)


class _Memory:
    """The mapping and its address."""

    def __init__(self, size_bytes: int) -> None:
        self.map = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.pointer = ffi.from_buffer("uint8_t[]", self.map, require_writable=True)
        self.address = int(ffi.cast("uintptr_t", self.pointer))

    def view(self, pointer: Any, size_bytes: int) -> memoryview:
        start = int(ffi.cast("uintptr_t", pointer)) - self.address
        with memoryview(self.map) as whole:
            return whole[start : start + size_bytes]


class Region(_Part):
    """A bump region: pieces of any size, released in reverse order down to a mark."""

    def buffer(self, size_bytes: int) -> memoryview:
        """Writable bytes, aligned to 16, of undefined content; valid until a mark below is released.

        ArenaFull: no room, nothing has changed. ValueError: size_bytes is below 1.
        """
        if size_bytes < 1:
            raise ValueError(f"size out of range: {size_bytes}")
        out = ffi.new("void **")
        check(lib.tbx_bump_take(self.region, size_bytes, out), f"{size_bytes} bytes in {self.name}")
        return self._memory.view(out[0], size_bytes)

    def mark(self) -> int:
        """The top now, for release."""
        return lib.tbx_bump_mark(self.region)

    def release(self, mark: int) -> None:
        """Gives back all that was taken since mark. ValueError: it was given back already."""
        check(lib.tbx_bump_release(self.region, mark), self.name)

    @contextmanager
    def scope(self) -> Iterator["Region"]:
        """Releases at the end of a `with` block what was taken within."""
        mark = self.mark()
        try:
            yield self
        finally:
            self.release(mark)

    def is_half_full(self) -> bool:
        """Whether more than half is taken."""
        return int(self.region.in_use) * 2 > int(self.region.size)

    def view(self, pointer: Any, size_bytes: int) -> memoryview:
        """size_bytes of the mapping from a C pointer into this region."""
        return self._memory.view(pointer, size_bytes)

    def trim(self) -> None:
        """Gives the pages above the top back to the kernel, after a peak."""
        top = int(ffi.cast("uintptr_t", self.region.base)) - self._memory.address + self.region.in_use
        start = -(-top // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (top - self.region.in_use + self.region.size) // mmap.PAGESIZE * mmap.PAGESIZE
        if start < end:
            self._memory.map.madvise(mmap.MADV_DONTNEED, start, end - start)


class Pool(_Part):
    """Buffers of one size, taken and given back in any order."""

    def __init__(self, name: str, region: Any, memory: _Memory, size_bytes: int) -> None:
        super().__init__(name, region, memory)
        self.size_bytes = size_bytes

    def take(self) -> memoryview:
        """One buffer of size_bytes, content undefined. ArenaFull when all are out."""
        out = ffi.new("void **")
        check(lib.tbx_pool_take(self.region, out), f"one more buffer in {self.name}")
        return self._memory.view(out[0], self.size_bytes)

    def give(self, buffer: memoryview) -> None:
        """Takes a buffer back and closes this view. ValueError: not one of this pool's, or given twice."""
        with ffi.from_buffer("uint8_t[]", buffer) as pointer:
            check(lib.tbx_pool_give(self.region, pointer), self.name)
        buffer.release()

    @contextmanager
    def lend(self) -> Iterator[memoryview]:
        """A buffer for the length of a `with` block."""
        buffer = self.take()
        try:
            yield buffer
        finally:
            self.give(buffer)


class Arena:
    """One mapping of size_bytes, carved when made.

    pools: name -> (bytes of a buffer, number of buffers). regions: name -> bytes. What is left is the bump
    region `main`, which the arena's own buffer, mark and release work on. At most 8 parts in all, their names
    at most 11 bytes. ArenaFull: the parts do not fit. For one thread at a time.
    """

    def __init__(
        self,
        size_bytes: int,
        pools: Mapping[str, tuple[int, int]] | None = None,
        regions: Mapping[str, int] | None = None,
    ) -> None:
        self._memory = _Memory(size_bytes)
        self._arena = ffi.new("tbx_arena *")
        check(lib.tbx_arena_init(self._arena, self._memory.pointer, size_bytes), f"{size_bytes} bytes")
        self.size_bytes = size_bytes
        self.pools = {name: self._carve_pool(name, *shape) for name, shape in (pools or {}).items()}
        self.regions = {name: self._carve(name, size) for name, size in (regions or {}).items()}
        self.main = self.regions[MAIN] = self._carve(MAIN, 0)

    def _carve_pool(self, name: str, size_bytes: int, count: int) -> Pool:
        index = check(lib.tbx_arena_pool(self._arena, name.encode(), size_bytes, count), f"pool {name}")
        return Pool(name, self._region(index), self._memory, size_bytes)

    def _carve(self, name: str, size_bytes: int) -> Region:
        index = check(lib.tbx_arena_carve(self._arena, name.encode(), size_bytes), f"region {name}")
        return Region(name, self._region(index), self._memory)

    def _region(self, index: int) -> Any:
        return ffi.addressof(self._arena.regions, index)

    def buffer(self, size_bytes: int) -> memoryview:
        """Region.buffer of main."""
        return self.main.buffer(size_bytes)

    def mark(self) -> int:
        """Region.mark of main."""
        return self.main.mark()

    def release(self, mark: int) -> None:
        """Region.release of main."""
        self.main.release(mark)

    def forget_content(self) -> None:
        """Gives all pages back to the kernel: what is taken stays taken, and reads as zeros until it is written."""
        self._memory.map.madvise(mmap.MADV_DONTNEED)

    def resident_bytes(self) -> int:
        """How much of the mapping is in memory now."""
        return check(lib.tbx_memory_resident(self._memory.pointer, self.size_bytes))

    def stats(self) -> list[RegionStats]:
        """Figures of every part, pools first."""
        return [part.stats() for part in (*self.pools.values(), *self.regions.values())]
