"""Chunks in append-only packs: docs/SPEC.md, section 10.

A chunk is written to the growing pack, then its place is put in the index; publish() shows it to readers, flush() syncs
the packs first. The mark `durable` follows when the index writes its rows out. So at any power cut

    before `durable`   packs and index agree
    after it           the index may lack rows or have too many; the packs may end in a torn record

and opening reads what follows the mark again: rows past it are dropped, records whose head holds and whose
data hash to their name get a row, and the pack is cut after the last of them. An index that is lost,
damaged or of another version is made anew by reading all packs.

A chunk is hashed before it is written and when it is read, but not within its first ten seconds: then it comes from
the kernel's memory, and who receives it hashes it anyway. One that does not hash to its name when read is served as
missing, and stays so for this run; storing it again puts a new copy in its place. Damage heals by any device that still
has the content.
"""

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from toastbox.errors import DamagedData, DeviceFailing, DeviceFull
from toastbox.hub.chunks.base import Buffer
from toastbox.hub.chunks.index import VERSION, ChunkIndex, Place
from toastbox.hub.chunks.packfile import (
    HEADER,
    PACK_BYTES,
    RECORD,
    Found,
    PackTail,
    pack_numbers,
    pack_path,
    scan,
    sync_folder,
)
from toastbox.hub.storage import storage_errors

_log = logging.getLogger(__name__)
_RUN_BYTES = 256 << 10  # adjacent records read with one system call
_SCAN_ROWS = 1024
_COPY_ROWS = 256
_DAMAGED_LIMIT = 10_000
FRESH_S = 10  # a disk that gives back other bytes than it was given is noticed by the hub after that
KEPT_FREE_BYTES = 16 << 20  # for journal and index: on a disk filled to the brim no hub starts, deletes or prunes


