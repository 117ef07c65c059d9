"""Where each chunk lies: an SQLite table beside the packs, which can be made again from them.

    add() -> new --commit()--> young, seen by readers --write_out()--> the table

Digests come in no order: a transaction for each group of commits would write most pages of the tree again for a few
rows a page. So rows are gathered in memory, and go into the table by thousands, in its order.

synchronous=NORMAL: a power cut may take the last rows back. The row `durable`, written in the same
transactions, then tells from where the packs are to be read again (hub/chunks/packs.py).
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from toastbox.hub.journal.connect import Inserter, Lookup, Readers, open_writer

VERSION = 1
_SCHEMA = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE chunk (
        folder INTEGER NOT NULL,
        digest BLOB NOT NULL,
        pack INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        size INTEGER NOT NULL,
        stored_s INTEGER NOT NULL,
        PRIMARY KEY (folder, digest)) WITHOUT ROWID;
    CREATE TABLE durable (pack INTEGER NOT NULL, offset INTEGER NOT NULL);
    INSERT INTO durable VALUES (0, 0);
    PRAGMA user_version = {VERSION};
    COMMIT"""
_MARKS = """
    CREATE TEMP TABLE IF NOT EXISTS used (
        folder INTEGER, digest BLOB, PRIMARY KEY (folder, digest)) WITHOUT ROWID"""
_ADD = Inserter("INSERT OR REPLACE INTO chunk VALUES {}", 6)
_MANY = Lookup("SELECT * FROM chunk WHERE folder = ? AND digest IN ({})")
_EXAMINE = """
    SELECT c.folder, c.digest, u.digest IS NULL AND c.stored_s < ? FROM chunk AS c
    LEFT JOIN used AS u ON u.folder = c.folder AND u.digest = c.digest
    WHERE (c.folder, c.digest) > (?, ?) ORDER BY c.folder, c.digest LIMIT ?"""
_OF_PACK = """
    SELECT folder, digest, offset, size FROM chunk WHERE (folder, digest) > (?, ?) AND pack = ?
    ORDER BY folder, digest LIMIT ?"""
GATHERED_ROWS = 8192
GATHERED_BYTES = 32 << 20  # of chunks: so much is read again at most, and what was not flushed, after a crash

Name = tuple[int, bytes]  # folder, digest: the order of the index


class Place(NamedTuple):
    """Where a chunk's record starts, the size of its data, and when it was stored."""

    pack: int
    offset: int
    size: int
    stored_s: int


Row = tuple[int, bytes, int, int, int, int]  # of the table: folder, digest, pack, offset, size, stored_s


