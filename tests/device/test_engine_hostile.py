"""What a hub says that no honest one would: the device ends its round, keeps what it has, and can go on later."""

from collections.abc import Callable

import pytest

from local import LocalDevice, Trio, contents, held, settle
from toastbox.core import wire
from toastbox.core.content import chunk_item
from toastbox.core.entry import FILE, Entry
from toastbox.device import engine
from toastbox.device.preview import Preview
from toastbox.device.reading import Reader
from toastbox.device.receive import BAD_LIST, LIST_PAGE
from toastbox.errors import EpochChanged, HostilePeer

BEYOND = 1 << 63  # of what a database keeps


def lying(device: LocalDevice, answer: Callable[[int, int], bytes]) -> list[int]:
    """From now on the hub answers pulls so; the cursors that it is asked after."""
    asked: list[int] = []

    def pull(after: int, epoch: int, entries: int, nbytes: int) -> bytes:
        asked.append(after)
        assert len(asked) < 100, "does not end"
        return answer(after, epoch)

    device.remote.pull = pull  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize("cursor", [0, 1, 2])
def test_journal_that_does_not_go_on_is_not_asked_for_ever(trio: Trio, cursor: int) -> None:
    _, a, b = trio
    a.write("d/f", b"1")
    settle(a, b)
    known = b.index.cursor
    asked = lying(b, lambda after, epoch: wire.encode_pull(epoch, cursor, 9, []))
    with pytest.raises(HostilePeer, match="go on"):
        b.sync()
    assert (len(asked), b.index.cursor) == (1, known) and contents(b) == contents(a)


def test_epoch_that_is_another_each_time_ends_and_deletes_nothing(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("f", b"1")
    settle(a, b)

    def refuse(after: int, epoch: int) -> bytes:
        raise EpochChanged(epoch + 1)

    asked = lying(b, refuse)
    assert not b.sync() and len(asked) == engine.MAX_ROUNDS
    assert contents(b) == {"f": b"1"}
    with pytest.raises(EpochChanged):
        list(Preview(b.folder, b.index, b.remote, Reader(b.folder, b.buffers[0]), "b", "two-way").steps())


def test_journal_put_back_between_question_and_answer_is_noticed(trio: Trio) -> None:
    """An answer of another epoch than was asked about says nothing of what is after our cursor."""
    hub, a, b = trio
    a.write("f", b"1")
    settle(a, b)
    real, renewed = b.remote.pull, []

    def pull(after: int, epoch: int, entries: int, nbytes: int) -> bytes:
        if not renewed:
            renewed.append(hub.service.renew_epoch("a test"))
            return wire.encode_pull(hub.service.epoch, after, after, [])
        return real(after, epoch, entries, nbytes)

    b.remote.pull = pull  # type: ignore[method-assign]
    b.sync()
    row = b.index.get(b"f")
    assert b.index.epoch == hub.service.epoch and row is not None and row.entry.seq > 0
    settle(a, b)
    assert contents(a) == contents(b) == {"f": b"1"}


@pytest.mark.parametrize(
    "body",
    [
        wire.encode_pull(7, BEYOND, BEYOND, []),
        wire.encode_pull(7, 1, BEYOND, []),
        wire.encode_pull(7, 1, 1, [wire.encode_entry(Entry(b"f", FILE, 0, 1, 0, BEYOND, bytes(32)), wire.ELSEWHERE)]),
        wire.encode_pull(7, 1, 1, [b"x" * 60]),
        b"",
    ],
)
def test_journal_that_cannot_be_is_hostile(trio: Trio, body: bytes) -> None:
    _, _, b = trio
    lying(b, lambda after, epoch: body)
    with pytest.raises(HostilePeer, match="cannot be read"):
        b.sync()
    with pytest.raises(HostilePeer, match="cannot be read"):
        list(Preview(b.folder, b.index, b.remote, Reader(b.folder, b.buffers[0]), "b", "two-way").steps())


def test_seq_that_cannot_be_kept_is_hostile(trio: Trio) -> None:
    _, a, b = trio
    a.write("f", b"1")
    real = a.remote.commit
    a.remote.commit = lambda body: wire.encode_answer(a.index.epoch, 1, [(0, BEYOND)])  # type: ignore[method-assign]
    with pytest.raises(HostilePeer):
        a.sync()
    a.remote.commit = real  # type: ignore[method-assign]
    settle(a, b)
    assert contents(b) == {"f": b"1"}


Lie = Callable[[bytes, int], tuple[bytes, int]]


def _endless(items: bytes, start: int) -> tuple[bytes, int]:
    return items[:36] * LIST_PAGE, 1 << 62


@pytest.mark.parametrize(
    "lie",
    [
        lambda items, start: (items[:36], 1),
        lambda items, start: (items[36:] + items[:36], len(items) // 36),
        lambda items, start: (chunk_item(bytes(32), 0xFFFFFFFF) + items[36:], len(items) // 36),
    ],
)
def test_list_of_chunks_that_is_another_holds_one_file_back(
    trio: Trio, monkeypatch: pytest.MonkeyPatch, lie: Lie
) -> None:
    _, a, b = trio
    a.write("big", bytes(range(256)) * 4000)
    a.write("small", b"1")
    a.sync()
    monkeypatch.setattr("toastbox.device.pull.PAGE_BYTES", 4096)
    monkeypatch.setattr("toastbox.hub.pull.LIST", wire.ELSEWHERE)
    real = b.remote.chunk_list
    b.remote.chunk_list = lambda content, start, count: lie(real(content, 0, count)[0], start)  # type: ignore[method-assign]
    b.sync()
    assert contents(b) == {"small": b"1"} and held(b) == {b"big": BAD_LIST}
    b.remote.chunk_list = real  # type: ignore[method-assign]
    b.engine.retry_held()
    assert contents(b) == contents(a)


def test_list_of_chunks_without_end_is_hostile(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("big", bytes(range(256)) * 4000)
    a.sync()
    monkeypatch.setattr("toastbox.hub.pull.LIST", wire.ELSEWHERE)
    b.remote.chunk_list = lambda content, start, count: _endless(bytes(36), start)  # type: ignore[method-assign]
    with pytest.raises(HostilePeer, match="never"):
        b.sync()
