"""What lies in FOLDER/.toastbox, and who may touch it.

    credentials.json   what pairing gave this device; mode 0600
    pairing.json       the key of a pairing whose answer may have been lost; gone once paired
    config.toml        settings (toastbox/config.py); the owner's, written once as an example
    board.toml         settings that the board's console made: they go before those of config.toml
    root.json          which file system and which folder this was, for core/guard.py
    paused             there when the owner paused the agent
    lock               locked as long as an agent runs here (flock: a kill -9 unlocks it)
    index.db, stage/   device/index.py, device/folder.py
    index.damaged      the last index that was damaged, to be looked at; may be removed

The state folder is the device's own: mode 0700, of this user, never a symbolic link. It is opened once and
its files are reached from that descriptor without following links: nobody who can write in FOLDER but not
in here can put another file in the way. Files are replaced whole: written beside, flushed, renamed, the
folder flushed.
"""

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toastbox.config import AgentSettings, example, load_agent, with_board
from toastbox.core.guard import Root
from toastbox.device.interfaces import Credentials
from toastbox.errors import DeviceFailing, IndexDamaged, SafetyRefused, WrongUse
from toastbox.native import posix

STATE_NAME = ".toastbox"
CREDENTIALS = "credentials.json"
PAIRING = "pairing.json"
CONFIG = "config.toml"
BOARD = "board.toml"
ROOT = "root.json"
PAUSED = "paused"
LOCK = "lock"
INDEX = "index.db"
INDEX_FILES = (INDEX, INDEX + "-wal", INDEX + "-shm")
DAMAGED = "index.damaged"
MAX_FILE = 256 << 10

