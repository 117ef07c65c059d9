"""Files fetched while their author still uploads them: sooner there, never otherwise there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import LocalDevice, LocalHub
from toastbox.core.ahead import Run, decode_ahead, encode_run, token_of
from toastbox.core.content import chunk_item
from toastbox.device import ahead, send
from toastbox.device.send import CHUNK_MAX

SIZE = 20 << 20  # above send.AHEAD_BYTES, many windows
TOLD = SIZE - send.RUN_BYTES - (1 << 20)  # at least so much of it is told before it is committed
LIMIT = 64 << 20
ITEM = chunk_item(bytes(32), 10)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    hub = LocalHub(tmp_path / "hub")
    yield hub
    hub.close()


@pytest.fixture
def one(hub: LocalHub, tmp_path: Path) -> LocalDevice:
    return LocalDevice(hub, tmp_path / "one")


@pytest.fixture
def two(hub: LocalHub, tmp_path: Path) -> LocalDevice:
    return LocalDevice(hub, tmp_path / "two", ahead_bytes=LIMIT)


def staged(device: LocalDevice) -> list[str]:
    return sorted(os.listdir(device.root / ".toastbox/stage"))


def listening(author: LocalDevice, *others: LocalDevice) -> None:
    """The others fetch as soon as they are told."""

    def tell() -> None:
        for device in others:
            while device.engine.fetch_ahead():
                pass

    author.remote.on_tell = tell


def upload_only(author: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The author is cut off before it can commit."""

    def cut(body: bytes) -> bytes:
        raise ConnectionError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(author.remote, "commit", cut)
        with pytest.raises(ConnectionError):
            author.sync()


def test_most_of_a_large_file_is_there_before_its_entry(one: LocalDevice, two: LocalDevice) -> None:
    two.sync()
    listening(one, two)
    data = os.urandom(SIZE)
    one.write("large", data)
    one.sync()
    before = two.remote.fetched
    assert before > TOLD
    assert not (two.root / "large").exists()
    assert two.sync()
    assert (two.root / "large").read_bytes() == data
    assert two.remote.fetched <= SIZE  # nothing came twice
    assert staged(two) == []
    assert (two.root / "large").stat().st_mode & 0o777 == (one.root / "large").stat().st_mode & 0o777


