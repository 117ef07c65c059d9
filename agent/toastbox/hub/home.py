"""The hub's data folder: who may use it, and everything that is kept in it.

DATA/  lock        held by the one program that works on the folder
       journal.db  folders, devices, journal           (hub/journal)
       head        second record of the heads          (hub/headfile.py)
       chunks/     packs and their index               (hub/chunks)
       hub.crt, hub.key   the hub's identity           (hub/keys.py)
       control     socket for commands to a running hub (hub/control.py)
       config.toml settings
"""

import contextlib
import fcntl
import os
import secrets

from toastbox.errors import SafetyRefused, WrongUse
from toastbox.hub.chunks.packs import PackStore
from toastbox.hub.clock import Clock, SystemClock
from toastbox.hub.headfile import HeadFile
from toastbox.hub.journal.base import Folder
from toastbox.hub.journal.sqlite import SqliteJournal
from toastbox.hub.keys import open_authority
from toastbox.hub.pairing import Pairing
from toastbox.hub.service import HubService
from toastbox.hub.storage import storage_errors

DEFAULT_FOLDER = "main"
IDENT_SIZE = 16


class Home:
    """A data folder, open and locked. Made with its first folder if it is new.

    restored: the owner says that the data were put back from a backup. Raises SafetyRefused if another hub or
    command holds the folder, DeviceFull or DeviceFailing.
    """

    plain_port = 0  # where a hub that runs on it is asked without TLS

    def __init__(self, path: str, clock: Clock | None = None, restored: bool = False) -> None:
        self.path = path
        with storage_errors(), contextlib.ExitStack() as opened:
            os.makedirs(path, mode=0o700, exist_ok=True)
            opened.callback(os.close, _lock(path))
            self._open(clock or SystemClock(), opened)
            self._check_epoch(restored)
            if not self.service.journal.folders():
                add_folder(self.service, DEFAULT_FOLDER)
                self.service.flush()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Give the folder back. No other method may be running."""
        self._opened.close()

    def _open(self, clock: Clock, opened: contextlib.ExitStack) -> None:
        self.authority = open_authority(self.path)
        journal = SqliteJournal(os.path.join(self.path, "journal.db"))
        opened.callback(journal.close)
        self.chunks = PackStore(os.path.join(self.path, "chunks"), clock.now_s)
        opened.callback(self.chunks.close)
        self._heads = HeadFile(self.path)
        opened.callback(self._heads.close)
        self.service = HubService(journal, self.chunks, clock, self._heads)
        self.pairing = Pairing(journal, self.authority, clock)

    def _check_epoch(self, restored: bool) -> None:
        journal = self.service.journal
        if self._heads.heads() and not journal.folders():
            raise SafetyRefused("the journal of this hub is gone or empty: put a backup back, start with --restored")
        reason = self._heads.judge(journal.epoch(), journal.folders())
        if restored or reason:
            self.service.renew_epoch(reason or "the owner says so")
        self._heads.start(journal.epoch(), journal.folders())


def add_folder(service: HubService, name: str) -> None:
    """Add a folder with a new random ident. Writes."""
    if any(folder.name == name for folder in service.journal.folders()):
        raise WrongUse(f"there is a folder {name!r} already")
    service.journal.add_folder(name, secrets.token_bytes(IDENT_SIZE))


def find_folder(service: HubService, name: str) -> Folder:
    """The folder of that name; "" for the only one. Raises WrongUse."""
    folders = service.journal.folders()
    for folder in folders:
        if folder.name == name or (not name and len(folders) == 1):
            return folder
    known = ", ".join(folder.name for folder in folders)
    raise WrongUse(f"say which folder: {known}" if not name else f"no folder {name!r}; there are: {known}")


def _lock(path: str) -> int:
    """The lock file's descriptor, locked. The kernel lets it go whatever way this process ends."""
    fd = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise SafetyRefused("another hub works on this data folder: stop it first") from error
    return fd
