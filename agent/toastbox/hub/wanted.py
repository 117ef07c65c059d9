"""Chunks that a device asked for and the hub could not give: damaged on its disk, or lost with it.

Another device may still have them. All are told (an event, and a mark in every answer to a pull), ask which they are
and bring what they have. It is kept in memory only: who needs a chunk asks again. A device may ask for anything, so
there is a limit, beyond which nothing is noted until something has been found.
"""

import secrets
import threading
from collections.abc import Iterable

from toastbox.core.wire import MAX_HASHES


class Wanted:
    """By folder; at most MAX_HASHES each, so that one answer names them all. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[int, dict[bytes, None]] = {}
        self._mark = secrets.randbits(32)  # not what an earlier run of the hub has said

    def note(self, folder: int, digest: bytes) -> bool:
        """Whether that is news."""
        with self._lock:
            wanted = self._folders.setdefault(folder, {})
            if digest in wanted or len(wanted) >= MAX_HASHES:
                return False
            wanted[digest] = None
            self._mark += 1
            return True

    def found(self, folder: int, digests: Iterable[bytes]) -> bool:
        """Whether one of them was wanted."""
        if folder not in self._folders:
            return False
        with self._lock:
            wanted = self._folders.get(folder, {})
            before = len(wanted)
            for digest in digests:
                wanted.pop(digest, None)
            if not wanted:
                self._folders.pop(folder, None)
            return len(wanted) < before

    def mark(self, folder: int) -> int:
        """Another number whenever something more is wanted; 0: nothing is."""
        return self._mark if folder in self._folders else 0

    def hashes(self, folder: int) -> bytes:
        with self._lock:
            return b"".join(self._folders.get(folder, ()))
