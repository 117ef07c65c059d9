"""Pruning: what goes, what stays, and what may happen meanwhile."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hubkit import Clock, add_device, big_file, commit, deletion, file, put
from toastbox.errors import DeviceFailing
from toastbox.hub.chunks.packfile import pack_numbers
from toastbox.hub.chunks.packs import PackStore
from toastbox.hub.home import add_folder
from toastbox.hub.journal.base import Device
from toastbox.hub.journal.sqlite import SqliteJournal
from toastbox.hub.prune import Pruned, Pruner
from toastbox.hub.refusal import Refusal
from toastbox.hub.service import HubService

DAY = 86400


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Any:
    """A service on packs of 64 KiB."""
    journal = SqliteJournal(str(tmp_path / "journal.db"))
    service = HubService(journal, PackStore(str(tmp_path / "chunks"), clock.now_s, 64 << 10), clock)
    add_folder(service, "main")
    service.flush()
    yield service
    service.close()


def prune(service: HubService, days: int = 10, versions: int = 0, between: Any = None) -> Pruned:
    """between: called before every job on the writing thread."""

    def run(job: Any) -> Any:
        if between:
            between()
        result = job()
        service.flush()
        return result

    return Pruner(service, service.chunks, run, days, versions).prune()


def edit(service: HubService, device: Device, clock: Clock, count: int, path: str = "x") -> list[bytes]:
    """Versions of a path, a day apart."""
    datas = [os.urandom(4000) for _ in range(count)]
    for data in datas:
        put(service, device, data)
        current = service.journal.current(device.folder, path.encode())
        [(status, _)] = commit(service, device, file(path, data, seq=current[0] if current else 0))
        assert status == 0
        clock.move(DAY)
    return datas


def content(service: HubService, device: Device, data: bytes) -> bytes | None:
    [(_, found)] = service.load(device, file("x", data).content)
    return None if found is None else bytes(found)


def seqs(service: HubService, device: Device, path: bytes = b"x") -> list[int]:
    return [version["seq"] for version in service.versions(device, path)]


def test_versions_replaced_long_ago_go(service: HubService, device: Device, clock: Clock) -> None:
    datas = edit(service, device, clock, 15)
    pruned = prune(service, days=10)
    assert (pruned.versions, pruned.chunks) == (4, 4)
    assert seqs(service, device) == list(range(15, 4, -1))
    assert content(service, device, datas[3]) is None
    assert content(service, device, datas[4]) == datas[4]
    assert prune(service, days=10) == Pruned(0, 0, 0)


def test_newest_old_versions_are_kept_however_old(service: HubService, device: Device, clock: Clock) -> None:
    edit(service, device, clock, 6)
    clock.move(1000 * DAY)
    assert prune(service, days=10, versions=2).versions == 3
    assert seqs(service, device) == [6, 5, 4]


def test_current_entries_and_deletions_stay(service: HubService, device: Device, clock: Clock) -> None:
    datas = edit(service, device, clock, 1) + edit(service, device, clock, 1, "y")
    commit(service, device, deletion("y", 2))
    clock.move(1000 * DAY)
    assert prune(service) == Pruned(1, 1, 0)
    assert seqs(service, device) == [1] and seqs(service, device, b"y") == [3]
    assert [content(service, device, data) for data in datas] == [datas[0], None]


def test_chunk_lists_go_with_their_last_version(service: HubService, device: Device, clock: Clock) -> None:
    pieces = [os.urandom(3000) for _ in range(4)]
    put(service, device, *pieces)
    big = big_file("x", pieces)
    commit(service, device, big, big_file("copy", pieces))
    commit(service, device, file("x", b"", seq=1))
    clock.move(100 * DAY)
    assert prune(service) == Pruned(1, 0, 0)
    assert service.chunk_list(device, big.content, 0, 9)[1] == 4
    commit(service, device, deletion("copy", 2))
    clock.move(100 * DAY)
    pruned = prune(service)
    assert (pruned.versions, pruned.chunks) == (1, 4)
    with pytest.raises(Refusal):
        service.chunk_list(device, big.content, 0, 9)


def test_interrupted_upload_is_kept_for_a_day(service: HubService, device: Device, clock: Clock) -> None:
    put(service, device, b"half of a file")
    clock.move(DAY - 1)
    assert prune(service).chunks == 0
    clock.move(2)
    assert prune(service).chunks == 1


def test_packs_that_are_mostly_dead_give_room_back(service: HubService, device: Device, clock: Clock) -> None:
    kept = [os.urandom(4000) for _ in range(10)]
    for number, data in enumerate(kept):
        put(service, device, data, *(os.urandom(4000) for _ in range(9)))
        commit(service, device, file(f"f{number}", data))
    folder = service.chunks._path  # type: ignore[attr-defined]
    before = sum(file.stat().st_size for file in Path(folder).glob("*.pack"))
    clock.move(2 * DAY)
    pruned = prune(service)
    after = sum(file.stat().st_size for file in Path(folder).glob("*.pack"))
    assert pruned.chunks == 90
    assert after < before / 4 and pruned.bytes >= before - after
    assert [content(service, device, data) for data in kept] == kept
    service.close()
    again = PackStore(folder, clock.now_s, 64 << 10)
    assert again.missing(device.folder, [file("x", data).content for data in kept]) == [False] * 10
    again.close()


def test_crash_between_copy_and_removal_of_a_pack(
    service: HubService, device: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [os.urandom(4000) for _ in range(8)]
    for number, data in enumerate(kept):
        put(service, device, data, *(os.urandom(4000) for _ in range(9)))
        commit(service, device, file(f"f{number}", data))
    clock.move(2 * DAY)

    def fail(pack: int) -> int:
        raise DeviceFailing("cut")

    monkeypatch.setattr(service.chunks, "_remove_pack", fail)
    with pytest.raises(DeviceFailing):
        prune(service)
    folder = service.chunks._path  # type: ignore[attr-defined]
    packs = pack_numbers(folder)
    service.close()
    again = PackStore(folder, clock.now_s, 64 << 10)
    assert pack_numbers(folder) == packs
    found = again.load(device.folder, [file("x", data).content for data in kept])
    assert [bytes(data) for _, data in found if data is not None] == kept
    assert again.compact(1 << 20), "the emptied pack goes the next time"
    again.close()


def test_old_chunk_named_again_while_pruning_is_kept(service: HubService, device: Device, clock: Clock) -> None:
    """The chunk is dead when marking begins, and a commit names it before the sweep comes to it."""
    [data] = edit(service, device, clock, 1)
    commit(service, device, file("x", b"", seq=1))
    clock.move(100 * DAY)
    step = iter(range(100))

    def between() -> None:
        if next(step) == 2:  # after the marking, before the first slice of the sweep
            assert commit(service, device, file("back", data))[0][0] == 0

    assert prune(service, between=between).versions == 1
    assert next(step) > 3, "the sweep came after the commit"
    assert content(service, device, data) == data


def test_uploads_and_commits_go_on_while_pruning(service: HubService, device: Device, clock: Clock) -> None:
    edit(service, device, clock, 30)
    clock.move(100 * DAY)
    made: dict[str, bytes] = {}

    def between() -> None:
        data = os.urandom(500)
        put(service, device, data)
        assert commit(service, device, file(f"n{len(made)}", data))[0][0] == 0
        made[f"n{len(made)}"] = data

    prune(service, between=between)
    assert len(made) > 5
    assert [content(service, device, data) for data in made.values()] == list(made.values())


def test_two_prunings_do_not_mix_their_marks(service: HubService, device: Device, clock: Clock) -> None:
    edit(service, device, clock, 3)
    clock.move(100 * DAY)
    second: list[threading.Thread] = []
    order: list[str] = []

    def between() -> None:
        if not second:
            second.append(threading.Thread(target=lambda: (prune(service), order.append("second"))))
            second[0].start()
            second[0].join(0.2)

    prune(service, between=between)
    order.append("first")
    second[0].join(10)
    assert order == ["first", "second"]


def test_marks_are_not_believed_after_a_rollback(service: HubService, device: Device, clock: Clock) -> None:
    [data] = edit(service, device, clock, 1)
    clock.move(100 * DAY)
    service.chunks.mark_start()
    service.chunks.mark(device.folder, [file("x", data).content])
    service.rollback()
    with pytest.raises(DeviceFailing):
        service.chunks.sweep(clock.now_s(), 100)
    assert content(service, device, data) == data


def test_folders_do_not_share_marks(service: HubService, device: Device, clock: Clock) -> None:
    add_folder(service, "second")
    service.flush()
    neighbour = add_device(service, "neighbour", "second")
    data = os.urandom(100)
    put(service, device, data)
    put(service, neighbour, data)
    commit(service, neighbour, file("x", data))
    clock.move(2 * DAY)
    assert prune(service).chunks == 1
    assert content(service, device, data) is None
    assert content(service, neighbour, data) == data
