"""SQLite connections with the settings every database of the hub shares."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from itertools import chain

_WRITER_CACHE_KIB = 8192
_READER_CACHE_KIB = 2048
_CHECKPOINT_PAGES = 4000  # 16 MiB of write-ahead log: a checkpoint every few thousand commits
_LOG_LIMIT_BYTES = 64 << 20
_ROWS = 32  # in one statement: more save little, and this is below the least number of parameters any SQLite takes
_KEYS = 256  # in one query
_KEY_STEP = 32  # above it, their number is rounded up: the last one is asked for again
sqlite3.register_adapter(bytes, bytes)  # else the module looks each time, slowly, for how they are to be adapted


def open_writer(path: str, synchronous: str) -> sqlite3.Connection:
    """The one connection that writes to the database at path, made 0600 if it is new.

    synchronous: FULL for a commit that must survive a power cut, NORMAL where what is lost can be rebuilt.
    """
    if path != ":memory:":
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT_BYTES}")
    return connection


class Inserter:
    """An INSERT of rows of one width, many of them by one statement.

    Each step of a statement gives up the interpreter's lock, which other threads then take: with a row a step the
    writing thread would have to win it back for each row.
    """

    def __init__(self, statement: str, width: int) -> None:
        """statement: with {} where the rows go, as in "INSERT INTO name VALUES {}"."""
        row = f"({', '.join('?' * width)})"
        self._one = statement.format(row)
        self._many = statement.format(", ".join([row] * _ROWS))

    def insert(self, connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
        """In their order."""
        rest = len(rows) - len(rows) % _ROWS
        for at in range(0, rest, _ROWS):
            connection.execute(self._many, list(chain.from_iterable(rows[at : at + _ROWS])))
        connection.executemany(self._one, rows[rest:])


class Lookup:
    """A query for rows of a folder by many keys: in few forms, so that SQLite has nearly all of them prepared."""

    def __init__(self, query: str) -> None:
        """query: its first parameter is the folder, {} stands where the keys go, as in "key IN ({})"."""
        self._query = query

    def find(
        self, connection: sqlite3.Connection, folder: int, keys: Sequence[bytes]
    ) -> Iterator[tuple[list[bytes], sqlite3.Cursor]]:
        """Some of the keys at a time, and the rows found for them."""
        for start in range(0, len(keys), _KEYS):
            part = list(keys[start : start + _KEYS])
            again = -len(part) % _KEY_STEP if len(part) > _KEY_STEP else 0
            asked = part + part[-1:] * again
            yield part, connection.execute(self._query.format(", ".join("?" * len(asked))), (folder, *asked))


class Readers:
    """Read-only connections to one database, one for each thread that asks.

    A database in memory has no second connection: its writer is given to all (tests and the simulator,
    which are one thread).
    """

    def __init__(self, path: str, writer: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def get(self) -> sqlite3.Connection:
        """This thread's connection. It sees flushed rows only."""
        if self._path == ":memory:":
            return self._writer
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open()
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close all of them; no thread may be using one."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=32, timeout=10
        )
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        with self._lock:
            self._all.append(connection)
        return connection
