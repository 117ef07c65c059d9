"""Paths recorded in the index that a power cut could still undo on disk: their owner's program flushed nothing.

A mark is written with the row, in one transaction, and has what was agreed before. Marks go when the file system has
been flushed, some seconds after the last change, when the kernel has written most of it anyway. They are MOST at most:
beyond that, the flush comes before the transaction is committed, and no mark is needed. It is begun as soon as it is
known to be needed, so that what the owner has just written is on its way to the disk while it is read and sent. So
marks wait for the end of their transaction: of one that has too many, none is written.
"""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple, Protocol

from toastbox.core.entry import DELETED, Entry
from toastbox.core.names import path_of

SCHEMA = (
    "CREATE TABLE unsettled(key BLOB PRIMARY KEY, seq INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " flags INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID"
)
INSERT = "INSERT INTO unsettled VALUES(?, ?, ?, ?, ?) ON CONFLICT(key) DO NOTHING"
MOST = 256


class Known(Protocol):
    """A row of the index."""

    entry: Entry


class Mark(NamedTuple):
    """seq: of the entry that was recorded; prior: what was agreed before, None for nothing."""

    key: bytes
    seq: int
    prior: Entry | None


class Unsettled:
    """The table `unsettled`. flush(): puts all of the file system on stable storage; begin_flush(): has it begun."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.flush: Callable[[], None] = lambda: None
        self.begin_flush: Callable[[], None] = lambda: None
        self._count = 0
        self._waiting: dict[bytes, tuple[bytes, int, int, int, bytes]] = {}  # by key, to be written before the commit
        self._overfull = False

    def __len__(self) -> int:
        return self._count + len(self._waiting)

    def count(self) -> None:
        """Find out again how many there are: at the start, and after a rollback."""
        self.forget()
        self._count = self.db.execute("SELECT count(*) FROM unsettled").fetchone()[0]

    def mark(self, key: bytes, seq: int, get: Callable[[bytes], Known | None]) -> None:
        """To be called before the row is written, in its transaction. The first row that `get` finds counts."""
        if self._overfull or key in self._waiting:
            return
        if len(self) >= MOST:
            self._overfull = True
            self._waiting.clear()
            self.begin_flush()
            return
        row = get(key)
        before = row.entry if row is not None else Entry(b"", DELETED)
        self._waiting[key] = key, seq, before.kind, before.flags, before.content

    def marks(self) -> list[Mark]:
        found = self.db.execute("SELECT key, seq, kind, flags, content FROM unsettled ORDER BY key").fetchall()
        return [
            Mark(key, seq, Entry(path_of(key), kind, flags, content=content) if kind != DELETED else None)
            for key, seq, kind, flags, content in found
        ]

    def before_commit(self) -> None:
        """What could not be marked must be on stable storage before its rows are."""
        if self._overfull:
            self.flush()
            self.clear()
        if self._waiting:
            self._count += self.db.executemany(INSERT, self._waiting.values()).rowcount
            self._waiting.clear()

    def forget(self) -> None:
        """The transaction is rolled back."""
        self._overfull = False
        self._waiting.clear()

    def clear(self) -> None:
        """All that was recorded is on stable storage, or has been judged."""
        self.forget()
        if self._count:
            self.db.execute("DELETE FROM unsettled")
            self._count = 0
