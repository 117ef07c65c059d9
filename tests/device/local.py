"""A hub and devices in one process, on real folders, with nothing between them but method calls."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from toastbox.core.bundle import BundleReader
from toastbox.device.engine import Engine
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import SystemClock
from toastbox.errors import EpochChanged
from toastbox.hub import clock
from toastbox.hub.ahead import Ahead
from toastbox.hub.home import Home
from toastbox.hub.journal.base import Device
from toastbox.hub.refusal import Refusal
from toastbox.native.arena import Arena

T = TypeVar("T")
WINDOW = 1 << 19


class Inline:
    """Does at once what is submitted."""

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        done: Future[T] = Future()
        try:
            done.set_result(function())
        except Exception as error:
            done.set_exception(error)
        return done


class HubClock(clock.SystemClock):
    """The machine's; later_s: how far ahead."""

    later_s = 0

    def now_s(self) -> int:
        return super().now_s() + self.later_s


class LocalHub:
    """The real hub service on a data folder."""

    def __init__(self, path: Path) -> None:
        self.clock = HubClock()
        self.home = Home(str(path), self.clock)
        self.service = self.home.service
        self.now_s = 0.0
        self.ahead = Ahead(lambda: self.now_s)

    def device(self, name: str) -> Device:
        for device in self.service.journal.devices(1):
            if device.name == name:
                return device
        number = self.service.journal.add_device(Device(0, 1, name, os.urandom(32), 0, False, ""))
        self.service.flush()
        found = self.service.journal.device(number)
        assert found is not None
        return found

    def close(self) -> None:
        self.home.close()


