"""Windows on several lanes: filled, uploaded side by side, committed in the order in which they left."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from toastbox.core import wire
from toastbox.core.entry import FILE, Entry
from toastbox.device import send as send_module
from toastbox.device.folder import Folder
from toastbox.device.send import CHUNK_MAX, Background, FileChanged, Proposal, Sender
from toastbox.errors import HubUnreachable

T = TypeVar("T")

PATIENCE_S = 20.0
FILE_BYTES = 400_000  # one a window


class Hub:
    """What all lanes share: what arrived, in order.

    slow: the upload with this number waits for the one after it. broken: it fails. known: nothing of it is new.
    """

    def __init__(self, slow: int = -1, broken: int = -1, known: int = -1) -> None:
        self.slow = slow
        self.broken = broken
        self.known = known
        self.asked: list[int] = []  # for each question what is missing, how many uploads there had been
        self.others = threading.Event()
        self.uploads = self.rested = 0
        self.names: list[bytes] = []
        self.commits: list[int] = []  # entries in each
        self.before_slow = 0
        self.lock = threading.Lock()


class Lane:
    """The requests a sender makes of interfaces.Remote."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._busy = threading.Lock()

    def missing(self, hashes: bytes) -> bytes:
        self._hub.asked.append(self._hub.uploads)
        return b"\xff" * ((len(hashes) // 32 + 7) // 8)

    def upload(self, parts: Sequence[Any], total: int) -> int:
        assert self._busy.acquire(blocking=False), "one request at a time on a lane"
        with self._hub.lock:
            number, self._hub.uploads = self._hub.uploads, self._hub.uploads + 1
        if number == self._hub.slow:
            assert self._hub.others.wait(PATIENCE_S)
            self._hub.before_slow = len(self._hub.names)
        elif number > self._hub.slow >= 0:
            self._hub.others.set()
        self._busy.release()
        if number == self._hub.broken:
            raise HubUnreachable("cut")
        return 0 if number == self._hub.known else len(parts) // 2

    def rest(self) -> None:
        with self._hub.lock:
            self._hub.rested += 1

    def commit(self, body: bytes) -> bytes:
        records = list(wire.decode_commit(bytes(body)).records())
        self._hub.names += [record.entry.path for record in records]
        self._hub.commits.append(len(records))
        seq = len(self._hub.names)
        return wire.encode_answer(1, seq, [(wire.COMMITTED, seq) for _ in records])


class Late:
    """Background that begins a job when the next one comes, or its result is wanted: each window is overtaken."""

    def __init__(self) -> None:
        self._last: Callable[[], None] = lambda: None

    def submit(self, function: Callable[[], T]) -> Any:
        self._last()
        job = Job(function)
        self._last = job.run
        return job


class Job(Generic[T]):
    """What Late gives."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._future: Future[T] = Future()

    def run(self) -> None:
        if not self._future.done():
            try:
                self._future.set_result(self._function())
            except HubUnreachable as error:
                self._future.set_exception(error)

    def done(self) -> bool:
        return self._future.done()

    def result(self) -> T:
        self.run()
        return self._future.result()

    def exception(self) -> BaseException | None:
        self.run()
        return self._future.exception()


def send(tmp_path: Path, hub: Hub, count: int, lanes: int = 2, pause: int = -1, late: bool = False) -> list[bytes]:
    """Send that many files, each a window of its own; the paths that were answered for, in order.

    pause: before the file with this number everything is waited for. late: by Late instead of threads.
    """
    answered: list[bytes] = []
    arena: Any = None
    folder = Folder(str(tmp_path), arena)
    for number in range(count):
        (tmp_path / f"{number:02}").write_bytes(bytes([number]) * FILE_BYTES)
    with ThreadPoolExecutor(lanes) as threads:
        background: Background = Late() if late else threads
        buffers = [memoryview(bytearray(2 * CHUNK_MAX)) for _ in range(lanes + 1)]
        remotes: list[Any] = [Lane(hub) for _ in range(lanes)]
        sender = Sender(
            folder, remotes, buffers, background, lambda done: answered.extend(each.entry.path for each in done)
        )
        try:
            for number in range(count):
                if number == pause:
                    sender.finish()
                sender.add_file(Proposal(Entry(b"%02d" % number, FILE), None), lambda proposal: True)
            sender.finish()
        except BaseException:
            sender.abandon()
            raise
        finally:
            folder.close()
    return answered


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_commits_come_in_the_order_of_the_files(tmp_path: Path, lanes: int) -> None:
    hub = Hub()
    names = [b"%02d" % number for number in range(9)]
    assert send(tmp_path, hub, 9, lanes) == names
    assert hub.names == names
    assert hub.rested == lanes - 1


def test_the_next_window_is_uploaded_while_one_is_slow_and_commits_after_it(tmp_path: Path) -> None:
    hub = Hub(slow=2)
    assert send(tmp_path, hub, 6) == [b"%02d" % number for number in range(6)]
    assert hub.before_slow <= 2  # the upload after the slow one had begun, and its commit waited
    assert hub.names == [b"%02d" % number for number in range(6)]


def test_nothing_is_committed_behind_a_window_that_failed(tmp_path: Path) -> None:
    hub = Hub(broken=2)
    with pytest.raises(HubUnreachable):
        send(tmp_path, hub, 6)
    assert hub.names == [b"00", b"01"][: len(hub.names)]


@pytest.mark.parametrize(("most", "commits"), [(512, [7]), (3, [3, 3, 1])])
def test_windows_of_few_entries_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, commits: list[int]
) -> None:
    """Each is a flush of the hub's disk."""
    monkeypatch.setattr(send_module, "BATCH_ENTRIES", most)
    hub = Hub()
    assert send(tmp_path, hub, 7, late=True) == [b"%02d" % number for number in range(7)]
    assert hub.names == [b"%02d" % number for number in range(7)]
    assert hub.commits == commits


def test_what_was_left_to_a_window_that_failed_is_not_answered_for(tmp_path: Path) -> None:
    hub = Hub(broken=4)
    with pytest.raises(HubUnreachable):
        send(tmp_path, hub, 6, late=True)
    assert hub.names == []


def test_what_is_missing_is_not_asked_while_all_is_new(tmp_path: Path) -> None:
    hub = Hub(known=7)
    send(tmp_path, hub, 12, lanes=1)
    assert hub.asked == [0, 1, 2, 3, 4, 8, 9, 10, 11]


def test_what_comes_later_is_asked_for_again(tmp_path: Path) -> None:
    hub = Hub()
    send(tmp_path, hub, 12, lanes=1, pause=9)
    assert hub.asked == [0, 1, 2, 3, 4, 9, 10, 11]


@pytest.mark.parametrize(("size", "sent"), [(2 * CHUNK_MAX, True), (2 * CHUNK_MAX + 1, False)])
def test_large_file_that_is_younger_than_the_one_waited_for_is_not_read(tmp_path: Path, size: int, sent: bool) -> None:
    """A file of one piece cannot be torn."""
    arena: Any = None
    folder, hub = Folder(str(tmp_path), arena), Hub()
    (tmp_path / "x").write_bytes(bytes(size))
    seen = folder.lstat(b"x")
    (tmp_path / "x").write_bytes(b"1" + bytes(size - 1))
    os.utime(tmp_path / "x", (5, 5))
    lanes: list[Any] = [Lane(hub)]
    with ThreadPoolExecutor(1) as background:
        buffers = [memoryview(bytearray(2 * CHUNK_MAX)) for _ in range(2)]
        sender = Sender(folder, lanes, buffers, background, lambda done: None)
        with nullcontext() if sent else pytest.raises(FileChanged):
            sender.add_file(Proposal(Entry(b"x", FILE), seen), lambda proposal: True)
        sender.finish()
    folder.close()
    assert hub.names == [b"x"] * sent
