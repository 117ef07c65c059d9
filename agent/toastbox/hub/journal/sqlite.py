"""The journal in one SQLite database (WAL): docs/SPEC.md, section 9.

Rows appended since the last flush wait in a list and go in many at a time: into the transaction when a range
query needs them there, to the disk at flush(). A dictionary over the batch in hand answers what the current
row of a path is, so that a folder and its content may come in one commit. SQLite syncs the log before it
moves the mark that readers look at: what they see is durable.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from toastbox.core.entry import DELETED, PAIR
from toastbox.hub.journal.base import Row
from toastbox.hub.journal.connect import Inserter, Lookup, Readers, open_writer
from toastbox.hub.journal.reading import COLUMNS, LIST, SqliteReader
from toastbox.hub.journal.registry import SqliteRegistry
from toastbox.hub.journal.schema import migrate, random_epoch
from toastbox.hub.storage import storage_errors

_APPEND = Inserter(f"INSERT INTO journal (folder, {COLUMNS}) VALUES {{}}", 1 + len(Row._fields))
_POINT = """
    INSERT INTO current (folder, key, seq, kind)
    SELECT folder, key, seq, kind FROM journal WHERE folder = ? AND seq >= ? ORDER BY seq
    ON CONFLICT DO UPDATE SET seq = excluded.seq, kind = excluded.kind"""
_HEAD = "UPDATE folder SET head = ?, live = ? WHERE number = ?"
_CURRENT = "SELECT seq, kind FROM current WHERE folder = ? AND key = ?"
_MANY = Lookup("SELECT key, seq, kind FROM current WHERE folder = ? AND key IN ({})")
_BELOW = "SELECT 1 FROM current WHERE folder = ? AND key >= ? AND key < ? AND kind != 0 LIMIT 1"
_SUPERSEDED = """
    SELECT j.pieces, j.content FROM journal AS j
    LEFT JOIN current AS c ON c.folder = j.folder AND c.key = j.key AND c.seq = j.seq
    WHERE j.folder = ? AND j.seq = ? AND c.seq IS NULL"""
_LIST_USED = "SELECT 1 FROM journal WHERE folder = ? AND content = ? AND pieces > 1 LIMIT 1"
_COUNTERS_LOST = 1 << 32  # of signed requests, more than any device has used since the backup was made
_SEQS_LOST = 1 << 32  # more than a journal that was put back, or copied and went on elsewhere, has given out since
_SEEN_LIMIT = 8192  # remembered paths between two range queries; more are looked up again

_Seen = dict[tuple[int, bytes], tuple[int, int] | None]  # by folder and key: seq and kind


class SqliteJournal(SqliteReader, SqliteRegistry):
    """Journal on the database file at path; ":memory:" for tests. See hub/journal/base.py."""

    def __init__(self, path: str) -> None:
        self._writer = open_writer(path, "FULL")
        try:
            migrate(self._writer)
        except BaseException:
            self._writer.close()
            raise
        self._readers = Readers(path, self._writer)
        self._reset()

    def state(self, folder: int) -> tuple[int, int]:
        state = self._states.get(folder)
        if state is None:
            query = "SELECT head, live FROM folder WHERE number = ?"
            state = self._states[folder] = self._writer.execute(query, (folder,)).fetchone()
        return state

    def current(self, folder: int, key: bytes) -> tuple[int, int] | None:
        at = (folder, key)
        try:
            return self._seen[at]
        except KeyError:
            found: tuple[int, int] | None = self._writer.execute(_CURRENT, at).fetchone()
            self._remember({at: found})
            return found

    def expect(self, folder: int, keys: Sequence[bytes]) -> None:
        unknown = [key for key in keys if (folder, key) not in self._seen]
        for part, rows in _MANY.find(self._writer, folder, unknown):
            found: _Seen = {(folder, key): None for key in part}
            for key, seq, kind in rows:
                found[folder, key] = seq, kind
            self._remember(found)

    def row(self, folder: int, seq: int) -> Row | None:
        self._write_out()
        query = f"SELECT {COLUMNS} FROM journal WHERE folder = ? AND seq = ?"
        row = self._writer.execute(query, (folder, seq)).fetchone()
        return Row._make(row) if row else None

    def live_below(self, folder: int, key: bytes) -> bool:
        self._write_out()
        return self._writer.execute(_BELOW, (folder, key + b"\0", key + b"\1")).fetchone() is not None

    def append(self, folder: int, row: Row) -> int:
        before = self.current(folder, row.key)
        head, live = self.state(folder)
        seq = head + 1
        was_live = before is not None and before[1] != DELETED
        self._states[folder] = seq, live + (row.kind != DELETED) - was_live
        self._rows.append((folder, seq, *row[1:]))
        self._first.setdefault(folder, seq)
        self._seen[folder, row.key] = seq, row.kind  # it was there before: this makes it no larger
        self._changed.add(folder)
        return seq

    def clear_pair(self, folder: int, seq: int) -> None:
        query = "UPDATE journal SET flags = flags & ? WHERE folder = ? AND seq = ?"
        self._write_out()
        self._writing().execute(query, (~PAIR, folder, seq))

    def put_list(self, folder: int, content: bytes, chunks: bytes) -> None:
        query = "INSERT OR IGNORE INTO list (folder, content, chunks) VALUES (?, ?, ?)"
        with storage_errors():
            self._writing().execute(query, (folder, content, chunks))

    def chunk_list(self, folder: int, content: bytes) -> bytes | None:
        row = self._writer.execute(LIST, (folder, content)).fetchone()
        return row[0] if row else None

    def drop_versions(self, folder: int, seqs: Iterable[int]) -> int:
        self._write_out()
        connection, dropped = self._writing(), 0
        for seq in seqs:
            row = connection.execute(_SUPERSEDED, (folder, seq)).fetchone()
            if row is not None:
                connection.execute("DELETE FROM journal WHERE folder = ? AND seq = ?", (folder, seq))
                self._drop_unused_list(folder, *row)
                dropped += 1
        return dropped

    def flush(self) -> None:
        with storage_errors():
            self._write_out()
            if self._changed:
                heads = [(*self._states[folder], folder) for folder in self._changed]
                self._writing().executemany(_HEAD, heads)
            if self._writer.in_transaction:
                self._writer.execute("COMMIT")
        self._changed.clear()
        self._seen.clear()

    def rollback(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        self._reset()

    def new_epoch(self, heads: dict[bytes, int]) -> None:
        """Old sequence numbers stay used up, also those that no record tells of: what is committed from now on must not
        look older than what a device has seen (core/conflict.py). So do counters of signed requests.
        """
        self.rollback()
        connection = self._writing()
        connection.execute("UPDATE setting SET value = ? WHERE name = 'epoch'", (random_epoch(),))
        connection.execute("UPDATE device SET counter = counter + ?", (_COUNTERS_LOST,))
        raise_head = "UPDATE folder SET head = max(head, ?) WHERE ident = ?"
        connection.executemany(raise_head, [(seq, ident) for ident, seq in heads.items()])
        connection.execute("UPDATE folder SET head = head + ?", (_SEQS_LOST,))
        self.flush()

    def close(self) -> None:
        self._readers.close()
        self._writer.close()

    def _reset(self) -> None:
        self._states: dict[int, tuple[int, int]] = {}
        self._seen: _Seen = {}
        self._rows: list[tuple[object, ...]] = []
        self._first: dict[int, int] = {}  # of the rows in hand, by folder: the lowest seq
        self._changed: set[int] = set()

    def _writing(self) -> sqlite3.Connection:
        if not self._writer.in_transaction:
            self._writer.execute("BEGIN IMMEDIATE")
        return self._writer

    def _remember(self, found: _Seen) -> None:
        """Rows not yet written must be found here, so the dictionary is only emptied after writing them."""
        if len(self._seen) >= _SEEN_LIMIT:
            self._write_out()
            self._seen.clear()
        self._seen.update(found)

    def _write_out(self) -> None:
        if not self._rows:
            return
        with storage_errors():
            connection = self._writing()
            _APPEND.insert(connection, self._rows)
            connection.executemany(_POINT, self._first.items())
        self._rows.clear()
        self._first.clear()

    def _drop_unused_list(self, folder: int, pieces: int, content: bytes) -> None:
        if pieces > 1 and self._writer.execute(_LIST_USED, (folder, content)).fetchone() is None:
            self._writer.execute("DELETE FROM list WHERE folder = ? AND content = ?", (folder, content))
