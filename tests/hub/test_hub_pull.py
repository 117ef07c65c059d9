"""Answers to pulls: pages, pairs, splices, and what is left out."""

import os

import pytest

from hubkit import add_device, big_file, body_of, commit, deletion, file, folder, live, pulled, put
from toastbox.core.entry import DELETED, EXECUTABLE, FILE, FOLDER, LINK, PAIR
from toastbox.core.splice import apply_splice
from toastbox.core.wire import ELSEWHERE, LIST, SPLICE, default_form, encode_entry
from toastbox.hub.journal.base import Device, Row
from toastbox.hub.pull import encode_alone, entry_of
from toastbox.hub.refusal import Refusal
from toastbox.hub.service import CursorAhead, HubService


def test_pages_add_up(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, *(file(f"f{n}", b"one") for n in range(20)))
    page = pulled(service, device, entries=7)
    assert (page.count, page.cursor, page.head) == (7, 7, 20)
    page = pulled(service, device, after=14, entries=7)
    assert (page.count, page.cursor) == (6, 20)
    assert len(live(service, device)) == 20


@pytest.mark.parametrize("count", [31, 32, 33, 100])
def test_entries_of_a_large_commit_come_as_they_were(service: HubService, device: Device, count: int) -> None:
    contents = [b"%d" % n for n in range(count)]
    put(service, device, *contents)
    commit(service, device, *(file(f"f{n}", data, mtime_ns=n) for n, data in enumerate(contents)))
    found = [record.entry for record in pulled(service, device).records()]
    assert found == [file(f"f{n}", data, seq=n + 1, mtime_ns=n) for n, data in enumerate(contents)]


def test_newest_of_a_path_wins_in_a_large_commit(service: HubService, device: Device) -> None:
    put(service, device, b"one", b"two")
    entries = [file(f"f{n}", b"one") for n in range(100)]
    commit(service, device, *entries, *(file(f"f{n}", b"two", seq=n + 1) for n in range(100)))
    assert live(service, device) == {f"f{n}": n + 101 for n in range(100)}


def test_folders_that_are_flushed_together_keep_their_own_entries(service: HubService, device: Device) -> None:
    service.journal.add_folder("elsewhere", bytes(16))
    service.flush()
    elsewhere = add_device(service, "far", "elsewhere")
    commit(service, elsewhere, *(folder(f"old{n}") for n in range(5)))
    service.commit(device, body_of(service, [folder("here"), folder("here/too")]))
    service.commit(elsewhere, body_of(service, [folder("there")]))
    service.flush()
    assert live(service, device) == {"here": 1, "here/too": 2}
    assert live(service, elsewhere) == {f"old{n}": n + 1 for n in range(5)} | {"there": 6}


