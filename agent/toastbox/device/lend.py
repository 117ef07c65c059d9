"""Chunks of this folder for those who ask on the LAN: found by the index, read from the file, verified."""

import hashlib

from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.state import Store
from toastbox.native.arena import Region

CACHE_BYTES = 64 << 10


class Lender:
    """Looks chunks up with eyes of its own: the loop's index and descriptors belong to its thread.

    Opened when the first peer asks; one thread at a time.
    """

    def __init__(self, store: Store, listings: Region) -> None:
        self._store = store
        self._listings = listings
        self._open: tuple[Index, Folder] | None = None

    def load(self, digest: bytes) -> bytes | None:
        """The chunk, or None when no file has it any more."""
        if self._open is None:
            self._open = (
                Index(self._store.index_path, CACHE_BYTES),
                Folder(str(self._store.folder), self._listings),
            )
        index, folder = self._open
        for row, offset, size in index.holders(digest):
            data = _read(folder, row.entry.path, offset, size)
            if data is not None and hashlib.sha256(data).digest() == digest:
                return data
        return None

    def close(self) -> None:
        if self._open is not None:
            index, folder = self._open
            index.close()
            folder.close()
            self._open = None


def _read(folder: Folder, path: bytes, offset: int, size: int) -> bytes | None:
    folder.forget()
    try:
        descriptor = folder.open(path)
    except OSError:
        return None
    try:
        return folder.read_at(descriptor, size, offset)
    except OSError:
        return None
    finally:
        folder.close_file(descriptor)