def test_on_a_slow_link_little_is_fetched_at_a_time(
    one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.sync()
    one.write("large", os.urandom(SIZE))
    upload_only(one, monkeypatch)
    fetched: list[int] = []
    clock = [0.0]
    monkeypatch.setattr(two.engine._ahead, "_now", lambda: clock[0])
    load = two.remote.fetch

    def slow(hashes: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        found = list(load(hashes))
        fetched.append(sum(len(data or b"") for _, data in found))
        clock[0] += fetched[-1] / 1e6  # a megabyte a second
        return iter(found)

    monkeypatch.setattr(two.remote, "fetch", slow)
    for _ in range(20):
        assert two.engine.fetch_ahead()
    assert max(fetched) <= CHUNK_MAX
    assert sum(fetched) > 0


def test_what_waits_is_fetched_together_where_the_link_is_fast(
    one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.sync()
    monkeypatch.setattr(send, "RUN_BYTES", 1)  # every window is told of
    one.write("large", os.urandom(SIZE))
    upload_only(one, monkeypatch)
    told = one.remote.calls["tell_ahead"]
    monkeypatch.setattr(two.engine._ahead, "_slice", ahead.SLICE_BYTES[1])
    monkeypatch.setattr(two.engine._ahead, "_pace", lambda took_s: None)
    before = two.remote.calls.get("fetch", 0)
    while two.engine.fetch_ahead():
        pass
    fetches = two.remote.calls.get("fetch", 0) - before
    assert two.remote.fetched > TOLD
    assert SIZE // ahead.SLICE_BYTES[1] <= fetches <= told // 2


def test_runs_of_two_files_are_not_taken_for_one(two: LocalDevice) -> None:
    runs = [Run(b"a" * 16, 0, ITEM), Run(b"b" * 16, 10, ITEM), Run(b"b" * 16, 30, ITEM), Run(b"b" * 16, 40, ITEM)]
    two.engine._ahead._waiting.extend(runs)
    found = [two.engine._ahead._next() for _ in range(3)]
    assert [(run.token[:1], run.offset, run.chunks) for run in found] == [
        (b"a", 0, ITEM),
        (b"b", 10, ITEM),
        (b"b", 30, ITEM + ITEM),
    ]


def test_an_edit_is_not_told_ahead_for_the_chunks_that_are_known(one: LocalDevice, two: LocalDevice) -> None:
    data = bytearray(os.urandom(SIZE))
    one.write("large", bytes(data))
    one.sync()
    two.sync()
    told, fetched = one.remote.calls["tell_ahead"], two.remote.fetched
    listening(one, two)
    data[1000:1000] = b"!"
    one.write("large", bytes(data))
    one.sync()
    two.sync()
    assert one.remote.calls["tell_ahead"] == told
    assert two.remote.fetched - fetched < 4 * CHUNK_MAX
    assert (two.root / "large").read_bytes() == data


def test_chunks_that_are_here_are_not_fetched_again(
    one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(SIZE)
    two.write("copy", data[: SIZE // 2])
    two.sync()
    listening(one, two)
    before = two.remote.fetched
    monkeypatch.setattr(send, "UNASKED_BYTES", 1 << 30)  # an author who sends all, whatever the hub has
    one.write("large", data)
    one.sync()
    two.sync()
    assert (two.root / "large").read_bytes() == data
    assert two.remote.fetched - before < SIZE * 0.6


@pytest.mark.parametrize("shift", [0, 1, 4096])
def test_a_hint_that_lies_changes_nothing(one: LocalDevice, two: LocalDevice, hub: LocalHub, shift: int) -> None:
    """Chunks that are the hub's and of this very file, told at other places, or in another order."""
    data = os.urandom(SIZE)
    one.write("large", data)
    one.sync()
    entry = one.index.get(b"large")
    assert entry is not None
    chunks = one.index.list_of(entry)
    lie = chunks[:720] if shift else chunks[36:720] + chunks[:36]
    token = token_of(b"large", SIZE, entry.entry.mtime_ns)
    hub.ahead.note(1, 99, encode_run(Run(token, shift, lie)))
    while two.engine.fetch_ahead():
        pass
    assert two.remote.fetched > 0
    assert staged(two) == ["ahead" + token.hex()]
    assert two.sync()
    assert (two.root / "large").read_bytes() == data
    assert staged(two) == []


def test_what_is_never_committed_goes_after_a_while(
    one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.sync()
    listening(one, two)
    one.write("large", os.urandom(SIZE))
    upload_only(one, monkeypatch)
    two.sync()
    assert len(staged(two)) == 1
    monkeypatch.setattr(ahead, "EXPIRE_S", -1.0)
    two.sync()
    assert staged(two) == []


def test_a_start_finds_no_trace_of_it(one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    listening(one, two)
    one.write("large", os.urandom(SIZE))
    upload_only(one, monkeypatch)
    assert len(staged(two)) == 1
    two.restart()
    assert staged(two) == []


def test_an_upload_that_is_taken_up_again_goes_on_here_too(
    one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening(one, two)
    data = os.urandom(SIZE)
    one.write("large", data)
    upload_only(one, monkeypatch)
    one.sync()
    assert two.sync()
    assert (two.root / "large").read_bytes() == data
    assert two.remote.fetched <= SIZE


def test_bytes_fetched_in_vain_are_bounded(one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    listening(one, two)
    monkeypatch.setattr(ahead, "EXPIRE_S", -1.0)
    for _ in range(6):
        one.write("large", os.urandom(SIZE))
        upload_only(one, monkeypatch)
        two.engine.cycle()
        assert staged(two) == []
    assert LIMIT - (4 << 20) < two.remote.fetched <= LIMIT


def test_what_was_of_use_may_be_fetched_again_and_again(one: LocalDevice, two: LocalDevice) -> None:
    listening(one, two)
    for round_ in range(5):
        one.write("large", os.urandom(SIZE))
        one.sync()
        before = two.remote.fetched
        assert before > round_ * SIZE + TOLD
        two.sync()


def test_a_full_disk_ends_it(one: LocalDevice, two: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    listening(one, two)
    monkeypatch.setattr(two.folder.stage, "free_bytes", lambda: ahead.RESERVE_BYTES)
    one.write("large", os.urandom(SIZE))
    one.sync()
    assert two.remote.fetched == 0
    assert staged(two) == []


def test_switched_off_nothing_is_asked(hub: LocalHub, one: LocalDevice, tmp_path: Path) -> None:
    off = LocalDevice(hub, tmp_path / "off")
    listening(one, off)
    one.write("large", os.urandom(SIZE))
    one.sync()
    assert "ahead" not in off.remote.calls
    assert off.sync()
    assert (off.root / "large").stat().st_size == SIZE


def test_the_author_and_other_folders_are_told_nothing(hub: LocalHub) -> None:
    run = encode_run(Run(bytes(16), 0, bytes(32) + b"\1\0\0\0"))
    hub.ahead.note(1, 7, run)
    assert decode_ahead(hub.ahead.answer(1, 7, 0))[1] == []
    assert decode_ahead(hub.ahead.answer(2, 8, 0))[1] == []
    position, runs = decode_ahead(hub.ahead.answer(1, 8, 0))
    assert [encode_run(found) for found in runs] == [run]
    assert decode_ahead(hub.ahead.answer(1, 8, position)) == (position, [])
    hub.now_s += 601
    assert decode_ahead(hub.ahead.answer(1, 8, 0))[1] == []


def test_the_hub_keeps_so_much_and_no_more(hub: LocalHub) -> None:
    chunks = (bytes(32) + b"\1\0\0\0") * 2000
    for offset in range(100):
        hub.ahead.note(1, 7, encode_run(Run(bytes(16), offset, chunks)))
    after, found = 0, []
    while True:
        after, runs = decode_ahead(hub.ahead.answer(1, 8, after))
        if not runs:
            break
        assert len(runs) == 1
        found += [run.offset for run in runs]
    assert found == list(range(100 - len(found), 100))
    assert (1 << 20) < sum(2000 * 36 for _ in found) <= 2 << 20
    hub.ahead.end(7)
    assert decode_ahead(hub.ahead.answer(1, 8, 0))[1] == []
