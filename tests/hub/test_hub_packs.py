"""Chunk packs: what survives which accident."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from toastbox.errors import DamagedData, DeviceFailing, DeviceFull
from toastbox.hub.chunks import index, packs
from toastbox.hub.chunks.packfile import HEADER, RECORD, PackTail, pack_numbers, pack_path, scan
from toastbox.hub.chunks.packs import FRESH_S, KEPT_FREE_BYTES, PackStore

PACK = 8192  # small packs, so that there are several
FOLDER = 3


def named(*datas: bytes) -> list[tuple[bytes, bytes]]:
    return [(sha256(data).digest(), data) for data in datas]


def random_chunks(count: int, size: int = 700) -> list[bytes]:
    return [os.urandom(size) for _ in range(count)]


def loaded(store: PackStore, datas: list[bytes], folder: int = FOLDER) -> list[bytes | None]:
    found = store.load(folder, [digest for digest, _ in named(*datas)])
    return [None if data is None else bytes(data) for _, data in found]


class Clock:
    """The hub's, in seconds."""

    now_s = 1000


def opened(path: Path, clock: Clock | None = None) -> PackStore:
    return PackStore(str(path), lambda: (clock or Clock).now_s, PACK)


def crash(store: PackStore) -> None:
    """Leave as kill -9 does: nothing more is written."""
    store._tail.close()
    store._index._writer.rollback()
    store._index.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[PackStore]:
    store = opened(tmp_path, clock)
    yield store
    store.close()


def test_chunks_come_back_in_the_order_asked(store: PackStore) -> None:
    datas = random_chunks(50)
    assert store.store(FOLDER, named(*datas)) == (50, 50 * 700)
    store.publish()
    asked = [*datas[::-1], b"absent", datas[7], datas[7], *datas]
    assert loaded(store, asked) == [*datas[::-1], None, datas[7], datas[7], *datas]


def test_what_is_here_is_not_stored_again(store: PackStore) -> None:
    one, two = random_chunks(2)
    assert store.store(FOLDER, named(one, two, one)) == (2, 1400)
    assert store.store(FOLDER, named(two, one)) == (0, 0)
    assert store.store(FOLDER + 1, named(one)) == (1, 700), "folders share nothing"


def test_chunk_that_is_not_its_name_is_refused_with_its_batch(store: PackStore) -> None:
    [one] = random_chunks(1)
    with pytest.raises(DamagedData) as damaged:
        store.store(FOLDER, [*named(one), (bytes(32), b"x")])
    assert (damaged.value.expected, damaged.value.found) == (bytes(32), sha256(b"x").digest())
    store.publish()
    assert loaded(store, [one]) == [None]


def test_crash_before_the_flush_keeps_what_was_published(store: PackStore, tmp_path: Path) -> None:
    flushed, published, lost = random_chunks(3)
    store.store(FOLDER, named(flushed))
    store.flush()
    store.store(FOLDER, named(published))
    store.publish()
    store.store(FOLDER, named(lost))
    crash(store)
    again = opened(tmp_path)
    assert loaded(again, [flushed, published, lost]) == [flushed, published, lost], "all are in the pack"
    again.close()


def rows_in_table(path: Path) -> int:
    with closing(sqlite3.connect(path / "index.db")) as database:
        return int(database.execute("SELECT count(*) FROM chunk").fetchone()[0])


def test_rows_are_gathered_and_written_out_together(
    store: PackStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "GATHERED_ROWS", 40)
    datas = random_chunks(40)
    for number, data in enumerate(datas):
        assert rows_in_table(tmp_path) == 0, f"after {number} flushes"
        store.store(FOLDER, named(data))
        store.flush()
        assert loaded(store, datas[: number + 1]) == datas[: number + 1], "seen by readers at once"
    assert rows_in_table(tmp_path) == 40
    assert store._index.durable() == store._durable, "nothing to be read again"
    assert loaded(store, datas) == datas


@pytest.mark.parametrize("stored", [3, 7, 8, 40, 45])
def test_after_a_crash_no_more_than_so_many_bytes_are_read_again(
    store: PackStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: int
) -> None:
    monkeypatch.setattr(index, "GATHERED_BYTES", 5000)
    datas = random_chunks(stored)
    for data in datas:
        store.store(FOLDER, named(data))
        store.flush()
    crash(store)
    found: list[int] = []
    monkeypatch.setattr(packs, "scan", lambda *where: (found.append(each.size) or each for each in scan(*where)))
    again = opened(tmp_path)
    assert sum(found) < 5000 + 700
    assert loaded(again, datas) == datas
    again.close()


