"""Pack files: docs/SPEC.md, section 10. Records are appended, never changed, and describe themselves.

    header   "TBPACK1\\n", u64 number                                      16 bytes
    record   "TBCK", u32 size, u32 folder, hash, u32 CRC-32 of these 44    48 bytes, then the data

The checksum of a record's head lets a scan step over a record whose data is damaged, and find the next record
after a head that is. What follows the last good record is a torn write: it is cut when the pack is opened.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from toastbox.core.wire import MAX_CHUNK
from toastbox.hub.chunks.base import Buffer
from toastbox.native import posix

PACK_BYTES = 256 << 20
HEADER = struct.Struct("<8sQ")
RECORD = struct.Struct("<4sII32sI")
_CHECKED = struct.Struct("<4sII32s")  # the part of a record's head that its checksum covers
_MAGIC = b"TBPACK1\n"
_RECORD_MAGIC = b"TBCK"
_SEARCH_BYTES = 64 << 10
_WRITE_BACK_BYTES = 4 << 20  # so much is begun to be written out at a time: the flush before a commit finds little left
_IOV = 512  # heads and chunks per writev: two each, below IOV_MAX


class Found(NamedTuple):
    """A record met by a scan. offset: of its head; whole: whether its data hash to its name."""

    offset: int
    folder: int
    digest: bytes
    size: int
    whole: bool


def pack_path(folder: str, number: int) -> str:
    """Where pack number lives."""
    return os.path.join(folder, f"{number:06d}.pack")


def pack_numbers(folder: str) -> list[int]:
    """The packs that exist, in order."""
    names = (name.removesuffix(".pack") for name in os.listdir(folder) if name.endswith(".pack"))
    return sorted(int(name) for name in names if name.isdecimal())


def record_head(folder: int, digest: bytes, size: int) -> bytes:
    """The 48 bytes before a chunk's data."""
    head = _CHECKED.pack(_RECORD_MAGIC, size, folder, digest)
    return head + zlib.crc32(head).to_bytes(4, "little")


def scan(fd: int, offset: int) -> Iterator[Found]:
    """Records from offset to the end. One chunk of memory.

    Where a head does not hold (a torn write, a damaged sector) the next one that does is looked for.
    """
    end = os.fstat(fd).st_size
    while offset + RECORD.size <= end:
        known = _head_at(os.pread(fd, RECORD.size, offset), end - offset)
        if known is None:
            offset = _next_head(fd, offset + 1, end)
            continue
        folder, digest, size = known
        data = os.pread(fd, size, offset + RECORD.size)
        yield Found(offset, folder, digest, size, sha256(data).digest() == digest)
        offset += RECORD.size + size


def _head_at(head: bytes, room: int) -> tuple[int, bytes, int] | None:
    """(folder, digest, size) of a record's head if it holds and the record ends within room bytes."""
    magic, size, folder, digest, check = RECORD.unpack(head)
    if magic != _RECORD_MAGIC or check != zlib.crc32(head[:-4]):
        return None
    return (folder, digest, size) if 0 < size <= min(MAX_CHUNK, room - RECORD.size) else None


def _next_head(fd: int, offset: int, end: int) -> int:
    """Where the next record's head may start; end if nowhere."""
    while offset < end:
        block = os.pread(fd, _SEARCH_BYTES, offset)
        at = block.find(_RECORD_MAGIC)
        if at >= 0:
            return offset + at
        offset += max(1, len(block) - len(_RECORD_MAGIC) + 1)
    return end


class PackTail:
    """The pack that grows. Position: (number, offset) after the last record written."""

    def __init__(self, folder: str, pack_bytes: int = PACK_BYTES) -> None:
        self._folder = folder
        self._limit = pack_bytes
        self._fd = -1
        self._unsynced: dict[int, int] = {}  # descriptors of full packs left behind since the last sync, by number
        self._dirty = 0  # bytes written since the disk was last asked to begin
        self.number = 0
        self.offset = 0

    def open(self, number: int, offset: int) -> None:
        """Go on at offset of pack number, cutting what follows; number 0: no pack yet.

        Full packs before it that were not synced yet still have to be.
        """
        unsynced = {pack: fd for pack, fd in self._unsynced.items() if pack < number}
        for pack in unsynced:
            del self._unsynced[pack]
        self.close()
        self._unsynced = unsynced
        for extra in pack_numbers(self._folder):
            if extra > number:
                os.unlink(pack_path(self._folder, extra))
        self.number, self.offset = number, offset
        if number:
            self._fd = os.open(pack_path(self._folder, number), os.O_RDWR | os.O_CLOEXEC)
            os.ftruncate(self._fd, offset)

    def append(self, folder: int, chunks: Sequence[tuple[bytes, Buffer]]) -> list[tuple[int, int]]:
        """Write chunks one after the other; return (pack, offset) of each record. Raises OSError."""
        places: list[tuple[int, int]] = []
        gather: list[Buffer] = []
        for digest, data in chunks:
            if self.number == 0 or self.offset + RECORD.size + len(data) > self._limit:
                self._write(gather)
                self._next_pack()
            places.append((self.number, self.offset))
            gather += (record_head(folder, digest, len(data)), data)
            self.offset += RECORD.size + len(data)
            if len(gather) >= _IOV:
                self._write(gather)
        self._write(gather)
        return places

    def sync(self) -> None:
        """fdatasync all packs written since the last sync. Raises OSError."""
        for number, fd in list(self._unsynced.items()):
            os.fdatasync(fd)
            os.close(self._unsynced.pop(number))
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def close(self) -> None:
        for fd in (*self._unsynced.values(), self._fd):
            if fd >= 0:
                os.close(fd)
        self._unsynced.clear()
        self._fd = -1

    def _write(self, gather: list[Buffer]) -> None:
        """pwritev all of gather so that it ends at self.offset; gather is emptied."""
        size = sum(map(len, gather))
        at = self.offset - size
        while gather:
            written = os.pwritev(self._fd, gather, at)
            at += written
            if at == self.offset:
                gather.clear()
                break
            while gather and written >= len(gather[0]):
                written -= len(gather.pop(0))
            if written:
                gather[0] = memoryview(gather[0])[written:]
        self._dirty += size
        if self._dirty >= _WRITE_BACK_BYTES:
            posix.write_back(self._fd)
            self._dirty = 0

    def _next_pack(self) -> None:
        if self._fd >= 0:
            self._unsynced[self.number] = self._fd
            self._fd = -1
        number = self.number + 1
        path = pack_path(self._folder, number)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.pwrite(self._fd, HEADER.pack(_MAGIC, number), 0)
        sync_folder(self._folder)
        self.number, self.offset = number, HEADER.size


def sync_folder(path: str) -> None:
    """Make names made or removed in the folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
