"""Bringing back what the hub's disk has lost: chunks that some device asked for in vain, and that a file here has."""

import hashlib

from toastbox.core.bundle import chunk_head
from toastbox.core.content import MAX_CHUNK
from toastbox.core.entry import HASH_SIZE
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Buffer, Remote

BATCH_BYTES = 1 << 20


class Mender:
    """Asks the hub what it wants, whenever that is something else than last time, and uploads what is here."""

    def __init__(self, folder: Folder, index: Index, remote: Remote) -> None:
        self._folder = folder
        self._index = index
        self._remote = remote

    def mend(self) -> None:
        """Raises what an upload raises."""
        wanted = self._remote.wanted()
        parts: list[Buffer] = []
        size = 0
        for at in range(0, len(wanted), HASH_SIZE):
            digest = wanted[at : at + HASH_SIZE]
            data = self._find(digest)
            if data:
                parts += [chunk_head(digest, len(data)), data]
                size += len(parts[-2]) + len(data)
            if size >= BATCH_BYTES:
                self._remote.upload(parts, size)
                parts, size = [], 0
        if parts:
            self._remote.upload(parts, size)

    def _find(self, digest: bytes) -> bytes:
        """The chunk from a file that has it, b"" when none has."""
        for row, offset, size in self._index.holders(digest):
            data = self._read(row.entry.path, offset, size) if size <= MAX_CHUNK else b""
            if hashlib.sha256(data).digest() == digest:
                return data
        return b""

    def _read(self, path: bytes, offset: int, size: int) -> bytes:
        try:
            descriptor = self._folder.open(path)
        except OSError:
            return b""
        try:
            return self._folder.read_at(descriptor, size, offset)
        except OSError:
            return b""
        finally:
            self._folder.close_file(descriptor)