def test_in_step_is_an_empty_answer(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"))
    page = pulled(service, device, after=1)
    assert (page.count, page.cursor, page.head) == (0, 1, 1)
    assert len(service.pull(device, 1, service.epoch, 512, 4096)) == 32


def test_only_the_newest_of_a_path_is_sent(service: HubService, device: Device) -> None:
    put(service, device, b"one", b"two")
    commit(service, device, file("x", b"one"), folder("d"), file("x", b"two", seq=1))
    assert [record.entry.seq for record in pulled(service, device).records()] == [2, 3]


def test_who_starts_from_nothing_hears_of_no_deletion(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"), deletion("x", 1), file("y", b"one"))
    assert [record.entry.path for record in pulled(service, device).records()] == [b"y"]
    assert [record.entry.kind for record in pulled(service, device, after=1).records()] == [DELETED, FILE]


def test_cursor_reaches_the_head_when_the_last_entries_are_left_out(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"), deletion("x", 1))
    page = pulled(service, device)
    assert (page.count, page.cursor, page.head) == (0, 2, 2)


@pytest.mark.parametrize("entries", [1, 2, 3])
def test_pair_is_never_parted(service: HubService, device: Device, entries: int) -> None:
    put(service, device, b"one")
    commit(service, device, *(file(f"f{n}", b"one") for n in range(4)))
    for n in range(4):
        commit(service, device, file(f"g{n}", b"one", flags=PAIR), deletion(f"f{n}", n + 1))
    cursor, seen = 4, []
    while cursor < 12:
        page = pulled(service, device, cursor, entries=entries)
        records = list(page.records())
        assert records and (records[-1].entry.flags & PAIR) == 0
        seen += [record.entry.path for record in records]
        cursor = page.cursor
    assert seen == [b"g0", b"f0", b"g1", b"f1", b"g2", b"f2", b"g3", b"f3"]


def test_pair_whose_partner_is_superseded_is_no_pair(service: HubService, device: Device) -> None:
    put(service, device, b"one", b"two")
    commit(service, device, file("x", b"one"))
    commit(service, device, file("y", b"one", flags=PAIR), deletion("x", 1))
    commit(service, device, file("x", b"two"))
    records = list(pulled(service, device, after=1).records())
    assert [(record.entry.path, record.entry.flags) for record in records] == [(b"y", 0), (b"x", 0)]


def test_change_of_a_large_file_is_a_splice(service: HubService, device: Device) -> None:
    pieces = [os.urandom(40) for _ in range(60)]
    put(service, device, *pieces, b"new")
    first = big_file("x", pieces)
    commit(service, device, first)
    second = big_file("x", [*pieces[:30], b"new", *pieces[31:]], seq=1)
    commit(service, device, second)
    [record] = pulled(service, device, after=1).records()
    assert (record.form, record.base_seq, len(record.splice)) == (SPLICE, 1, 8 + 8 + 36 + 8)
    assert apply_splice(first.chunks, record.splice, 100) == second.chunks
    [whole] = pulled(service, device, after=0).records()
    assert (whole.form, whole.entry.chunks) == (LIST, second.chunks)


def test_splice_reaches_back_over_versions_not_seen(service: HubService, device: Device) -> None:
    pieces = [os.urandom(40) for _ in range(60)]
    put(service, device, *pieces)
    lists = [big_file("x", pieces[: 40 + n], seq=n) for n in range(5)]
    commit(service, device, *lists)
    [record] = pulled(service, device, after=2).records()
    assert (record.form, record.base_seq) == (SPLICE, 2)
    assert apply_splice(lists[1].chunks, record.splice, 100) == lists[4].chunks


def test_list_that_does_not_fit_is_fetched_apart(service: HubService, device: Device) -> None:
    pieces = [os.urandom(40) for _ in range(200)]
    put(service, device, *pieces)
    big = big_file("x", pieces)
    commit(service, device, big, file("y", b""), big_file("z", pieces[::-1]))
    page = pulled(service, device, size=4096)
    records = list(page.records())
    assert [(record.entry.path, record.form) for record in records] == [(b"x", ELSEWHERE), (b"y", 1)]
    assert page.cursor == 2
    assert service.chunk_list(device, big.content, 0, 200) == (big.chunks, 200)


def test_bytes_are_kept_to(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, *(file("n" * 200 + str(n), b"one") for n in range(60)))
    answer = service.pull(device, 0, 0, 4096, 4096)
    assert 3500 < len(answer) <= 4096


@pytest.mark.parametrize(
    ("after", "entries", "size"),
    [(-1, 1, 4096), (1 << 63, 1, 4096), (0, 0, 4096), (0, 4097, 4096), (0, 1, 4095), (0, 1, (32 << 20) + 1)],
)
def test_limits_of_a_pull(service: HubService, device: Device, after: int, entries: int, size: int) -> None:
    with pytest.raises(Refusal) as refused:
        service.pull(device, after, 0, entries, size)
    assert refused.value.code == "bad-request"


def test_pull_of_another_epoch_is_told_the_epoch(service: HubService, device: Device) -> None:
    for after, epoch in ((0, service.epoch + 1), (1, 0), (5, service.epoch + 1)):
        with pytest.raises(Refusal) as refused:
            service.pull(device, after, epoch, 512, 4096)
        assert refused.value.extra["epoch"] == str(service.epoch)
        assert not isinstance(refused.value, CursorAhead)


def test_cursor_ahead_of_the_journal_starts_an_epoch(service: HubService, device: Device) -> None:
    with pytest.raises(CursorAhead):
        service.pull(device, 9, service.epoch, 512, 4096)
    before = service.epoch
    service.renew_epoch("test")
    assert service.epoch != before
    with pytest.raises(Refusal) as refused:
        service.renew_epoch("again")
    assert refused.value.code == "bad-request"


def test_readers_see_nothing_before_the_flush(service: HubService, device: Device) -> None:
    from hubkit import body_of

    put(service, device, b"one")
    service.commit(device, body_of(service, [file("x", b"one")]))
    assert pulled(service, device).head == 0
    service.rollback()
    assert commit(service, device, folder("d")) == [(0, 1)]


@pytest.mark.parametrize(
    ("kind", "content"), [(FILE, bytes(32)), (FOLDER, b""), (LINK, b"there"), (DELETED, b"")], ids=str
)
def test_record_of_a_row_alone_is_that_of_its_entry(kind: int, content: bytes) -> None:
    row = Row(7, b"a\0b", kind, EXECUTABLE | PAIR, 3, 5 << 40, len(content), 2, 9, int(kind == FILE), content)
    entry = entry_of(row)
    entry.flags &= ~PAIR
    assert encode_alone(row) == encode_entry(entry, default_form(entry))
