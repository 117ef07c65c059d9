"""The real hub service on a journal in memory, with what can befall its machine.

Every request is flushed before its answer, as hub/groupcommit.py does for a group, but uploads: these are published
only. A kill or a power cut takes what was not flushed; a restore puts an older journal back, whose epoch is then new.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from toastbox.core.content import items
from toastbox.core.entry import FILE
from toastbox.errors import DamagedData
from toastbox.hub.ahead import Ahead
from toastbox.hub.chunks.base import Buffer
from toastbox.hub.journal.base import Device, Row
from toastbox.hub.journal.sqlite import SqliteJournal
from toastbox.hub.service import HubService

from .clock import HubClock

FOLDER_NUMBER = 1


class MemoryChunks:
    """ChunkStore. What was stored since the last flush is lost in a power cut."""

    def __init__(self, durable: dict[bytes, bytes]) -> None:
        self.durable = durable
        self._fresh: dict[bytes, bytes] = {}

    def get(self, digest: bytes) -> bytes | None:
        return self.durable.get(digest, self._fresh.get(digest))

    def missing(self, folder: int, hashes: Sequence[bytes]) -> list[bool]:
        return [self.get(digest) is None for digest in hashes]

    def load(self, folder: int, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, Buffer | None]]:
        for digest in hashes:
            yield digest, self.get(digest)

    def sizes_of(self, folder: int, hashes: Sequence[bytes]) -> dict[bytes, int]:
        found = {digest: self.get(digest) for digest in hashes}
        return {digest: len(data) for digest, data in found.items() if data is not None}

    def store(self, folder: int, chunks: Iterable[tuple[bytes, Buffer]]) -> tuple[int, int]:
        new = {digest: bytes(data) for digest, data in chunks if self.get(digest) is None}
        for digest, data in new.items():
            if sha256(data).digest() != digest:
                raise DamagedData(digest, sha256(data).digest())
        self._fresh.update(new)
        return len(new), sum(len(data) for data in new.values())

    def publish(self) -> None:
        pass

    def flush(self) -> None:
        self.durable.update(self._fresh)
        self._fresh.clear()

    def rollback(self) -> None:
        pass

    def survivors(self, chance: random.Random) -> dict[bytes, bytes]:
        """What is there after a power cut: any part of what was not flushed may be too."""
        kept = {digest: data for digest, data in self._fresh.items() if chance.random() < 0.5}
        return self.durable | kept

    def close(self) -> None:
        pass


class Heads:
    """hub.headfile.HeadFile in memory."""

    def __init__(self) -> None:
        self._heads: dict[bytes, int] = {}

    def heads(self) -> dict[bytes, int]:
        return self._heads

    def write(self, epoch: int, folders: Iterable[Any]) -> None:
        self._heads = {folder.ident: folder.head for folder in folders}


class Hub:
    """A hub that can be killed, lose its power, and be put back to an older state."""

    def __init__(self, clock: HubClock, names: Sequence[str]) -> None:
        self._clock = clock
        self._heads = Heads()
        self.runs = 0
        self._start(b"", {})
        journal = self.journal
        journal.add_folder("main", bytes(16))
        for name in names:
            journal.add_device(Device(0, FOLDER_NUMBER, name, bytes(32), 0, False, ""))
        self.service.flush()
        self.devices = {device.name: device for device in journal.devices(FOLDER_NUMBER)}
        self._backup = self.saved()

    def _start(self, image: bytes, chunks: dict[bytes, bytes]) -> None:
        self.runs += 1
        self.ahead = Ahead(self._clock.monotonic)
        self.journal = SqliteJournal(":memory:")
        if image:
            self.journal._writer.deserialize(image)
        self.chunks = MemoryChunks(chunks)
        heads: Any = self._heads
        self.service = HubService(self.journal, self.chunks, self._clock, heads)

    def saved(self) -> tuple[bytes, dict[bytes, bytes]]:
        """All that is on stable storage."""
        return self.journal._writer.serialize(), dict(self.chunks.durable)

    def back_up(self) -> None:
        self._backup = self.saved()

    def power_cut(self, chance: random.Random) -> None:
        """End without a flush, and start on what is left."""
        self.service.rollback()
        self._start(self.journal._writer.serialize(), self.chunks.survivors(chance))

    def restore(self) -> None:
        """Start on the last backup; the head file is newer and tells."""
        self._start(*self._backup)
        self.service.renew_epoch("the journal has gone back in time")

    # --- for the checks

    @property
    def head(self) -> int:
        return self.journal.state(FOLDER_NUMBER)[0]

    def rows(self, after: int = 0) -> list[Row]:
        """Every row, old versions included, from the one behind `after` on."""
        found = []
        for row in self.journal.read_log(FOLDER_NUMBER, 1 << 62, 1 << 20):
            if row.seq <= after:
                break
            found.append(row)
        return found[::-1]

    def row(self, seq: int) -> Row | None:
        return self.journal.read_row(FOLDER_NUMBER, seq)

    def live(self) -> list[Row]:
        return [row for row in self.journal.read_paths(FOLDER_NUMBER, b"", 1 << 20) if row.kind]

    def data_of(self, row: Row) -> bytes | None:
        """The bytes of a file's version; None when a chunk is missing."""
        if row.pieces < 2:
            return b"" if not row.size else self.chunks.get(row.content)
        chunks = self.journal.read_list(FOLDER_NUMBER, row.content)
        parts = [self.chunks.get(digest) for digest, _ in items(chunks)] if chunks else [None]
        return None if None in parts else b"".join(part for part in parts if part is not None)

    def held_by(self, row: Row) -> bytes | None:
        """As Inode.held."""
        return self.data_of(row) if row.kind == FILE else b"-> " + row.content if row.content else b""
