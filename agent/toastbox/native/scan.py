"""Scan: one directory, read in C into an arena, sorted by name (cnative/src/scan.c)."""

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from toastbox._native import ffi, lib
from toastbox.native.arena import Arena, Region
from toastbox.native.chunker import Buffer
from toastbox.native.status import check

FILE: int = lib.TBX_FILE
FOLDER: int = lib.TBX_FOLDER
LINK: int = lib.TBX_LINK
OTHER: int = lib.TBX_OTHER

_as_record = tuple.__new__  # of fields in their order: half the time of Record(...)
_RECORD = struct.Struct("=QqqQQIHBx")  # tbx_record; the name follows
_MADE = struct.Struct("=QqII")  # tbx_made
_TAKEN = struct.Struct("=QqqQQIHBxIiI4x")  # tbx_taken
if [_RECORD.size, _MADE.size, _TAKEN.size] != [ffi.sizeof(name) for name in ("tbx_record", "tbx_made", "tbx_taken")]:
    raise ImportError("C and toastbox.native.scan disagree: rebuild the extension")


class Record(NamedTuple):
    """One name as lstat sees it. kind: FILE, FOLDER, LINK or OTHER. Times in ns since 1970."""

    name: bytes
    kind: int
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def look(fd: int, name: bytes = b"") -> Record:
    """A name in the directory open at fd, or fd itself when it is b"". Follows no link. Raises OSError.

    os.stat of a 32-bit Python raises EOVERFLOW for times beyond 2038.
    """
    raw = ffi.new("tbx_record *")
    if check(lib.tbx_record_read(raw, fd, name), os.fsdecode(name)) == 1:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(name))
    return _record(name, raw)


def identify(fd: int, names: Sequence[bytes]) -> list[tuple[tuple[int, int, int], int]]:
    """((inode, size, mtime_ns), kind) of many names at once, in their order. Zeros: gone, or cannot be looked at."""
    raw = ffi.new("tbx_record[]", len(names))
    lib.tbx_records_read(raw, len(names), fd, b"\0".join(names))
    found = _RECORD.iter_unpack(ffi.buffer(raw))
    return [((inode, size, mtime), kind) for size, mtime, _, inode, _, _, _, kind in found]


def move_file(from_fd: int, old: bytes, to_fd: int, new: bytes) -> Record | None:
    """Rename a name of one open directory to one of another that nothing has; how it looks, None if it is gone since.

    Raises OSError, FileExistsError for one that is taken.
    """
    raw = ffi.new("tbx_record *")
    gone = check(lib.tbx_file_move(raw, from_fd, old, to_fd, new), os.fsdecode(new))
    return None if gone else _record(new, raw)


def move_files(
    from_fd: int, old: Sequence[bytes], to_fd: int, new: Sequence[bytes]
) -> list[tuple[bool, Record | None]]:
    """`move_file` for many: (whether it was renamed, how it looks then). What was not stays as it is."""
    count = len(old)
    raw, results = ffi.new("tbx_record[]", count), ffi.new("int[]", count)
    lib.tbx_files_move(raw, results, count, from_fd, b"\0".join(old), to_fd, b"\0".join(new))
    return [
        (result >= 0, record if result == 0 else None)
        for result, record in zip(ffi.unpack(results, count), _records(new, raw), strict=True)
    ]


def make_file(fd: int, name: bytes, data: Buffer, time_ns: int, mode: int) -> Record:
    """A file in the directory open at fd with this content, time and permission bits, closed again; how it looks.

    What has the name already is truncated; a link is refused. OSError: it may be there in part.
    """
    raw = ffi.new("tbx_record *")
    seconds, nanoseconds = divmod(time_ns, 10**9)
    with ffi.from_buffer("uint8_t[]", data) as content:
        result = lib.tbx_file_make(raw, fd, name, content, len(content), seconds, nanoseconds, mode)
        check(result, os.fsdecode(name))
    return _record(name, raw)


def make_files(fd: int, files: Sequence[tuple[bytes, int, int, int]], data: Buffer) -> list[Record | None]:
    """`make_file` for many: (name, size, time_ns, permission bits), and their contents one after the other.

    None: it failed, and may be there in part.
    """
    raw = ffi.new("tbx_record[]", len(files))
    made = b"".join(_MADE.pack(size, *divmod(time_ns, 10**9), mode) for _, size, time_ns, mode in files)
    names = [name for name, _, _, _ in files]
    with ffi.from_buffer("uint8_t[]", data) as content, ffi.from_buffer("tbx_made[]", made) as table:
        lib.tbx_files_make(raw, table, len(files), fd, b"\0".join(names), content)
    return _records(names, raw)


