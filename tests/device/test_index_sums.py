"""The index keeps for each folder the sum of its rows, whatever is done to them, and in the same transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from toastbox.core.diff import Signature
from toastbox.core.entry import FILE, FOLDER, LINK, Entry
from toastbox.core.names import key_of, parent_of
from toastbox.device import folder_sums
from toastbox.device.index import Index
from toastbox.device.row import NO_SIGNATURE

PATHS = [b"a", b"a/b", b"a/b/c", b"a/x", b"a.b", b"z", b"z/y"]
paths = st.sampled_from(PATHS)
signatures = st.builds(Signature, st.integers(0, 2), st.integers(0, 2), st.integers(-1, 1), st.integers(0, 1))
puts = st.tuples(st.just("put"), paths, st.sampled_from([FILE, FOLDER, LINK]), st.integers(-1, 2), signatures)
steps = st.one_of(
    puts,
    st.tuples(st.just("files"), st.lists(st.tuples(paths, st.integers(-1, 2), signatures), min_size=1, max_size=9)),
    st.tuples(st.just("delete"), paths),
    st.tuples(st.just("revision"), paths, st.integers(-1, 2)),
    st.tuples(st.just("sign"), paths, signatures),
    st.tuples(st.sampled_from(["settle", "join", "break", "epoch"])),
)


def do(index: Index, step: tuple) -> None:  # type: ignore[type-arg]
    if step[0] == "put":
        index.put(Entry(step[1], step[2], seq=step[3]), step[4])
    elif step[0] == "files":
        index.put_files([(key_of(path), Entry(path, FILE, seq=seq), signature) for path, seq, signature in step[1]])
    elif step[0] == "delete":
        index.delete(key_of(step[1]))
    elif step[0] == "revision":
        index.set_revision(key_of(step[1]), step[2])
    elif step[0] == "sign":
        index.set_signature(key_of(step[1]), step[2])
    elif step[0] == "settle":
        index.settle()
    elif step[0] == "epoch":
        index.forget_revisions(7)
    else:
        with suppress(KeyError), index.joined():
            index.put(Entry(b"a/x", FILE, seq=1), Signature(9, 9, 9, 9))
            if step[0] == "break":
                raise KeyError


def sums_of(index: Index) -> dict[bytes, int]:
    return {key: total for some in index.folders(b"") for key, total in some}


def summed_anew(index: Index) -> dict[bytes, int]:
    """What the sums must be, by the rows alone."""
    before = sums_of(index)
    index.settle()
    with index.transaction():
        index._sum_all()
    after = sums_of(index)
    assert before.keys() == after.keys()
    return after


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_sums_follow_the_rows(history: list[tuple]) -> None:  # type: ignore[type-arg]
    index = Index(":memory:")
    for step in history:
        do(index, step)
    found = sums_of(index)
    assert found == summed_anew(index)
    rows = list(index.rows())
    folders = {row.key for row in rows if row.entry.kind == FOLDER} | {b""}
    assert folders <= found.keys()
    kept = {key for key in found if key in folders or any(row.key.startswith(key + b"\0") for row in rows)}
    assert all(found[key] == 0 for key in found.keys() - kept), "of folders of which no row is left"


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_files_put_together_are_as_if_each_were_put_by_itself(history: list[tuple]) -> None:  # type: ignore[type-arg]
    together, one_by_one = Index(":memory:"), Index(":memory:")
    for step in history:
        do(together, step)
        for each in [("put", path, FILE, *rest) for path, *rest in step[1]] if step[0] == "files" else [step]:
            do(one_by_one, each)
    known = [[(row.key, row.entry, row.signature) for row in index.rows()] for index in (together, one_by_one)]
    assert known[0] == known[1] and len(together) == len(one_by_one)


@settings(max_examples=100, deadline=None)
@given(st.lists(puts, max_size=12))
def test_children_are_the_rows_of_one_level(history: list[tuple]) -> None:  # type: ignore[type-arg]
    index = Index(":memory:")
    for step in history:
        do(index, step)
    for folder in [b"", *PATHS]:
        wanted = [row.key for row in index.rows() if parent_of(row.entry.path) == folder]
        assert [row.key for row in index.children(key_of(folder))] == wanted


def filled(path: Path) -> Index:
    index = Index(str(path))
    index.put(Entry(b"d", FOLDER, seq=1), NO_SIGNATURE)
    for number in range(600):
        index.put(Entry(b"d/%d" % number, FILE, seq=number + 2), Signature(number + 1, 1, 1, 2))
    return index


def test_index_of_version_1_is_brought_up(tmp_path: Path) -> None:
    index = filled(tmp_path / "index.db")
    index.close()
    db = sqlite3.connect(tmp_path / "index.db")
    key = bytes.fromhex(db.execute("SELECT value FROM meta WHERE name = 'sum_key'").fetchone()[0])
    db.executescript(
        "DROP TABLE folder; DROP TABLE unsettled; DROP TABLE intents; DELETE FROM meta WHERE name = 'sum_key';"
        "CREATE TABLE intent(batch INTEGER, staged BLOB, inode INTEGER, record BLOB, expected BLOB);"
        "PRAGMA user_version = 1"
    )
    db.close()
    again = Index(str(tmp_path / "index.db"))
    assert len(again) == 601 and len(list(again.children(b"d"))) == 600
    assert again.sum_key != key and sums_of(again) == summed_anew(again)
    again.close()


def test_one_change_of_ten_thousand_writes_few_pages(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index.db"))
    with index.transaction():
        index.put(Entry(b"d", FOLDER, seq=1), NO_SIGNATURE)
        for number in range(10_000):
            index.put(Entry(b"d/%d" % number, FILE, seq=number + 2), Signature(number + 1, 1, 1, 2))
    index._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    index.set_signature(b"d\x00777", Signature(778, 2, 2, 2))
    written = (tmp_path / "index.db-wal").stat().st_size
    assert 0 < written < 10 * 4200
    index.close()


def test_folders_that_come_to_be_known_meanwhile_are_left_out() -> None:
    index = Index(":memory:")
    names = [b"%03d" % number for number in range(folder_sums.AT_ONCE + 10)]
    for name in names:
        index.put(Entry(name, FOLDER, seq=1), NO_SIGNATURE)

    def keys() -> Iterator[bytes]:
        for some in index.folders(b""):
            index.put(Entry(b"999", FOLDER, seq=1), NO_SIGNATURE)
            yield from (key for key, _ in some)

    assert list(keys()) == [b"", *names]
