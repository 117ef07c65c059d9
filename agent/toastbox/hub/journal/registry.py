"""Folders, devices and invites on SQLite. Reads see flushed rows; changes wait for flush()."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator

from toastbox.hub.journal.base import Device, Folder, Invite
from toastbox.hub.journal.connect import Readers
from toastbox.hub.journal.reading import FOLDER

_DEVICE = "SELECT number, folder, name, key, created_s, revoked, hook, plain, counter FROM device"
_INVITE = "SELECT secret, folder, expires_s, key, answer, plain FROM invite"
_TAKEN = "SELECT 1 FROM device WHERE folder = ? AND name = ? AND revoked = 0"


class SqliteRegistry(ABC):
    """Registry on the journal's database: see hub/journal/base.py."""

    _readers: Readers

    @abstractmethod
    def _writing(self) -> sqlite3.Connection:
        """The one connection that writes, in a transaction."""

    def folders(self) -> list[Folder]:
        return [Folder._make(row) for row in self._readers.get().execute(f"{FOLDER} ORDER BY number")]

    def devices(self, folder: int | None = None) -> Iterator[Device]:
        where, values = ("", ()) if folder is None else ("WHERE folder = ?", (folder,))
        for row in self._readers.get().execute(f"{_DEVICE} {where} ORDER BY number", values):
            yield _device(row)

    def device(self, number: int) -> Device | None:
        row = self._readers.get().execute(f"{_DEVICE} WHERE number = ?", (number,)).fetchone()
        return _device(row) if row else None

    def add_folder(self, name: str, ident: bytes) -> None:
        self._writing().execute("INSERT INTO folder (ident, name) VALUES (?, ?)", (ident, name))

    def add_device(self, device: Device) -> int:
        """A new device is one more peer for the others: the folder's peers counter grows."""
        cursor = self._writing().execute(
            "INSERT INTO device (folder, name, key, created_s, hook, plain) VALUES (?, ?, ?, ?, ?, ?)",
            (device.folder, device.name, device.key, device.created_s, device.hook, device.plain),
        )
        self._peers_changed(device.folder)
        return int(cursor.lastrowid or 0)

    def name_taken(self, folder: int, name: str) -> bool:
        found = self._readers.get().execute(_TAKEN, (folder, name))
        return found.fetchone() is not None

    def set_revoked(self, number: int) -> None:
        """The key is kept, so that the device can be told why it is refused; the name is free again."""
        self._writing().execute("UPDATE device SET revoked = 1, hook = '' WHERE number = ?", (number,))
        folder = self._writing().execute("SELECT folder FROM device WHERE number = ?", (number,)).fetchone()
        self._peers_changed(folder[0])

    def set_hook(self, number: int, hook: str) -> None:
        self._writing().execute("UPDATE device SET hook = ? WHERE number = ?", (hook, number))

    def set_plain(self, number: int, allowed: bool) -> None:
        self._writing().execute("UPDATE device SET plain = ? WHERE number = ?", (allowed, number))

    def raise_counter(self, number: int, ceiling: int) -> None:
        self._writing().execute("UPDATE device SET counter = max(counter, ?) WHERE number = ?", (ceiling, number))

    def put_invite(self, invite: Invite) -> None:
        self._writing().execute("INSERT OR REPLACE INTO invite VALUES (?, ?, ?, ?, ?, ?)", invite)

    def invite(self, secret: bytes) -> Invite | None:
        row = self._readers.get().execute(f"{_INVITE} WHERE secret = ?", (secret,)).fetchone()
        return Invite._make(row) if row else None

    def plain_invites(self) -> list[Invite]:
        return [Invite._make(row) for row in self._readers.get().execute(f"{_INVITE} WHERE plain = 1")]

    def drop_invites(self, now_s: int) -> None:
        self._writing().execute("DELETE FROM invite WHERE expires_s <= ?", (now_s,))

    def _peers_changed(self, folder: int) -> None:
        self._writing().execute("UPDATE folder SET peers = peers + 1 WHERE number = ?", (folder,))


def _device(row: tuple[int, int, str, bytes, int, int, str, int, int]) -> Device:
    number, folder, name, key, created_s, revoked, hook, plain, counter = row
    return Device(number, folder, name, key, created_s, bool(revoked), hook, bool(plain), counter)
