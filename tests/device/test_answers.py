"""What the hub said of proposals goes into the index: many rows at a time, as if each went in alone."""

from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toastbox.core import wire
from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, Entry
from toastbox.core.names import parent_of
from toastbox.device import unsettled
from toastbox.device.answers import Answers
from toastbox.device.index import Index
from toastbox.device.report import Report
from toastbox.device.seen import Seen
from toastbox.device.send import Proposal

TYPES = {FILE: 0o100644, FOLDER: 0o040755, LINK: 0o120777}
LIST = b"".join(bytes([number]) * 32 + (5).to_bytes(4, "little") for number in range(2))
PATHS = [b"a", b"a/b", b"a/c", b"d", b"d/e"]
Change = tuple[bytes, int, bool]
changes = st.tuples(st.sampled_from(PATHS), st.sampled_from([FILE, FILE, FOLDER, LINK, DELETED]), st.booleans())


def possible(steps: list[Change]) -> Iterator[Change]:
    """Those that a hub commits: nothing is in what is no folder."""
    there: dict[bytes, int] = {b"": FOLDER}
    for path, kind, listed in steps:
        is_filled = any(parent_of(other) == path for other in there if other)
        if there.get(parent_of(path)) == FOLDER and (kind == FOLDER or not is_filled):
            there[path] = kind
            if kind == DELETED:
                del there[path]
            yield path, kind, listed


def proposal(seq: int, path: bytes, kind: int, listed: bool) -> Proposal:
    """As committed at seq. listed: a file is one of several chunks."""
    content = bytes([seq]) * 32 if kind in (FILE, LINK) else b""
    size = 10 if kind == FILE else 0
    entry = Entry(path, kind, 0, 0, seq, size, content, LIST if kind == FILE and listed else b"")
    seen = Seen(path, TYPES[kind], size, seq, seq, seq) if kind != DELETED else None
    made = Proposal(entry, seen)
    made.status, made.seq = wire.COMMITTED, seq
    return made


def state_after(batches: list[list[Proposal]]) -> tuple[object, ...]:
    """All that the index says after these answers."""
    index = Index(":memory:")
    index._sums.key = bytes(16)
    folder: Any = SimpleNamespace(is_flushing=False)
    answers = Answers(folder, index, Report(), lambda path: None)
    for batch in batches:
        answers.note(batch)
    answers.settle()
    rows = [(row.key, row.entry, row.signature, index.chunks_of(row.entry.content)) for row in index.rows()]
    return rows, list(index.folders(b"")), index.cursor, len(index), index.unsettled.marks()


@given(st.lists(changes, max_size=20))
def test_a_batch_is_noted_as_if_each_came_alone(steps: list[Change]):
    numbered = list(enumerate(possible(steps), 1))
    alone = state_after([[proposal(seq, *step)] for seq, step in numbered])
    assert state_after([[proposal(seq, *step) for seq, step in numbered]]) == alone


def test_marks_go_with_their_transaction():
    index = Index(":memory:")
    with suppress(KeyError), index.joined():
        index.unsettled.mark(b"a", 1, index.get)
        raise KeyError
    with index.transaction():
        index.unsettled.mark(b"b", 2, index.get)
    assert [mark.key for mark in index.unsettled.marks()] == [b"b"] and len(index.unsettled) == 1


def test_of_too_many_marks_none_is_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unsettled, "MOST", 3)
    index, flushes, written = Index(":memory:"), [], []
    monkeypatch.setattr(index.unsettled, "flush", lambda: flushes.append(1))
    with index.transaction():
        index._db.set_trace_callback(written.append)
        for name in b"abcd":
            index.unsettled.mark(bytes([name]), 1, index.get)
    assert flushes == [1] and len(index.unsettled) == 0
    assert not [statement for statement in written if statement.startswith("INSERT")]
