"""Judging commits: every status, compare-and-set, repeats, splices, renames, mass deletion."""

import os

import pytest

from hubkit import Clock, big_file, commit, deletion, file, folder, link, live, pulled, put
from toastbox.core.content import chunk_item, content_id
from toastbox.core.entry import DELETED, EXECUTABLE, FILE, PAIR, Entry
from toastbox.core.splice import make_splice
from toastbox.core.wire import (
    BAD_SPLICE,
    CHUNKS_MISSING,
    COMMITTED,
    CONFIRMED_DELETES,
    HELD,
    NO_PARENT,
    NOT_EMPTY,
    REFUSED,
    SPLICE,
    STALE,
    decode_answer,
    encode_commit,
    encode_entry,
)
from toastbox.hub.journal.base import Device
from toastbox.hub.refusal import Refusal
from toastbox.hub.service import HubService


def splice_commit(service: HubService, device: Device, entry: Entry, base_seq: int, base: bytes) -> tuple[int, int]:
    record = encode_entry(entry, SPLICE, base_seq, make_splice(base, entry.chunks))
    results = decode_answer(service.commit(device, encode_commit(service.epoch, 0, [record]))).results
    service.flush()
    return results[0]


def test_new_entries_are_numbered_in_order(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    results = commit(service, device, folder("a"), file("a/b", b"one"), link("l", "a/b"), file("empty", b""))
    assert results == [(COMMITTED, 1), (COMMITTED, 2), (COMMITTED, 3), (COMMITTED, 4)]
    assert live(service, device) == {"a": 1, "a/b": 2, "l": 3, "empty": 4}
    assert service.folder(device)["live"] == 4


def test_what_travels_comes_back(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    sent = [file("x", b"one", flags=EXECUTABLE, mtime_ns=-5), link("l", "../x"), folder("d")]
    commit(service, device, *sent)
    for seq, (entry, record) in enumerate(zip(sent, pulled(service, device).records(), strict=True), 1):
        entry.seq, entry.device = seq, device.number
        assert record.entry == entry and record.entry.device == device.number


def test_stale_revision_is_refused_with_the_current_one(service: HubService, device: Device, other: Device) -> None:
    put(service, device, b"one", b"two")
    commit(service, device, file("x", b"one"))
    assert commit(service, other, file("x", b"two")) == [(STALE, 1)]
    assert commit(service, other, file("x", b"two", seq=7)) == [(STALE, 1)]
    assert commit(service, other, file("x", b"two", seq=1)) == [(COMMITTED, 2)]
    assert commit(service, device, deletion("x", 1)) == [(STALE, 2)]


def test_same_commit_again_gets_the_same_answer(service: HubService, device: Device, other: Device) -> None:
    put(service, device, b"one")
    proposals = [file("x", b"one", mtime_ns=3), folder("d")]
    first = commit(service, device, *proposals)
    assert commit(service, device, *proposals) == first
    assert service.folder(device)["seq"] == 2
    assert commit(service, other, *proposals) == [(STALE, 1), (STALE, 2)]
    assert commit(service, device, deletion("x", 1)) == [(COMMITTED, 3)]
    assert commit(service, device, deletion("x", 1)) == [(COMMITTED, 3)]


def test_edit_beats_a_deletion_it_had_not_seen(service: HubService, device: Device, other: Device) -> None:
    put(service, device, b"one", b"two")
    commit(service, device, file("x", b"one"))
    commit(service, device, deletion("x", 1))
    assert commit(service, other, file("x", b"two", seq=1)) == [(STALE, 2)]
    assert commit(service, other, file("x", b"two", seq=0)) == [(COMMITTED, 3)]


def test_deleting_what_is_gone_changes_nothing(service: HubService, device: Device, other: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"), deletion("x", 1))
    assert commit(service, other, deletion("x", 2)) == [(COMMITTED, 2)]
    assert commit(service, other, deletion("never", 0)) == [(REFUSED, 0)]
    assert service.folder(device)["seq"] == 2


def test_chunks_must_be_here(service: HubService, device: Device) -> None:
    assert commit(service, device, file("x", b"absent")) == [(CHUNKS_MISSING, 0)]
    put(service, device, b"one" * 100)
    pieces = [b"one" * 100, b"two" * 100]
    assert commit(service, device, big_file("b", pieces)) == [(CHUNKS_MISSING, 0)]
    put(service, device, pieces[1])
    assert commit(service, device, big_file("b", pieces)) == [(COMMITTED, 1)]


def test_file_of_many_thousand_chunks(service: HubService, device: Device) -> None:
    pieces = [n.to_bytes(3, "little") for n in range(9000)]
    put(service, device, *pieces[:-1])
    assert commit(service, device, big_file("x", pieces)) == [(CHUNKS_MISSING, 0)]
    put(service, device, pieces[-1])
    assert commit(service, device, big_file("x", pieces * 2)) == [(COMMITTED, 1)]


def test_chunks_of_another_folder_are_not_here(service: HubService, device: Device) -> None:
    from hubkit import add_device
    from toastbox.hub.home import add_folder

    add_folder(service, "second")
    service.flush()
    stranger = add_device(service, "stranger", "second")
    put(service, device, b"secret")
    service.flush()
    assert commit(service, stranger, file("x", b"secret")) == [(CHUNKS_MISSING, 0)]
    assert service.missing(stranger, file("x", b"secret").content) == b"\1"
    assert [data for _, data in service.load(stranger, file("x", b"secret").content)] == [None]


def test_size_that_is_not_the_chunks_is_refused(service: HubService, device: Device) -> None:
    put(service, device, b"one", b"two")
    lie = file("x", b"one")
    lie.size = 4
    assert commit(service, device, lie) == [(REFUSED, 0)]
    chunks = chunk_item(lie.content, 4) + chunk_item(file("y", b"two").content, 3)
    listed = Entry(b"z", FILE, size=7, content=content_id(chunks, 7), chunks=chunks)
    assert commit(service, device, listed) == [(REFUSED, 0)]


def test_content_id_that_is_not_the_lists_is_refused(service: HubService, device: Device) -> None:
    put(service, device, b"one", b"two")
    lie = big_file("x", [b"one", b"two"])
    lie.content = os.urandom(32)
    assert commit(service, device, lie) == [(REFUSED, 0)]


def test_parent_must_be_a_live_folder(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    assert commit(service, device, file("a/b", b"one")) == [(NO_PARENT, 0)]
    commit(service, device, file("a", b"one"))
    assert commit(service, device, file("a/b", b"one")) == [(NO_PARENT, 0)]
    assert commit(service, device, folder("a", seq=1), file("a/b", b"one")) == [(COMMITTED, 2), (COMMITTED, 3)]
    assert commit(service, device, deletion("a/b", 3), deletion("a", 2)) == [(COMMITTED, 4), (COMMITTED, 5)]
    assert commit(service, device, file("a/b", b"one")) == [(NO_PARENT, 0)]


def test_folder_with_content_stays(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, folder("a"), folder("a/b"), file("a/b/c", b"one"), folder("ab"))
    assert commit(service, device, deletion("a", 1)) == [(NOT_EMPTY, 0)]
    assert commit(service, device, file("a", b"one", seq=1)) == [(NOT_EMPTY, 0)]
    emptied = commit(service, device, deletion("a/b/c", 3), deletion("a/b", 2), file("a", b"one", seq=1))
    assert emptied == [(COMMITTED, 5), (COMMITTED, 6), (COMMITTED, 7)]


def test_record_stands_alone(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    results = commit(service, device, file("x", b"absent"), file("y", b"one"), file("d/z", b"one"))
    assert results == [(CHUNKS_MISSING, 0), (COMMITTED, 1), (NO_PARENT, 0)]


def test_splice_makes_the_full_list(service: HubService, device: Device) -> None:
    pieces = [bytes([n]) * 50 for n in range(1, 40)]
    put(service, device, *pieces, b"new")
    before = big_file("x", pieces)
    commit(service, device, before)
    after = big_file("x", pieces[:7] + [b"new"] + pieces[7:], seq=1)
    assert splice_commit(service, device, after, 1, before.chunks) == (COMMITTED, 2)
    items, total = service.chunk_list(device, after.content, 0, 100)
    assert (items, total) == (after.chunks, 40)
    assert service.chunk_list(device, after.content, 39, 5)[0] == after.chunks[-36:]


def test_splice_needs_its_base_and_must_hash(service: HubService, device: Device) -> None:
    pieces = [bytes([n]) * 50 for n in range(1, 5)]
    put(service, device, *pieces, b"new")
    before = big_file("x", pieces)
    commit(service, device, before, big_file("y", pieces[::-1]))
    after = big_file("x", [*pieces, b"new"], seq=1)
    assert splice_commit(service, device, after, 99, before.chunks) == (BAD_SPLICE, 0)
    assert splice_commit(service, device, after, 2, before.chunks) == (BAD_SPLICE, 0), "another path's base"
    assert splice_commit(service, device, after, (1 << 64) - 1, before.chunks) == (BAD_SPLICE, 0)
    after.content = content_id(b"other" * 36, 180)
    assert splice_commit(service, device, after, 1, before.chunks) == (BAD_SPLICE, 0)


def test_splice_with_a_new_chunk_that_is_missing(service: HubService, device: Device) -> None:
    pieces = [b"aa", b"bb", b"cc"]
    put(service, device, *pieces)
    before = big_file("x", pieces)
    commit(service, device, before)
    after = big_file("x", [*pieces, b"absent"], seq=1)
    assert splice_commit(service, device, after, 1, before.chunks) == (CHUNKS_MISSING, 0)


def test_rename_is_a_pair(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"))
    results = commit(service, device, file("y", b"one", flags=PAIR), deletion("x", 1))
    assert results == [(COMMITTED, 2), (COMMITTED, 3)]
    records = list(pulled(service, device, after=1).records())
    assert [record.entry.flags for record in records] == [PAIR, 0]


def test_rename_whose_creation_fails_keeps_the_old_path(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"))
    results = commit(service, device, file("d/y", b"one", flags=PAIR), deletion("x", 1))
    assert results == [(NO_PARENT, 0), (STALE, 1)]
    assert live(service, device) == {"x": 1}


def test_rename_whose_deletion_fails_is_a_plain_creation(service: HubService, device: Device, other: Device) -> None:
    put(service, device, b"one", b"two")
    commit(service, device, file("x", b"one"), file("z", b"one"))
    commit(service, other, file("x", b"two", seq=1))
    proposals = [file("y", b"one", flags=PAIR), deletion("x", 1), deletion("z", 2)]
    assert commit(service, device, *proposals) == [(COMMITTED, 4), (STALE, 3), (COMMITTED, 5)]
    assert [record.entry.flags for record in pulled(service, device, after=3).records()] == [0, 0]


def test_pair_without_a_deletion_means_nothing(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one", flags=PAIR), file("y", b"one", flags=PAIR))
    assert all(record.entry.flags == 0 for record in pulled(service, device).records())


def fifty(service: HubService, device: Device) -> list[Entry]:
    put(service, device, b"one")
    commit(service, device, *(file(f"f{n}", b"one") for n in range(50)))
    return [deletion(f"f{n}", n + 1) for n in range(50)]


def test_mass_deletion_is_held(service: HubService, device: Device) -> None:
    deletions = fifty(service, device)
    assert commit(service, device, *deletions[:26]) == [(HELD, 0)] * 26
    assert service.folder(device)["live"] == 50
    results = commit(service, device, *deletions[:26], flags=CONFIRMED_DELETES)
    assert [status for status, _ in results] == [COMMITTED] * 26


def test_mass_deletion_in_small_steps_is_held(service: HubService, device: Device, clock: Clock) -> None:
    deletions = fifty(service, device)
    statuses = [commit(service, device, one)[0][0] for one in deletions[:26]]
    assert statuses == [COMMITTED] * 25 + [HELD]
    clock.move(61)
    assert commit(service, device, deletions[25])[0][0] == COMMITTED


def test_repeated_deletions_are_not_counted_twice(service: HubService, device: Device) -> None:
    deletions = fifty(service, device)
    first = commit(service, device, *deletions[:20])
    assert commit(service, device, *deletions[:20]) == first


def test_held_deletions_leave_the_rest_of_the_commit_alone(service: HubService, device: Device) -> None:
    deletions = fifty(service, device)
    results = commit(service, device, *deletions[:40], file("new", b"one"))
    assert results == [(HELD, 0)] * 40 + [(COMMITTED, 51)]


def test_renaming_everything_is_no_mass_deletion(service: HubService, device: Device) -> None:
    deletions = fifty(service, device)
    pairs = [entry for n, gone in enumerate(deletions) for entry in (file(f"new{n}", b"one", flags=PAIR), gone)]
    assert {status for status, _ in commit(service, device, *pairs)} == {COMMITTED}
    assert service.folder(device)["live"] == 50


@pytest.mark.parametrize("cut", [0, 3, 20, 30])
def test_malformed_commit_is_refused_whole(service: HubService, device: Device, cut: int) -> None:
    put(service, device, b"one")
    body = encode_commit(service.epoch, 0, [encode_entry(file("x", b"one"), 1)])
    with pytest.raises(Refusal) as refused:
        service.commit(device, body[:cut])
    assert refused.value.code == "bad-request"
    service.flush()
    assert service.folder(device)["seq"] == 0


def test_commit_of_another_epoch_is_refused(service: HubService, device: Device) -> None:
    with pytest.raises(Refusal) as refused:
        service.commit(device, encode_commit(service.epoch ^ 2, 0, [encode_entry(folder("d"), 0)]))
    assert (refused.value.code, refused.value.extra["epoch"]) == ("epoch", str(service.epoch))


def test_every_path_in_the_same_race_has_one_winner(service: HubService, device: Device, other: Device) -> None:
    put(service, device, b"base", b"mine", b"theirs")
    commit(service, device, *(file(f"f{n}", b"base") for n in range(20)))
    mine = commit(service, device, *(file(f"f{n}", b"mine", seq=n + 1) for n in range(0, 20, 2)))
    theirs = commit(service, other, *(file(f"f{n}", b"theirs", seq=n + 1) for n in range(20)))
    assert {status for status, _ in mine} == {COMMITTED}
    assert [status for status, _ in theirs] == [STALE, COMMITTED] * 10
    assert service.folder(device)["seq"] == 40


def test_deleted_entries_are_not_live(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"), file("y", b"one"), deletion("x", 1))
    assert service.folder(device)["live"] == 1
    kinds = [record.entry.kind for record in pulled(service, device, after=2).records()]
    assert kinds == [DELETED]