# f_type of file systems whose f_fsid is a part of their UUID. Others make it from the number of the disk,
# which may be another one after a restart.
WITH_UUID = {0xEF53: "ext", 0x9123683E: "btrfs"}

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Store:
    """FOLDER/.toastbox, open. Made by `open` or `create`; a context manager that closes it."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._fd = descriptor

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """The state of a folder that was joined. SafetyRefused: there is none, or another user's."""
        place = _absolute(folder)
        store = cls._open(place)
        if store is None or not store._exists(CREDENTIALS):
            raise SafetyRefused(
                f"{place} was not joined here, or its disk is not mounted: mount it, or use 'toastbox join'"
            )
        return store

    @classmethod
    def create(cls, folder: str | os.PathLike[str]) -> Self:
        """The state of a folder that is about to be joined; both are made when missing.

        WrongUse: the folder cannot be made. SafetyRefused: what is there is not this user's own.
        """
        place = _absolute(folder)
        with _wrong_use(place):
            place.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                (place / STATE_NAME).mkdir(mode=0o700)
        store = cls._open(place)
        if store is None:
            raise WrongUse(f"{place / STATE_NAME} was removed while it was made: try again")
        if not store._exists(CONFIG):
            store._write(CONFIG, example(AgentSettings))
        return store

    @classmethod
    def _open(cls, folder: Path) -> Self | None:
        path = folder / STATE_NAME
        try:
            descriptor = os.open(path, OPEN_FOLDER)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SafetyRefused(f"{path} is not a folder of this device: {error.strerror}") from error
        try:
            _require_own(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(folder, descriptor)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what pairing gave

    def credentials(self) -> Credentials:
        """WrongUse: the file is damaged."""
        return Credentials.from_json(self._read(CREDENTIALS))

    def joined(self) -> bool:
        """Whether there are credentials."""
        return self._exists(CREDENTIALS)

    def accept(self, credentials: Credentials) -> None:
        """Keep what pairing gave. Another folder, or another hub, than before starts with an empty index:

        what is here is then compared and merged, never taken for deleted. So it does where none is known any more.
        """
        before = None
        with suppress(WrongUse):
            before = self.credentials() if self.joined() else None
        if before is None or (before.folder, before.ca) != (credentials.folder, credentials.ca):
            self.forget_index()
        self._write(CREDENTIALS, credentials.to_json())
        self._remove(PAIRING)

    def pairing_key(self, code: str) -> bytes:
        """The device key to pair with: that of an earlier try with the same code, or a new one, stored first.

        If the hub's answer is lost, the same key gets the same answer again (docs/SPEC.md section 6).
        """
        name = hashlib.sha256(code.encode()).hexdigest()
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            earlier = json.loads(self._read(PAIRING))
            if earlier["code"] == name and len(bytes.fromhex(earlier["key"])) == 32:
                return bytes.fromhex(earlier["key"])
        key = os.urandom(32)
        self._write(PAIRING, json.dumps({"code": name, "key": key.hex()}))
        return key

    def leave(self) -> None:
        """Be no longer paired. The index is forgotten apart, once no agent runs, or at the next pairing."""
        self._remove(CREDENTIALS)
        self._remove(PAIRING)
        os.fsync(self._fd)

    def forget_index(self) -> None:
        """Compare everything anew at the next start."""
        for name in INDEX_FILES:
            self._remove(name)

    @contextmanager
    def healing(self) -> Iterator[None]:
        """If the index turns out to be damaged inside, it is put aside: a board has nobody who would remove it.

        The next start compares everything anew, which loses nothing. Only with the lock held.
        """
        try:
            yield
        except IndexDamaged as damaged:
            with suppress(OSError):
                os.rename(INDEX, DAMAGED, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                self.forget_index()
            raise IndexDamaged(
                f"{self.index_path} was damaged and is put aside as {DAMAGED}: start again to compare everything anew"
            ) from damaged

    # --- settings, pause

    def settings(self, defaults: Mapping[str, Any] | None = None) -> AgentSettings:
        """config.toml, and for what it does not say the defaults (of a board). WrongUse: config.toml is wrong."""
        found = load_agent(self.folder / STATE_NAME / CONFIG, defaults or {})
        return with_board(found, self.folder / STATE_NAME / BOARD)

    def set_board_settings(self, values: dict[str, str | int]) -> None:
        """Settings of an agent that go before those of config.toml."""
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()]
        self._write(BOARD, "# Written by the board's console: change it there.\n" + "".join(lines))

    @property
    def index_path(self) -> str:
        return str(self.folder / STATE_NAME / INDEX)

    @property
    def paused(self) -> bool:
        return self._exists(PAUSED)

    @paused.setter
    def paused(self, value: bool) -> None:
        if value:
            self._write(PAUSED, "")
        else:
            self._remove(PAUSED)

    # --- one agent at a time

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with this folder until the block ends. SafetyRefused: another agent runs. DeviceFailing: read-only."""
        try:
            descriptor = self._lock_file(os.O_RDWR | os.O_CREAT)
        except OSError as error:
            path = self.folder / STATE_NAME / LOCK
            raise DeviceFailing(f"{path} cannot be opened for writing: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SafetyRefused(f"an agent is running on {self.folder} already: stop it first") from None
            yield
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether an agent runs here."""
        try:
            descriptor = self._lock_file(os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _lock_file(self, flags: int) -> int:
        return os.open(LOCK, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._fd)

    def identity(self) -> tuple[int, int]:
        """Device and inode of the state folder: what running agents are addressed by."""
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    # --- which root this is

    def known_root(self) -> Root | None:
        """What `remember_root` wrote last; None: nothing yet."""
        try:
            document = json.loads(self._read(ROOT))
            return Root(str(document["file_system"]), int(document["inode"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise SafetyRefused(f"{STATE_NAME}/{ROOT} is damaged ({error}): join the folder again") from error

    def seen_root(self) -> Root | None:
        """The folder as it is now; None: it is not there."""
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return Root(_file_system(descriptor), os.fstat(descriptor).st_ino)
        finally:
            os.close(descriptor)

    def remember_root(self) -> None:
        """The folder as it is now is the right one."""
        root = self.seen_root()
        if root is not None:
            self._write(ROOT, json.dumps({"file_system": root.file_system, "inode": root.inode}))

    # --- files

    def _exists(self, name: str) -> bool:
        try:
            return stat.S_ISREG(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def _read(self, name: str) -> str:
        descriptor = os.open(name, OPEN_READ, dir_fd=self._fd)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_FILE).decode("utf-8", "replace")

    def _write(self, name: str, text: str) -> None:
        beside = name + ".new"
        try:
            self._remove(beside)
            descriptor = os.open(beside, OPEN_NEW, 0o600, dir_fd=self._fd)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(descriptor)
            os.rename(beside, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            os.fsync(self._fd)
        except OSError as error:
            path = self.folder / STATE_NAME / name
            raise DeviceFailing(f"{path} cannot be written: {error.strerror}") from error

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)


def _absolute(folder: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(folder))


@contextmanager
def _wrong_use(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WrongUse(f"{place} cannot be made or used as a folder: {error.strerror}") from error


def _file_system(descriptor: int) -> str:
    """What stays the same of a file system from mount to mount."""
    system = posix.statfs(descriptor)
    return f"{system.type:x}" + (f"-{system.fsid:x}" if system.type in WITH_UUID else "")


def _require_own(descriptor: int, path: Path) -> None:
    """Refuse another user's state folder; take away what others may do with ours.

    FAT has no permission bits: there the mount's options say who may read, and that is the owner's choice.
    """
    found = os.fstat(descriptor)
    if os.geteuid() not in (found.st_uid, 0):
        raise SafetyRefused(f"{path} belongs to another user: run this as user number {found.st_uid}")
    if found.st_mode & 0o077:
        with suppress(PermissionError):
            os.fchmod(descriptor, 0o700)