class LocalRemote:
    """`Remote` by method calls. calls: how often each request was made; sent: bytes of bundles."""

    def __init__(self, hub: LocalHub, name: str) -> None:
        self._service = hub.service
        self._ahead = hub.ahead
        self._device = hub.device(name)
        self.on_tell = lambda: None  # after a device has told of an upload
        self.calls: dict[str, int] = {}
        self.sent = self.fetched = 0

    def _count(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1

    def pull(self, after: int, epoch: int, entries: int, nbytes: int) -> bytes:
        self._count("pull")
        try:
            return self._service.pull(self._device, after, epoch, entries, nbytes)
        except Refusal as refusal:
            raise translated(refusal) from refusal

    def commit(self, body: bytes) -> bytes:
        self._count("commit")
        try:
            answer = self._service.commit(self._device, bytes(body))
        except Refusal as refusal:
            raise translated(refusal) from refusal
        self._service.flush()
        self._ahead.end(self._device.number)
        return answer

    def missing(self, hashes: bytes) -> bytes:
        return self._service.missing(self._device, bytes(hashes))

    def upload(self, parts: list[bytes], total: int) -> int:
        self._count("upload")
        self.sent += total
        reader = BundleReader(1 << 20)
        chunks = [(d, bytes(c)) for d, c in reader.feed(b"".join(bytes(p) for p in parts)) if c is not None]
        stored, _ = self._service.store(self._device, chunks)
        self._service.flush()
        return stored

    def fetch(self, hashes: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        self._count("fetch")
        for digest, data in self._service.load(self._device, bytes(hashes)):
            self.fetched += len(data) if data is not None else 0
            yield digest, None if data is None else bytes(data)

    def chunk_list(self, content: bytes, start: int, count: int) -> tuple[bytes, int]:
        return self._service.chunk_list(self._device, content, start, count)

    def tell_ahead(self, run: bytes) -> None:
        self._count("tell_ahead")
        self._ahead.note(self._device.folder, self._device.number, run)
        self.on_tell()

    def ahead(self, after: int) -> bytes:
        self._count("ahead")
        return self._ahead.answer(self._device.folder, self._device.number, after)

    def wanted(self) -> bytes:
        return self._service.wanted.hashes(self._device.folder)

    def rest(self) -> None:
        self._count("rest")

    def close(self) -> None:
        pass


def translated(refusal: Refusal) -> Exception:
    """What the client makes of a refusal."""
    if refusal.code == "epoch":
        return EpochChanged(int(refusal.extra["epoch"]))
    return refusal


class LocalDevice:
    """A real folder with an engine on it. `restart` is what a kill -9 and a new start do."""

    def __init__(
        self, hub: LocalHub, root: Path, mode: str = "two-way", ahead_bytes: int = 0, boot: str = "first"
    ) -> None:
        self.root = root
        self.ahead_bytes = ahead_bytes
        (root / ".toastbox").mkdir(parents=True, exist_ok=True)
        self.hub = hub
        self.mode = mode
        self.boot = boot
        self.remote = LocalRemote(hub, root.name)
        self.arena = Arena(4 << 20, regions={"listings": 64 << 10})
        self.buffers = [self.arena.buffer(WINDOW) for _ in range(2)] + [self.arena.buffer(WINDOW)]
        self._open()

    def _open(self) -> None:
        self.folder = Folder(str(self.root), self.arena.regions["listings"])
        self.index = Index(str(self.root / ".toastbox/index.db"))
        self.engine = Engine(
            self.folder,
            self.index,
            self.remote,
            SystemClock(),
            self.buffers,
            Inline(),
            self.root.name,
            self.mode,
            ahead_bytes=self.ahead_bytes,
            boot=self.boot,
        )
        self.engine.start()

    def reboot(self) -> None:
        """As `restart`, after a power cut: the test has put on disk what that left."""
        self.boot += " next"
        self.restart()

    def restart(self) -> None:
        self.folder.close()
        self._open()

    def sync(self, accept_deletes: bool = False) -> bool:
        """Look at everything and go round until in step."""
        self.engine.dirty.everything = True
        return self.engine.cycle(accept_deletes)

    def write(self, path: str, data: bytes = b"", mode: int = 0o644) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)

    def tree(self) -> dict[str, tuple[str, object]]:
        """Every path with its kind and content."""
        return dict(sorted(_tree(self.root, self.root)))


def _tree(root: Path, folder: Path) -> Iterator[tuple[str, tuple[str, object]]]:
    for entry in folder.iterdir():
        name = str(entry.relative_to(root))
        if name == ".toastbox":
            continue
        if entry.is_symlink():
            yield name, ("link", os.readlink(entry))
        elif entry.is_dir():
            yield name, ("folder", None)
            yield from _tree(root, entry)
        elif entry.is_file():
            found = entry.stat()
            yield name, ("file", (entry.read_bytes(), bool(found.st_mode & 0o100), found.st_mtime_ns))


Trio = tuple[LocalHub, LocalDevice, LocalDevice]


def settle(*devices: LocalDevice) -> None:
    """Sync often enough for everything to come round; in the end all are in step."""
    for _ in range(4):
        in_step = [device.sync() for device in devices]
    assert all(in_step), "does not settle"


def held(device: LocalDevice) -> dict[bytes, str]:
    return dict(device.engine.report.reasons())


def look(device: LocalDevice, *paths: bytes) -> bool:
    """Sync with what a watcher would tell."""
    for path in paths:
        device.engine.dirty.add(path, False)
    return device.engine.cycle()


@contextmanager
def failing(owner: object, name: str, error: Exception) -> Iterator[None]:
    """While this lasts, a method raises."""

    def fail(*arguments: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fail)
        yield


def contents(device: LocalDevice) -> dict[str, object]:
    """What a device holds at each path: bytes of a file, target of a link, None for a folder."""
    return {path: held[0] if isinstance(held, tuple) else held for path, (_, held) in device.tree().items()}


@contextmanager
def full_disk(device: LocalDevice) -> Iterator[None]:
    """While this lasts, no file can be staged, alone or together with others."""
    stage = device.folder.stage
    with failing(stage, "make", OSError(errno.ENOSPC, "full")), pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "make_all", lambda files, data: [None] * len(files))
        yield


def nest(root: Path, name: str, depth: int, files: Sequence[str] = ()) -> None:
    """Folders inside each other, deeper than a path can name that begins at the root of the file system; empty files
    of these names in each.
    """
    place = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=place)
        below = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
        for file in files:
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, dir_fd=place))
    os.close(place)
