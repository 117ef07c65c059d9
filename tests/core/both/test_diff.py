"""What changed."""

from entries import file, folder, link

from toastbox.core.diff import (
    CHANGED,
    GONE,
    KIND_CHANGED,
    NEW,
    UNCHANGED,
    Signature,
    classify,
    merge,
)
from toastbox.core.entry import FILE, FOLDER, LINK
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
