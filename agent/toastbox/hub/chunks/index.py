"""Where each chunk lies: an SQLite table beside the packs, which can be made again from them.

synchronous=NORMAL: a power cut may take the last rows back. The row `durable`, written in the same
transactions, then tells from where the packs are to be read again (hub/chunks/packs.py).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from toastbox.hub.journal.connect import Readers, open_writer

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
_ADD = "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?)"
_WHERE = "SELECT pack, offset, size FROM chunk WHERE folder = ? AND digest = ?"
_MANY = "SELECT digest, pack, offset, size FROM chunk WHERE folder = ? AND digest IN ({})"
_EXAMINE = """
    SELECT c.folder, c.digest, u.digest IS NULL AND c.stored_s < ? FROM chunk AS c
    LEFT JOIN used AS u ON u.folder = c.folder AND u.digest = c.digest
    WHERE (c.folder, c.digest) > (?, ?) ORDER BY c.folder, c.digest LIMIT ?"""
_OF_PACK = """
    SELECT folder, digest, offset, size FROM chunk WHERE (folder, digest) > (?, ?) AND pack = ?
    ORDER BY folder, digest LIMIT ?"""
_LOOKUP = 256  # digests in one query


Name = tuple[int, bytes]  # folder, digest: the order of the index


class Place(NamedTuple):
    """Where a chunk's record starts, and the size of its data."""

    pack: int
    offset: int
    size: int


class ChunkIndex:
    """Digest to place. Writing methods are for the writing thread; where_all() is for any."""

    def __init__(self, path: str) -> None:
        self._writer = open_writer(path, "NORMAL")
        if self._writer.execute("PRAGMA user_version").fetchone()[0] == 0:
            self._writer.executescript(_SCHEMA)
        self._readers = Readers(path, self._writer)

    def version(self) -> int:
        """The layout's version; another than VERSION means: rebuild."""
        return int(self._writer.execute("PRAGMA user_version").fetchone()[0])

    def durable(self) -> tuple[int, int]:
        """(pack, offset): every record before it is on stable storage and in this table."""
        pack, offset = self._writer.execute("SELECT pack, offset FROM durable").fetchone()
        return pack, offset

    def set_durable(self, pack: int, offset: int) -> None:
        self._writing().execute("UPDATE durable SET pack = ?, offset = ?", (pack, offset))

    def add(self, rows: Iterable[tuple[int, bytes, int, int, int, int]]) -> None:
        """Rows of (folder, digest, pack, offset, size, stored_s); a chunk has one place, the last given."""
        self._writing().executemany(_ADD, rows)

    def move(self, rows: Iterable[tuple[int, int, int, bytes]]) -> None:
        """Rows of (pack, offset, folder, digest): the chunk's new place; its age stays."""
        query = "UPDATE chunk SET pack = ?, offset = ? WHERE folder = ? AND digest = ?"
        self._writing().executemany(query, rows)

    def where(self, folder: int, digest: bytes) -> Place | None:
        """As the writing thread sees it."""
        row = self._writer.execute(_WHERE, (folder, digest)).fetchone()
        return Place._make(row) if row else None

    def where_all(self, folder: int, hashes: Sequence[bytes]) -> dict[bytes, Place]:
        """Places of those that are known, as readers see them."""
        return _look_up(self._readers.get(), folder, hashes)

    def where_many(self, folder: int, hashes: Sequence[bytes]) -> dict[bytes, Place]:
        """Places of those that are known, as the writing thread sees them."""
        return _look_up(self._writer, folder, hashes)

    def forget_after(self, pack: int, offset: int) -> None:
        """Drop all rows that point at or past that position. Reads the whole table."""
        query = "DELETE FROM chunk WHERE pack > ? OR (pack = ? AND offset >= ?)"
        self._writing().execute(query, (pack, pack, offset))

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

    def commit(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("COMMIT")

    def checkpoint(self) -> None:
        """commit(), and on stable storage."""
        self.commit()
        self._writer.execute("PRAGMA wal_checkpoint(FULL)")

    def rollback(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def close(self) -> None:
        self._readers.close()
        self._writer.close()

    def _writing(self) -> sqlite3.Connection:
        if not self._writer.in_transaction:
            self._writer.execute("BEGIN IMMEDIATE")
        return self._writer


def _look_up(connection: sqlite3.Connection, folder: int, hashes: Sequence[bytes]) -> dict[bytes, Place]:
    places = {}
    for start in range(0, len(hashes), _LOOKUP):
        part = hashes[start : start + _LOOKUP]
        query = _MANY.format(", ".join("?" * len(part)))
        for digest, *place in connection.execute(query, (folder, *part)):
            places[digest] = Place._make(place)
    return places