class PackStore:
    """PruneStore on the folder at path. now_s: the hub's clock, for the age of chunks only."""

    def __init__(self, path: str, now_s: Callable[[], int], pack_bytes: int = PACK_BYTES) -> None:
        os.makedirs(path, mode=0o700, exist_ok=True)
        self._path = path
        self._now_s = now_s
        self._tail = PackTail(path, pack_bytes)
        self._damaged: set[tuple[int, bytes]] = set()
        self._swept = (0, b"")
        self._marks_hold = False
        self._emptied: int | None = None  # the pack compact() is at work on
        self._copied = (0, b"")  # how far, in order of the index
        self._sync_failed = False
        self._published = self._durable = (0, 0)
        with storage_errors():
            self._index = self._open_index()
            self._recover()
        self._begun = self._durable  # what was written before is of an earlier run

    def missing(self, folder: int, hashes: Sequence[bytes]) -> list[bool]:
        places = self._index.where_all(folder, hashes)
        return [digest not in places or (folder, digest) in self._damaged for digest in hashes]

    def load(self, folder: int, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, Buffer | None]]:
        places = self._index.where_all(folder, hashes)
        with contextlib.ExitStack() as files:
            packs: dict[int, int] = {}
            for run in _runs(hashes, places):
                yield from self._load_run(folder, run, places, packs, files)

    def sizes_of(self, folder: int, hashes: Sequence[bytes]) -> dict[bytes, int]:
        sizes = self._index.sizes(folder, hashes)
        if not self._damaged:
            return sizes
        return {digest: size for digest, size in sizes.items() if (folder, digest) not in self._damaged}

    def store(self, folder: int, chunks: Iterable[tuple[bytes, Buffer]]) -> tuple[int, int]:
        new: dict[bytes, Buffer] = {}
        for digest, data in chunks:
            found = sha256(data).digest()
            if found != digest:
                raise DamagedData(digest, found)
            new.setdefault(digest, data)
        for digest in self.sizes_of(folder, list(new)):
            del new[digest]
        size = sum(map(len, new.values()))
        with storage_errors():
            if new and self._free_bytes() < size + KEPT_FREE_BYTES:
                raise OSError(errno.ENOSPC, "what is left is not for content")
        self._append(folder, list(new.items()))
        return len(new), size

    def _free_bytes(self) -> int:
        found = os.statvfs(self._path)
        return found.f_bavail * found.f_frsize

    def publish(self) -> None:
        with storage_errors():
            self._index.commit()
            self._published = self._tail.number, self._tail.offset
            if self._index.is_full:
                self._index.write_out(self._durable)

    def flush(self) -> None:
        position = self._tail.number, self._tail.offset
        with storage_errors():
            if position != self._durable:
                self._sync_failed = True
                self._tail.sync()
                self._sync_failed = False
            self._index.commit()
            self._published = self._durable = position
            if self._index.is_full:
                self._index.write_out(position)

    def rollback(self) -> None:
        """After a failed sync nothing past the mark is believed: the kernel may have dropped those pages."""
        self._marks_hold = False
        with storage_errors():
            self._index.rollback()
            if self._sync_failed:
                self._published = self._durable
                self._index.forget_after(*self._durable)
                self._index.commit()
                self._sync_failed = False
            self._tail.open(*self._published)
            self._emptied = None

    def close(self) -> None:
        """What cannot be written then is read from the packs when they are opened."""
        with contextlib.suppress(DeviceFull, DeviceFailing), storage_errors():
            self._index.rollback()
            self._index.write_out(self._durable)
        self._tail.close()
        self._index.close()

    def mark_start(self) -> None:
        self._swept = (0, b"")
        self._write_out()  # what is not in the table is not swept
        self._index.forget_marks()
        self._marks_hold = True

    def mark(self, folder: int, hashes: Iterable[bytes]) -> None:
        self._index.mark(folder, hashes)

    def sweep(self, before_s: int, limit: int) -> int | None:
        if not self._marks_hold:
            raise DeviceFailing("pruning was interrupted by a full or failing disk: try it again")
        swept = self._index.sweep(self._swept, before_s, limit)
        if swept is None:
            return None
        self._swept, dropped = swept
        return dropped

    def compact(self, limit_bytes: int) -> int | None:
        """One pack that is half dead or more is emptied into the tail, then removed.

        The copies are on stable storage, and the index that names them too, before the old pack goes:
        whenever the power is cut, each chunk is in at least one pack that the index or the scan finds.
        limit_bytes bounds the bytes copied in one step.
        """
        with storage_errors():
            if self._emptied is None:
                self._write_out()
                self._emptied, self._copied = self._victim(), (0, b"")
            if self._emptied is None:
                return None
            if not self._copy_live(self._emptied, limit_bytes):
                return 0
            self._write_out()
            self._index.checkpoint()
            return self._remove_pack(self._emptied)

    def _write_out(self) -> None:
        """The table has all there is, and says so."""
        self.flush()
        with storage_errors():
            self._index.write_out(self._durable)

    def _append(self, folder: int, chunks: list[tuple[bytes, Buffer]]) -> None:
        with storage_errors():
            places = self._tail.append(folder, chunks)
            now_s = self._now_s()
            self._index.add(
                (folder, digest, pack, offset, len(data), now_s)
                for (digest, data), (pack, offset) in zip(chunks, places, strict=True)
            )
        self._damaged.difference_update((folder, digest) for digest, _ in chunks)

    def _load_run(
        self,
        folder: int,
        run: list[bytes],
        places: dict[bytes, Place],
        packs: dict[int, int],
        files: contextlib.ExitStack,
    ) -> Iterator[tuple[bytes, Buffer | None]]:
        """Chunks whose records lie one behind the other, with one read; or one chunk that is not here."""
        first = places.get(run[0])
        data = memoryview(b"") if first is None else self._read(first, places[run[-1]], packs, files)
        for digest in run:
            place = places.get(digest)
            if place is None or first is None:
                yield digest, None
                continue
            start = place.offset - first.offset + RECORD.size
            chunk = data[start : start + place.size]
            yield digest, chunk if self._sound(folder, digest, chunk, place) else None

    def _read(self, first: Place, last: Place, packs: dict[int, int], files: contextlib.ExitStack) -> memoryview:
        """The bytes from first's record to the end of last's; fewer if the pack is short or gone."""
        try:
            fd = packs.get(first.pack)
            if fd is None:
                fd = packs[first.pack] = os.open(pack_path(self._path, first.pack), os.O_RDONLY | os.O_CLOEXEC)
                files.callback(os.close, fd)
            return memoryview(os.pread(fd, last.offset - first.offset + RECORD.size + last.size, first.offset))
        except OSError as error:
            _log.error("pack %06d cannot be read: %s", first.pack, error.strerror)
            return memoryview(b"")

    def _is_fresh(self, place: Place) -> bool:
        """Whether this run hashed and wrote it moments ago. Not in doubt: compaction copies chunks as they are."""
        age_s = self._now_s() - place.stored_s
        return 0 <= age_s < FRESH_S and place[:2] >= self._begun and self._emptied is None

    def _sound(self, folder: int, digest: bytes, data: memoryview, place: Place) -> bool:
        if self._is_fresh(place) and len(data) == place.size:
            return True
        found = sha256(data).digest()
        if found == digest:
            return True
        where = f"pack {place.pack:06d} at {place.offset}"
        _log.error("%s", DamagedData(digest, found, where))
        if len(self._damaged) < _DAMAGED_LIMIT:
            self._damaged.add((folder, digest))
        return False

    def _open_index(self) -> ChunkIndex:
        """The index, or an empty one in place of one that is damaged or of another version."""
        path = os.path.join(self._path, "index.db")
        try:
            index = ChunkIndex(path)
            if index.version() == VERSION:
                if self._covers(*index.durable()):
                    return index
                _log.error("packs have lost their last part or are gone: what devices still have of it they bring back")
            index.close()
        except sqlite3.DatabaseError as error:
            _log.error("chunk index is damaged, making it anew: %s", error)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + suffix)
        return ChunkIndex(path)

    def _covers(self, pack: int, offset: int) -> bool:
        """Whether the packs reach as far as the index says."""
        if pack == 0:
            return True
        try:
            return os.stat(pack_path(self._path, pack)).st_size >= offset
        except FileNotFoundError:
            return False

    def _recover(self) -> None:
        """Read again what follows the mark: see the top of this file."""
        number, offset = position = self._durable = self._index.durable()
        later = [pack for pack in pack_numbers(self._path) if pack >= number]
        if later and (later[-1] != number or os.stat(pack_path(self._path, number)).st_size != offset):
            self._index.forget_after(number, offset)
            for pack in later:
                position = pack, self._rescan(pack, offset if pack == number else HEADER.size)
        self._tail.open(*position)
        self._write_out()

    def _rescan(self, pack: int, offset: int) -> int:
        """Put the records of a pack from offset on into the index; return where the last one ends."""
        fd = os.open(pack_path(self._path, pack), os.O_RDONLY | os.O_CLOEXEC)
        try:
            end, batch = max(offset, HEADER.size), list[Found]()
            for found in scan(fd, end):
                end = found.offset + RECORD.size + found.size
                batch.append(found)
                if len(batch) == _SCAN_ROWS:
                    self._index_found(pack, batch)
            self._index_found(pack, batch)
            return end
        finally:
            os.close(fd)

    def _index_found(self, pack: int, batch: list[Found]) -> None:
        now_s = self._now_s()
        self._index.add((f.folder, f.digest, pack, f.offset, f.size, now_s) for f in batch if f.whole)
        self.publish()
        batch.clear()

    def _victim(self) -> int | None:
        live = self._index.live_bytes()
        for pack in pack_numbers(self._path):
            count, size = live.get(pack, (0, 0))
            if pack != self._tail.number and 2 * (size + count * RECORD.size) < self._pack_size(pack):
                return pack
        return None

    def _pack_size(self, pack: int) -> int:
        return os.stat(pack_path(self._path, pack)).st_size

    def _copy_live(self, pack: int, limit_bytes: int) -> bool:
        """Copy live chunks of pack to the tail, about limit_bytes of them; whether none is left."""
        fd = os.open(pack_path(self._path, pack), os.O_RDONLY | os.O_CLOEXEC)
        try:
            while limit_bytes > 0:
                rows = self._index.of_pack(pack, self._copied, _COPY_ROWS)
                if not rows:
                    return True
                for folder, digest, offset, size in rows:
                    self._copy(folder, digest, os.pread(fd, size, offset + RECORD.size))
                    limit_bytes -= size
                self._copied = rows[-1][:2]
            return False
        finally:
            os.close(fd)

    def _copy(self, folder: int, digest: bytes, data: bytes) -> None:
        """Damaged data is copied as it is: its bytes may still help somebody."""
        if data:
            [(pack, offset)] = self._tail.append(folder, [(digest, data)])
            self._index.move([(pack, offset, folder, digest)])

    def _remove_pack(self, pack: int) -> int:
        freed = self._pack_size(pack)
        os.unlink(pack_path(self._path, pack))
        sync_folder(self._path)
        self._emptied = None
        return freed


def _runs(hashes: Sequence[bytes], places: dict[bytes, Place]) -> Iterator[list[bytes]]:
    """Cut hashes where their records are not neighbours in a pack, or a run gets long."""
    run: list[bytes] = []
    start, end = 0, (0, 0)
    for digest in hashes:
        place = places.get(digest)
        joins = place is not None and place[:2] == end and place.offset + place.size - start <= _RUN_BYTES
        if run and not joins:
            yield run
            run = []
        if not run:
            start = place.offset if place else 0
        run.append(digest)
        end = (place.pack, place.offset + RECORD.size + place.size) if place else (0, 0)
    if run:
        yield run
