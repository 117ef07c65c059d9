"""A hub as a process: killed, stopped, started twice, out of room."""

import contextlib
import http.client
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from hubkit import Caller, Running, file, folder, pair, running
from toastbox.core.wire import MAX_CHUNK, decode_pull
from toastbox.errors import SafetyRefused, ToastboxError
from toastbox.hub.admin import Admin
from toastbox.hub.home import Home

KILLS = 10


class Process:
    """`toastbox hub` on a data folder. port: on 127.0.0.1; fingerprint: as printed."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-m", "toastbox", "hub", "--data", str(data), "--no-announce"]
        self._process = subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        url, self.fingerprint = self._process.stdout.readline().split()
        self.port = int(url.rpartition(":")[2])
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(2)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Process]:
    with Process(tmp_path / "hub") as process:
        yield process


def joined(data: Path, process: Process, name: str = "pi") -> Caller:
    with Admin(data) as admin:
        return pair(process.port, admin.invite(600), name)


class Committer(threading.Thread):
    """Commits new files until the hub is gone. acknowledged: name to (data, seq)."""

    def __init__(self, caller: Caller, epoch: int, name: str) -> None:
        super().__init__()
        self._caller = caller
        self._epoch = epoch
        self._name = name
        self._count = itertools.count()
        self.refused = 0
        self.acknowledged: dict[str, tuple[bytes, int]] = {}

    def run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the hub was killed
            while True:
                self._round()
        self._caller.close()

    def _round(self) -> None:
        sizes = (random.choice([10, 500, 5000]) for _ in range(5))
        datas = {f"{self._name}-{next(self._count)}": os.urandom(size) for size in sizes}
        self._caller.upload(*datas.values())
        results = self._caller.commit(self._epoch, *(file(name, data) for name, data in datas.items()))
        for (name, data), (status, seq) in zip(datas.items(), results, strict=True):
            self.refused += status != 0
            self.acknowledged[name] = data, seq


def current(caller: Caller, epoch: int) -> dict[str, tuple[bytes, int]]:
    """Name to (content id, seq) of all files."""
    found, cursor, head = {}, 0, 1
    while cursor < head:
        answered = caller.ask("GET", f"/v1/pull?after={cursor}&epoch={epoch if cursor else 0}&entries=4096")
        page = decode_pull(answered.body)
        assert page.epoch == epoch, "kill -9 is no reason for a new epoch"
        cursor, head = page.cursor, page.head
        for record in page.records():
            found[record.entry.path.decode()] = record.entry.content, record.entry.seq
    return found


def test_acknowledged_commits_outlive_kill(tmp_path: Path) -> None:
    data = tmp_path / "hub"
    acknowledged: dict[str, tuple[bytes, int]] = {}
    callers: list[Caller] = []
    epoch, seed = 0, random.randrange(1 << 32)
    chance = random.Random(seed)
    for turn in range(KILLS + 1):
        with Process(data) as process:
            callers = callers or [joined(data, process, f"d{n}") for n in range(3)]
            for caller in callers:
                caller.port = process.port
            epoch = epoch or callers[0].epoch()
            check_all(callers[0], epoch, acknowledged, f"seed {seed}, turn {turn}")
            if turn < KILLS:
                acknowledged |= commit_until_killed(process, callers, epoch, turn, chance.randrange(20, 200))
    assert len(acknowledged) >= 20 * KILLS, "nothing was tested"


def commit_until_killed(
    process: Process, callers: list[Caller], epoch: int, turn: int, enough: int
) -> dict[str, tuple[bytes, int]]:
    """What was acknowledged; the hub is killed in the middle of what comes after `enough` files were."""
    threads = [Committer(caller, epoch, f"t{turn}-{n}") for n, caller in enumerate(callers)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 60
    while sum(len(thread.acknowledged) for thread in threads) < enough:
        assert time.monotonic() < end, "the hub acknowledges nothing"
        time.sleep(random.random() * 0.002)
    process.kill()
    acknowledged: dict[str, tuple[bytes, int]] = {}
    for thread in threads:
        thread.join(20)
        assert thread.refused == 0
        acknowledged |= thread.acknowledged
    for caller in callers:
        caller.close()
    return acknowledged


def check_all(caller: Caller, epoch: int, acknowledged: dict[str, tuple[bytes, int]], where: str) -> None:
    """Every acknowledged file is there under its seq, and its content with it."""
    found = current(caller, epoch)
    for name, (data, seq) in acknowledged.items():
        assert found.get(name) == (sha256(data).digest(), seq), f"{where}: {name}"
    assert len({seq for _, seq in found.values()}) == len(found)
    hashes = [content for content, _ in found.values()]
    for start in range(0, len(hashes), 8192):
        some = hashes[start : start + 8192]
        bitmap = caller.ask("POST", "/v1/missing", b"".join(some)).body
        assert not any(bitmap), f"{where}: chunks of committed files are missing"


def test_sigterm_ends_within_two_seconds(tmp_path: Path, started: Process) -> None:
    caller = joined(tmp_path / "hub", started)
    stream = caller.events()
    stream.wait_for(b"event: head")
    caller.commit(caller.epoch(), folder("d"))
    assert started.end() == 0
    with pytest.raises(EOFError):
        stream.wait_for(b"never")
    with Admin(tmp_path / "hub") as admin:
        assert admin.folders()[0]["seq"] == 1


def test_printed_line_names_the_certificate(tmp_path: Path, started: Process) -> None:
    assert started.end() == 0
    home = Home(str(tmp_path / "hub"))
    assert home.authority.fingerprint.hex() == started.fingerprint
    home.close()


def test_second_hub_on_a_data_folder_is_refused(tmp_path: Path, started: Process) -> None:
    command = [sys.executable, "-m", "toastbox", "hub", "--data", str(tmp_path / "hub"), "--no-announce"]
    second = subprocess.run(
        [*command, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=20, check=False
    )
    assert second.returncode == 3 and second.stdout == ""
    assert "another hub" in second.stderr and second.stderr.count("\n") == 1
    with pytest.raises(SafetyRefused):
        Home(str(tmp_path / "hub"))
    assert joined(tmp_path / "hub", started).ask("GET", "/v1/folder").status == 200


def test_owner_commands_reach_a_running_hub_and_a_stopped_one(tmp_path: Path, started: Process) -> None:
    data = tmp_path / "hub"
    caller = joined(data, started)
    stream = caller.events()
    stream.wait_for(b"data: 0\n")
    caller.upload(b"one", b"two")
    caller.commit(caller.epoch(), file("x", b"one"), file("x", b"two", seq=1))
    stream.wait_for(b"data: 2\n")
    for turn in ("running", "stopped"):
        with Admin(data) as admin:
            history = admin.history("main")
            assert [entry["seq"] for entry in history.versions(b"x")][-2:] == [2, 1]
            restored = history.restore(b"x", 1)
            assert history.log(count=1)[0] | {"time": 0} == {
                "seq": restored, "path": "x", "kind": "file", "size": 3,
                "device": 0, "name": "", "parent": restored - 1, "time": 0,
            }  # fmt: skip
            admin.create_folder(f"folder {turn}")
            assert f"folder {turn}" in [each["name"] for each in admin.folders()]
            assert admin.prune() == {"versions": 0, "chunks": 0, "bytes": 0}
            with pytest.raises(ToastboxError):
                admin.create_folder("main")
            with pytest.raises(ToastboxError):
                admin.revoke("nobody")
        if turn == "running":
            stream.wait_for(b"data: 3\n")
            with Admin(data) as admin:
                assert admin.revoke("pi") == caller.number
            with pytest.raises(EOFError):
                stream.wait_for(b"never")
            assert started.end() == 0
    with Admin(data) as admin:
        assert [(each["name"], each["revoked"]) for each in admin.devices()] == [("pi", True)]


def test_full_disk_is_told_and_passes(tmp_path: Path, started: Process) -> None:
    """A file size limit stands for the full disk: no file of the hub may grow beyond it."""
    caller = joined(tmp_path / "hub", started)
    epoch = caller.epoch()
    kept = [os.urandom(MAX_CHUNK) for _ in range(20)]
    caller.upload(*kept)
    assert caller.commit(epoch, file("kept", kept[0]))[0][0] == 0
    limits = resource.prlimit(started.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (21 << 20, limits[1]))
    more = [os.urandom(MAX_CHUNK) for _ in range(4)]
    for _ in range(3):
        refused = caller.upload(*more)
        assert (refused.status, refused.json["code"]) == (507, "full")
    assert caller.ask("GET", "/v1/folder").json["seq"] == 1
    assert caller.ask("POST", "/v1/fetch", sha256(kept[3]).digest()).body.endswith(kept[3])
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, limits)
    assert caller.upload(*more).status == 200
    assert caller.commit(epoch, *(file(f"m{n}", data) for n, data in enumerate(more)))[3] == (0, 5)
    started.kill()
    caller.close()
    with Process(tmp_path / "hub") as again:
        caller.port = again.port
        assert len(current(caller, epoch)) == 5


def test_full_journal_is_told_and_passes(tmp_path: Path) -> None:
    with running(tmp_path / "hub", announce=False) as hub:
        caller = hub.device()
        epoch = caller.epoch()
        pages = _journal(hub, "PRAGMA page_count")
        _journal(hub, f"PRAGMA max_page_count = {pages + 2}")
        entries = [file(f"{n}-{'x' * 200}", b"") for n in range(200)]
        answered = _commit_raw(caller, epoch, entries)
        assert (answered.status, answered.json["code"]) == (507, "full")
        assert caller.ask("GET", "/v1/folder").json["seq"] == 0
        _journal(hub, "PRAGMA max_page_count = 1000000")
        assert caller.commit(epoch, *entries)[-1] == (0, 200)


def _journal(hub: Running, pragma: str) -> int:
    """Run a pragma on the writing thread."""
    writer = hub.service.journal._writer  # type: ignore[attr-defined]
    return int(hub.server.writer.call(lambda: writer.execute(pragma).fetchone()[0]))


def _commit_raw(caller: Caller, epoch: int, entries: list[object]) -> "object":
    from toastbox.core.wire import encode_commit, encode_entry

    return caller.ask("POST", "/v1/commit", encode_commit(epoch, 0, [encode_entry(e, 1) for e in entries]))


def test_defect_in_a_commit_loses_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the hub itself fails half way through a group, nothing of the group is kept and nothing is told."""
    with running(tmp_path / "hub", announce=False) as hub:
        caller = hub.device()
        epoch = caller.epoch()
        assert caller.commit(epoch, folder("a"))[0] == (0, 1)
        real = hub.service.journal.append

        def fail(number: int, row: object) -> int:
            if row.key == b"b":
                raise RuntimeError("a defect")
            return real(number, row)  # type: ignore[arg-type]

        monkeypatch.setattr(hub.service.journal, "append", fail)
        answered = _commit_raw(caller, epoch, [file("c", b""), file("b", b"")])
        assert answered.status == 500
        assert caller.commit(epoch, folder("d"))[0] == (0, 2)
        assert {entry["path"] for entry in caller.ask("GET", "/v1/log").json["entries"]} == {"a", "d"}
