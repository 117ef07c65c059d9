"""What changed, and the order in which it is proposed."""

from entries import deleted, file, folder, link

from toastbox.core.diff import (
    CHANGED,
    GONE,
    KIND_CHANGED,
    NEW,
    UNCHANGED,
    Change,
    Signature,
    classify,
    merge,
    order_changes,
)
from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, PAIR
from toastbox.core.names import key_of

SIGNATURE = Signature(5, 3, 100, 200)


class Row:
    def __init__(self, entry, signature=SIGNATURE):
        self.entry = entry
        self.key = key_of(entry.path)
        self.signature = signature


class Record:
    def __init__(self, path, kind=FILE, signature=SIGNATURE):
        self.key = key_of(path)
        self.kind = kind
        self.signature = signature


def test_merge_meets_every_key_once_in_order():
    rows = [Row(file(path)) for path in (b"a", b"a/b", b"c", b"e")]
    records = [Record(path) for path in (b"a", b"b", b"c", b"d", b"f")]
    met = [
        (row.key if row else None, record.key if record else None) for row, record in merge(iter(rows), iter(records))
    ]
    assert met == [
        (b"a", b"a"),
        (b"a\0b", None),
        (None, b"b"),
        (b"c", b"c"),
        (None, b"d"),
        (b"e", None),
        (None, b"f"),
    ]
    assert list(merge(iter([]), iter([]))) == []


def test_classes():
    other = Signature(5, 3, 100, 201)
    for row, record, outcome in [
        (None, None, UNCHANGED),
        (None, Record(b"p"), NEW),
        (Row(file(b"p")), None, GONE),
        (Row(file(b"p")), Record(b"p"), UNCHANGED),
        (Row(file(b"p")), Record(b"p", FILE, other), CHANGED),
        (Row(file(b"p"), Signature(0, 0, 0, 0)), Record(b"p", FILE, Signature(0, 0, 0, 0)), CHANGED),
        (Row(file(b"p", seq=0)), Record(b"p"), CHANGED),
        (Row(file(b"p")), Record(b"p", FOLDER), KIND_CHANGED),
        (Row(folder(b"p")), Record(b"p", FOLDER, other), UNCHANGED),
        (Row(folder(b"p", seq=0)), Record(b"p", FOLDER), CHANGED),
        (Row(link(b"p")), Record(b"p", LINK, other), CHANGED),
        (Row(folder(b"p")), Record(b"p", LINK), KIND_CHANGED),
    ]:
        assert classify(row, record) == outcome, (row and row.entry, record and record.kind)


def test_signatures_compare_all_they_hold():
    one, same = Signature(5, 3, 100, 200), Signature(5, 3, 100, 200)
    assert one == same and hash(one) == hash(same)
    for other in ((6, 3, 100, 200), (5, 4, 100, 200), (5, 3, 101, 200), (5, 3, 100, 201)):
        assert one != Signature(*other), other


def ordered(*changes):
    return [
        (change.entry.path, change.entry.kind, change.entry.flags & PAIR) for change in order_changes(list(changes))
    ]


def test_folders_come_before_and_go_after_their_content():
    assert ordered(
        Change(file(b"a/b")),
        Change(folder(b"a")),
        Change(deleted(b"x"), FOLDER),
        Change(deleted(b"x/y"), FILE),
    ) == [(b"a", FOLDER, 0), (b"a/b", FILE, 0), (b"x/y", DELETED, 0), (b"x", DELETED, 0)]


def test_folder_is_emptied_before_a_file_takes_its_place():
    assert ordered(
        Change(file(b"a"), FOLDER),
        Change(deleted(b"a/b"), FOLDER),
        Change(deleted(b"a/b/c"), FILE),
        Change(deleted(b"a-b"), FILE),
    ) == [(b"a/b/c", DELETED, 0), (b"a/b", DELETED, 0), (b"a", FILE, 0), (b"a-b", DELETED, 0)]


def test_rename_is_followed_by_its_deletion():
    assert ordered(
        Change(deleted(b"a"), FILE),
        Change(file(b"z"), DELETED, b"a"),
        Change(file(b"y"), DELETED, b"b"),
        Change(deleted(b"b"), FILE),
    ) == [(b"y", FILE, PAIR), (b"b", DELETED, 0), (b"z", FILE, PAIR), (b"a", DELETED, 0)]


def test_rename_without_its_deletion_is_a_creation():
    entry = file(b"z")
    entry.flags |= PAIR
    assert ordered(Change(entry, DELETED, b"a")) == [(b"z", FILE, 0)]


def test_rename_out_of_a_folder_that_becomes_a_file_is_taken_apart():
    assert ordered(
        Change(file(b"a"), FOLDER),
        Change(deleted(b"a/b"), FILE),
        Change(file(b"c"), DELETED, b"a/b"),
    ) == [(b"a/b", DELETED, 0), (b"a", FILE, 0), (b"c", FILE, 0)]
