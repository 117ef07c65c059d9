"""A second record of how far the journal has come, by which a hub notices that its database was put back.

A backup that is copied back makes the journal forget numbers that devices have seen: given out again, they
would name other entries and changes would be missed in silence. So after every flush the heads are also
written to the file `head` beside the database. When the hub starts:

    head file                                        the journal
    names this epoch, no head above the journal's    goes on
    a folder's head is above the journal's           has gone back in time: new epoch, heads are raised
    missing, unreadable or of another epoch          cannot be trusted, unless it is empty: new epoch
    is not the file it says it is (inode,            the whole data folder is a copy: new epoch
    generation)
    is of another machine                            the disk is a copy: new epoch (hub/machine.py)

The file is written without a sync: kill -9 loses nothing of it, a power cut loses the last seconds, and
then it is behind the journal, which is fine. What no file can notice (a snapshot of the disk or of the
machine put back) is said by `toastbox hub --restored`, or is noticed when a device shows a cursor above the
head (hub/service.py).
"""

import contextlib
import fcntl
import json
import logging
import os
import struct
from collections.abc import Iterable
from typing import Any

from toastbox.hub import machine
from toastbox.hub.journal.base import Folder

_log = logging.getLogger(__name__)
_FS_IOC_GETVERSION = 0x80087601  # inode generation: ext4, xfs, btrfs, f2fs
_MAX_BYTES = 16 << 20


class HeadFile:
    """The file `head` in the data folder at path."""

    def __init__(self, path: str) -> None:
        self._path = os.path.join(path, "head")
        self._fd = -1
        self._identity: list[int] = []
        self._machine: list[str] = []

    def judge(self, epoch: int, folders: Iterable[Folder]) -> str:
        """Why a new epoch is needed, or ""."""
        folders = list(folders)
        known = self._read()
        if known is None:
            return "the head file is missing" if any(folder.head for folder in folders) else ""
        if known["epoch"] != epoch or known["file"] != _identity_of(self._path):
            return "the data folder was copied"
        if machine.is_another(known.get("machine"), machine.hardware_addresses()):
            return "the disk is in another machine: it may be a copy"
        heads = self.heads()
        if any(heads.get(folder.ident, 0) > folder.head for folder in folders):
            return "the journal has gone back in time"
        return ""

    def heads(self) -> dict[bytes, int]:
        """Folder ident to head as last written; {} if unreadable."""
        known = self._read()
        return {bytes.fromhex(ident): seq for ident, seq in known["heads"].items()} if known else {}

    def start(self, epoch: int, folders: Iterable[Folder]) -> None:
        """Make the file anew, on stable storage, and keep it open for write()."""
        self.close()
        known = self._read() or {}
        self._machine = machine.hardware_addresses() or known.get("machine", [])
        temporary = self._path + ".new"
        self._fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._identity = _identity_of(temporary)
        self.write(epoch, folders)
        os.fsync(self._fd)
        os.rename(temporary, self._path)

    def write(self, epoch: int, folders: Iterable[Folder]) -> None:
        """Note the heads: one pwrite. Heads only grow, so that no text is shorter than the one before.

        A failure is no reason to refuse what the journal has: the file is then behind, as after a power cut.
        """
        heads = {folder.ident.hex(): folder.head for folder in folders}
        known = {"epoch": epoch, "file": self._identity, "machine": self._machine, "heads": heads}
        text = json.dumps(known) + "\n"
        try:
            os.pwrite(self._fd, text.encode(), 0)
        except OSError as error:
            _log.warning("the head file cannot be written: %s", error.strerror)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> dict[str, Any] | None:
        try:
            with open(self._path, "rb") as file:
                known = json.loads(file.read(_MAX_BYTES))
        except (OSError, ValueError):
            return None
        sound = isinstance(known, dict) and {"epoch", "file", "heads"} <= known.keys()
        return known if sound else None


def _identity_of(path: str) -> list[int]:
    """Inode number and generation; a copy has others. Generation 0 where the file system has none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        generation = 0
        with contextlib.suppress(OSError):
            generation = struct.unpack("=Lxxxx", fcntl.ioctl(fd, _FS_IOC_GETVERSION, bytes(8)))[0]
        return [os.fstat(fd).st_ino, generation]
    finally:
        os.close(fd)