class Taken(NamedTuple):
    """A file that was read. seen: how it looked then, None: otherwise than before. error: errno, 0 when it was read."""

    size: int
    seen: Record | None
    error: int


def take_files(fd: int, names: Sequence[bytes], buffer: memoryview, most: int) -> list[Taken]:
    """Read files in the directory open at fd, one behind the other into a buffer, of each at most `most` bytes.

    Of what is no regular file nothing is read; its kind says so. A link is refused. Left out are the names from the
    first on for which the buffer has less than `most` bytes left.
    """
    raw = ffi.new("tbx_taken[]", len(names))
    with ffi.from_buffer("uint8_t[]", buffer, require_writable=True) as room:
        done = lib.tbx_files_take(raw, len(names), fd, b"\0".join(names), room, len(room), most)
    found = zip(names, _TAKEN.iter_unpack(ffi.buffer(raw, done * _TAKEN.size)), strict=False)
    taken = []
    for name, (size, mtime, ctime, inode, device, mode, _, kind, got, error, changed) in found:
        seen = None
        if not changed and not error:
            seen = _as_record(Record, (name, kind, mode, size, mtime, ctime, inode, device))
        taken.append(_as_record(Taken, (got, seen, error)))
    return taken


def _record(name: bytes, raw: Any) -> Record:
    return Record(name, raw.kind, raw.mode, raw.size, raw.mtime_ns, raw.ctime_ns, raw.inode, raw.device)


def _records(names: Sequence[bytes], raw: Any) -> list[Record | None]:
    """None for those of kind 0."""
    found = zip(names, _RECORD.iter_unpack(ffi.buffer(raw)), strict=True)
    return [
        _as_record(Record, (name, kind, mode, size, mtime, ctime, inode, device)) if kind else None
        for name, (size, mtime, ctime, inode, device, mode, _, kind) in found
    ]


class Listing:
    """Names of one directory in byte order, in the arena. Records are made as they are asked for.

    more: the directory has names above the last one; list again after it. Listings of one region are
    released last in, first out, as a walk into depth does.
    """

    def __init__(self, region: Region, listing: object) -> None:
        raw = ffi.cast("tbx_listing *", listing)
        self._region = region
        self._mark: int = raw.mark
        self.more = bool(raw.more)
        self._records = region.view(raw.base, raw.used) if raw.used else memoryview(b"")
        self._offsets = self._records[len(self._records) - 4 * raw.count :].cast("I")

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Record:
        offset = self._offsets[index]
        size, mtime, ctime, inode, device, mode, name_size, kind = _RECORD.unpack_from(self._records, offset)
        start = offset + _RECORD.size
        name = bytes(self._records[start : start + name_size])
        return Record(name, kind, mode, size, mtime, ctime, inode, device)

    def __iter__(self) -> Iterator[Record]:
        records, unpack, head = self._records, _RECORD.unpack_from, _RECORD.size
        for offset in self._offsets:
            size, mtime, ctime, inode, device, mode, name_size, kind = unpack(records, offset)
            start = offset + head
            name = bytes(records[start : start + name_size])
            yield _as_record(Record, (name, kind, mode, size, mtime, ctime, inode, device))

    def release(self) -> None:
        """Gives the memory back; the listing is empty from then on. A second call does nothing."""
        if self._mark >= 0:
            self._offsets.release()
            self._records.release()
            self._offsets, self._records = memoryview(b"").cast("I"), memoryview(b"")
            mark, self._mark = self._mark, -1
            self._region.release(mark)

    def __enter__(self) -> "Listing":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def list_directory(fd: int, arena: Arena | Region, after: bytes = b"", max_bytes: int = 0) -> Listing:
    """Lists the directory open at fd: all names above `after`, or as many of the smallest as fit.

    fd: opened for reading (not O_PATH); its offset is moved. max_bytes bounds what the listing takes of the
    region; 0: half of what is free, but 64 KiB or all there is before less. A listing holds at least one name
    if there is one above `after`. ArenaFull: not even one record (320 bytes) fits. OSError: the directory
    cannot be read or one of its names cannot be examined. Names that vanish meanwhile are left out.
    """
    region = arena.main if isinstance(arena, Arena) else arena
    listing = ffi.new("tbx_listing *")
    result = lib.tbx_listing_scan(listing, fd, region.region, after, len(after), max_bytes)
    check(result, f"a directory's names in {region.name}" if result == lib.TBX_ERR_FULL else "")
    return Listing(region, listing)