class ChunkIndex:
    """Digest to place. Writing methods are for the writing thread; where_all() is for any."""

    def __init__(self, path: str) -> None:
        self._writer = open_writer(path, "NORMAL")
        if self._writer.execute("PRAGMA user_version").fetchone()[0] == 0:
            self._writer.executescript(_SCHEMA)
        self._readers = Readers(path, self._writer)
        self._new: dict[Name, Row] = {}
        self._young: dict[Name, Row] = {}
        self._young_bytes = 0

    def version(self) -> int:
        """The layout's version; another than VERSION means: rebuild."""
        return int(self._writer.execute("PRAGMA user_version").fetchone()[0])

    def durable(self) -> tuple[int, int]:
        """(pack, offset): every record before it is on stable storage and in this table."""
        pack, offset = self._writer.execute("SELECT pack, offset FROM durable").fetchone()
        return pack, offset

    def add(self, rows: Iterable[Row]) -> None:
        """A chunk has one place, the last given."""
        self._new.update([(row[:2], row) for row in rows])

    def move(self, rows: Iterable[tuple[int, int, int, bytes]]) -> None:
        """Rows of (pack, offset, folder, digest): the chunk's new place; its age stays."""
        query = "UPDATE chunk SET pack = ?, offset = ? WHERE folder = ? AND digest = ?"
        self._writing().executemany(query, rows)

    def where_all(self, folder: int, hashes: Sequence[bytes]) -> dict[bytes, Place]:
        """Places of those that are known, as readers see them."""
        young = self._young  # before the table is asked: what leaves it meanwhile is there
        rows = _look_up(self._readers.get(), folder, hashes, young)
        return {digest: Place._make(row[2:6]) for digest, row in rows.items()}

    def sizes(self, folder: int, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Sizes of those that are known, as the writing thread sees them."""
        rows = _look_up(self._writer, folder, hashes, self._new, self._young)
        return {digest: row[4] for digest, row in rows.items()}

    def forget_after(self, pack: int, offset: int) -> None:
        """Drop all rows that point at or past that position. Reads the whole table."""
        query = "DELETE FROM chunk WHERE pack > ? OR (pack = ? AND offset >= ?)"
        self._writing().execute(query, (pack, pack, offset))
        kept = {name: row for name, row in self._young.items() if row[2:4] < (pack, offset)}
        self._young, self._new = kept, {}
        self._young_bytes = sum(row[4] for row in kept.values())

    def forget_marks(self) -> None:
        self._writer.execute(_MARKS)
        self._writing().execute("DELETE FROM used")

    def mark(self, folder: int, hashes: Iterable[bytes]) -> None:
        rows = ((folder, digest) for digest in hashes)
        self._writing().executemany("INSERT OR IGNORE INTO used VALUES (?, ?)", rows)

    def sweep(self, after: Name, before_s: int, limit: int) -> tuple[Name, int] | None:
        """Look at limit rows past after, drop the unmarked ones older than before_s; (last one, dropped)."""
        connection = self._writing()
        rows = connection.execute(_EXAMINE, (before_s, *after, limit)).fetchall()
        if not rows:
            return None
        dead = [(folder, digest) for folder, digest, is_dead in rows if is_dead]
        connection.executemany("DELETE FROM chunk WHERE folder = ? AND digest = ?", dead)
        return rows[-1][:2], len(dead)

    def live_bytes(self) -> dict[int, tuple[int, int]]:
        """For each pack with live chunks: their number and bytes. Reads the whole table."""
        query = "SELECT pack, count(*), sum(size) FROM chunk GROUP BY pack"
        return {pack: (count, size) for pack, count, size in self._writer.execute(query)}

    def of_pack(self, pack: int, after: Name, limit: int) -> list[tuple[int, bytes, int, int]]:
        """Up to limit (folder, digest, offset, size) of a pack past (folder, digest) after, in that order."""
        return self._writer.execute(_OF_PACK, (*after, pack, limit)).fetchall()

    @property
    def is_full(self) -> bool:
        """Whether it is time for write_out()."""
        return len(self._young) >= GATHERED_ROWS or self._young_bytes >= GATHERED_BYTES

    def commit(self) -> None:
        """Show readers what was added and done."""
        if self._writer.in_transaction:
            self._writer.execute("COMMIT")
        self._young.update(self._new)
        self._young_bytes += sum(row[4] for row in self._new.values())
        self._new = {}

    def write_out(self, durable: tuple[int, int]) -> None:
        """After commit(): the rows go into the table. durable: packs are on stable storage up to there."""
        rows = sorted(self._young.values())
        connection = self._writing()
        _ADD.insert(connection, rows)
        connection.execute("UPDATE durable SET pack = ?, offset = ?", durable)
        connection.execute("COMMIT")
        self._young, self._young_bytes = {}, 0

    def checkpoint(self) -> None:
        """The table is on stable storage."""
        self._writer.execute("PRAGMA wal_checkpoint(FULL)")

    def rollback(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        self._new = {}

    def close(self) -> None:
        self._readers.close()
        self._writer.close()

    def _writing(self) -> sqlite3.Connection:
        if not self._writer.in_transaction:
            self._writer.execute("BEGIN IMMEDIATE")
        return self._writer


def _look_up(
    connection: sqlite3.Connection, folder: int, hashes: Sequence[bytes], *gathered: Mapping[Name, Row]
) -> dict[bytes, Row]:
    """gathered: the newest first. What they lack is looked up in the table."""
    found: dict[bytes, Row] = {}
    for rows in filter(None, gathered):
        others = []
        for digest in hashes:
            row = rows.get((folder, digest))
            if row is None:
                others.append(digest)
            else:
                found[digest] = row
        hashes = others
    for _, known in _MANY.find(connection, folder, hashes):
        found.update((row[1], row) for row in known)
    return found