def test_disk_that_has_no_room_for_the_index_costs_no_chunk(
    store: PackStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datas, later = random_chunks(200, 70), random_chunks(1)
    with monkeypatch.context() as patch:
        patch.setattr(index, "GATHERED_ROWS", 20)
        store._index._writer.execute("PRAGMA max_page_count = 1")
        store.store(FOLDER, named(*datas))
        with pytest.raises(DeviceFull):
            store.publish()
        store.rollback()
        assert loaded(store, datas) == datas, "they are in the pack"
    store._index._writer.execute("PRAGMA max_page_count = 100000")
    store.store(FOLDER, named(*later))
    store.flush()
    crash(store)
    again = opened(tmp_path)
    assert loaded(again, datas + later) == datas + later
    again.close()


def test_clean_end_leaves_nothing_to_be_read(store: PackStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datas = random_chunks(7)
    store.store(FOLDER, named(*datas))
    store.flush()
    store.close()
    monkeypatch.setattr(packs, "scan", lambda *_: pytest.fail("a pack was read"))
    again = opened(tmp_path)
    assert loaded(again, datas) == datas
    again.close()


@pytest.mark.parametrize("cut", range(1, 750, 47))
def test_torn_end_is_cut(store: PackStore, tmp_path: Path, cut: int) -> None:
    flushed, torn = random_chunks(2)
    store.store(FOLDER, named(flushed))
    store.flush()
    store.store(FOLDER, named(torn))
    store.publish()
    crash(store)
    path = pack_path(str(tmp_path), 1)
    size = os.stat(path).st_size
    os.truncate(path, size - cut)
    again = opened(tmp_path)
    whole = HEADER.size + RECORD.size + 700
    assert loaded(again, [flushed, torn]) == [flushed, None]
    assert os.stat(path).st_size == whole
    assert again.store(FOLDER, named(torn)) == (1, 700)
    again.flush()
    assert loaded(again, [flushed, torn]) == [flushed, torn]
    again.close()


def test_zeros_after_a_power_cut_are_cut(store: PackStore, tmp_path: Path) -> None:
    """A file system may keep the new size of a file and not its data."""
    flushed, lost = random_chunks(2)
    store.store(FOLDER, named(flushed))
    store.flush()
    store.store(FOLDER, named(lost))
    store.publish()
    crash(store)
    path = Path(pack_path(str(tmp_path), 1))
    whole = HEADER.size + RECORD.size + 700
    path.write_bytes(path.read_bytes()[:whole] + bytes(748))
    again = opened(tmp_path)
    assert loaded(again, [flushed, lost]) == [flushed, None]
    assert path.stat().st_size == whole
    again.close()


def test_index_is_made_again_from_the_packs(store: PackStore, tmp_path: Path) -> None:
    datas = random_chunks(40)
    store.store(FOLDER, named(*datas))
    store.flush()
    assert len(pack_numbers(str(tmp_path))) > 2
    crash(store)
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    again = opened(tmp_path)
    assert loaded(again, datas) == datas
    again.close()


def test_damaged_index_is_made_again(store: PackStore, tmp_path: Path) -> None:
    datas = random_chunks(5)
    store.store(FOLDER, named(*datas))
    store.flush()
    crash(store)
    (tmp_path / "index.db").write_bytes(b"not a database at all" * 400)
    again = opened(tmp_path)
    assert loaded(again, datas) == datas
    again.close()


def test_older_index_put_back_is_brought_up_to_date(store: PackStore, tmp_path: Path) -> None:
    datas = random_chunks(30)
    store.store(FOLDER, named(*datas[:10]))
    store.flush()
    store._index.checkpoint()
    old = (tmp_path / "index.db").read_bytes()
    store.store(FOLDER, named(*datas[10:]))
    store.flush()
    crash(store)
    for path in tmp_path.glob("index.db-*"):
        path.unlink()
    (tmp_path / "index.db").write_bytes(old)
    again = opened(tmp_path)
    assert loaded(again, datas) == datas
    again.close()


def test_bit_flip_is_noticed_and_healed_by_storing_again(
    store: PackStore, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datas = random_chunks(3)
    store.store(FOLDER, named(*datas))
    store.flush()
    clock.now_s += FRESH_S
    with open(pack_path(str(tmp_path), 1), "r+b") as pack:
        pack.seek(HEADER.size + 2 * RECORD.size + 700 + 123)
        byte = pack.read(1)
        pack.seek(-1, 1)
        pack.write(bytes([byte[0] ^ 4]))
    assert loaded(store, datas) == [datas[0], None, datas[2]]
    digest = sha256(datas[1]).digest()
    assert digest.hex() in caplog.text and "pack 000001" in caplog.text
    assert store.missing(FOLDER, [digest]) == [True]
    assert store.sizes_of(FOLDER, [digest]) == {}
    assert store.store(FOLDER, named(datas[1])) == (1, 700)
    store.publish()
    assert loaded(store, datas) == datas


def test_damaged_head_does_not_hide_what_follows(store: PackStore, tmp_path: Path) -> None:
    datas = random_chunks(4)
    store.store(FOLDER, named(*datas))
    store.flush()
    crash(store)
    with open(pack_path(str(tmp_path), 1), "r+b") as pack:
        pack.seek(HEADER.size + RECORD.size + 700 + 5)
        pack.write(b"\xff")
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    again = opened(tmp_path)
    assert loaded(again, datas) == [datas[0], None, datas[2], datas[3]]
    again.close()


def test_lost_pack_is_missing_chunks_not_an_error(store: PackStore, tmp_path: Path) -> None:
    datas = random_chunks(30)
    store.store(FOLDER, named(*datas))
    store.flush()
    os.unlink(pack_path(str(tmp_path), 1))
    found = loaded(store, datas)
    assert None in found and [data for data in found if data] == [d for d, f in zip(datas, found, strict=True) if f]


def test_rollback_forgets_what_was_not_published(store: PackStore, tmp_path: Path) -> None:
    kept, gone = random_chunks(1), random_chunks(20)
    store.store(FOLDER, named(*kept))
    store.publish()
    store.store(FOLDER, named(*gone))
    store.rollback()
    assert loaded(store, kept + gone) == kept + [None] * 20
    assert pack_numbers(str(tmp_path)) == [1]
    store.store(FOLDER, named(*gone))
    store.flush()
    assert loaded(store, kept + gone) == kept + gone


def test_failed_sync_takes_back_what_was_published(store: PackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fdatasync the kernel may have thrown the pages away: only the flushed part is believed."""
    flushed, doubtful = random_chunks(2)
    store.store(FOLDER, named(flushed))
    store.flush()
    store.store(FOLDER, named(doubtful))
    store.publish()

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(DeviceFailing):
            store.flush()
        store.rollback()
    assert loaded(store, [flushed, doubtful]) == [flushed, None]
    store.store(FOLDER, named(doubtful))
    store.flush()
    assert loaded(store, [flushed, doubtful]) == [flushed, doubtful]


def test_rollback_still_owes_the_sync_of_packs_that_were_left_full(
    store: PackStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published, not flushed, and then another group fails: a commit that names these chunks must find them on disk."""
    store.store(FOLDER, named(*random_chunks(30)))
    store.publish()
    store.store(FOLDER, named(*random_chunks(30)))
    store.rollback()
    synced, real = [], os.fdatasync

    def note(fd: int) -> None:
        real(fd)
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))

    monkeypatch.setattr(os, "fdatasync", note)
    store.flush()
    assert sorted(synced) == sorted(path.name for path in tmp_path.glob("*.pack"))
    assert len(synced) > 2


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what the store has hashed, one after the other."""
    sizes: list[int] = []

    def counting(data: bytes) -> Any:
        sizes.append(len(data))
        return sha256(data)

    monkeypatch.setattr(packs, "sha256", counting)
    return sizes


def test_a_chunk_is_hashed_when_it_is_read_some_time_after_it_was_stored(
    store: PackStore, clock: Clock, hashed: list[int]
) -> None:
    [one] = random_chunks(1)
    store.store(FOLDER, named(one))
    store.publish()
    assert hashed == [700]
    clock.now_s += FRESH_S - 1
    store.flush()
    assert loaded(store, [one, one]) == [one, one]
    assert hashed == [700], "it has been hashed on its way in, and is in the kernel's memory"
    clock.now_s += 1
    assert loaded(store, [one]) == [one]
    assert hashed == [700, 700]


@pytest.mark.parametrize("jump_s", [-1, -1_000_000_000])
def test_a_clock_set_back_has_chunks_hashed(store: PackStore, clock: Clock, hashed: list[int], jump_s: int) -> None:
    [one] = random_chunks(1)
    store.store(FOLDER, named(one))
    store.publish()
    clock.now_s += jump_s
    assert loaded(store, [one]) == [one]
    assert hashed == [700, 700]


@pytest.mark.parametrize("end", [PackStore.close, crash])
def test_what_an_earlier_run_stored_a_moment_ago_is_hashed(
    store: PackStore, tmp_path: Path, hashed: list[int], end: Callable[[PackStore], None]
) -> None:
    old, new = random_chunks(2)
    store.store(FOLDER, named(old))
    store.publish()
    end(store)
    again = opened(tmp_path)
    again.store(FOLDER, named(new))
    again.publish()
    hashed.clear()
    assert loaded(again, [old, new]) == [old, new]
    assert hashed == [700]
    again.close()


def test_a_new_chunk_is_hashed_while_its_pack_may_be_compacted(
    store: PackStore, hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    [one] = random_chunks(1)
    store.store(FOLDER, named(one))
    store.publish()
    monkeypatch.setattr(store, "_emptied", 1)  # compaction copies damaged chunks as they are
    assert loaded(store, [one]) == [one]
    assert hashed == [700, 700]


def test_a_new_record_that_is_not_there_whole_is_missing(store: PackStore) -> None:
    one, two = random_chunks(2)
    store.store(FOLDER, named(one))
    store.publish()
    os.truncate(pack_path(store._path, 1), HEADER.size + RECORD.size + 300)
    assert loaded(store, [one]) == [None]
    assert loaded(store, [two]) == [None]


def test_full_disk_in_the_middle_of_a_batch(store: PackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    datas = random_chunks(30)
    real, room = os.pwritev, [3000]

    def pwritev(fd: int, buffers: list[bytes], offset: int) -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        data = b"".join(buffers)[: room[0]]
        room[0] -= len(data)
        return real(fd, [data], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", pwritev)
        with pytest.raises(DeviceFull):
            store.store(FOLDER, named(*datas))
        store.rollback()
    assert loaded(store, datas) == [None] * 30
    assert store.store(FOLDER, named(*datas)) == (30, 30 * 700)
    store.flush()
    assert loaded(store, datas) == datas


def test_last_of_a_disk_is_not_for_content(store: PackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal needs some for deletions, and a start for both databases: without, nothing could free any."""
    datas = random_chunks(3)
    store.store(FOLDER, named(datas[0]))
    monkeypatch.setattr(store, "_free_bytes", lambda: KEPT_FREE_BYTES + 700)
    with pytest.raises(DeviceFull):
        store.store(FOLDER, named(datas[1], datas[2]))
    assert store.store(FOLDER, named(datas[1])) == (1, 700)
    monkeypatch.setattr(store, "_free_bytes", lambda: 0)
    assert store.store(FOLDER, named(datas[0], datas[1])) == (0, 0), "what is here already takes no room"
    store.flush()
    assert loaded(store, datas) == [datas[0], datas[1], None]


def test_index_of_a_newer_program_is_made_again(store: PackStore, tmp_path: Path) -> None:
    datas = random_chunks(3)
    store.store(FOLDER, named(*datas))
    store.flush()
    crash(store)
    with closing(sqlite3.connect(tmp_path / "index.db")) as index:
        index.execute("PRAGMA user_version = 99")
    again = opened(tmp_path)
    assert loaded(again, datas) == datas
    again.close()


def test_golden_record(tmp_path: Path) -> None:
    """Version 1 of a pack stays readable for ever (docs/SPEC.md, section 10)."""
    golden = bytes.fromhex(
        "54425041434b310a0100000000000000"
        "5442434b05000000030000002cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824562bdc29"
        "68656c6c6f"
    )
    tail = PackTail(str(tmp_path))
    tail.append(FOLDER, named(b"hello"))
    tail.close()
    path = pack_path(str(tmp_path), 1)
    assert Path(path).read_bytes() == golden
    fd = os.open(path, os.O_RDONLY)
    assert [tuple(found) for found in scan(fd, HEADER.size)] == [(16, 3, sha256(b"hello").digest(), 5, True)]
    os.close(fd)
