"""What this device knows: the last state agreed with the hub, and how the file looked then.

One SQLite database, FOLDER/.toastbox/index.db. Tables:

    entry   a row for each path that is both here and in the journal: the entry, and the signature of the file
            when the two were last known to be equal. A file whose signature still matches is not read again.
    folder  for each folder the sum of its rows' hashes (native/sums.py). A folder that shows the same sum on disk is
            as its rows say, and none of them is read. Kept up to date with every row, in the same transaction.
    list    chunk lists of files of several chunks, by content id.
    piece   which entries hold a chunk (first 8 bytes of its hash), files of several chunks only.
    intents what is being published (core/apply.py); survives a crash between staging and publishing.
    held    entries of the journal that cannot be applied here, with the reason.
    meta    cursor, epoch and a few words of state. unsettled: see device/unsettled.py.

Nothing here is flushed by itself: WAL with synchronous=NORMAL keeps the database sound, and what must be on stable
storage together with files is made so by the flush of the batch. The page cache is bounded.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from toastbox.core.content import list_of
from toastbox.core.diff import Signature
from toastbox.core.entry import FILE, FOLDER, Entry
from toastbox.core.names import children_range, key_of
from toastbox.device import folder_sums, intents, unsettled
from toastbox.device.folder_sums import FolderSums
from toastbox.device.intents import Intent
from toastbox.device.lookup import known_keys, unknown_chunks
from toastbox.device.places import Places, changed_span
from toastbox.device.row import COLUMNS, INSERT, UPDATE, Row, prefix_of, values_of
from toastbox.device.storage import storage_errors
from toastbox.errors import WrongUse

SCHEMA_VERSION = 4
SCHEMA_1 = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entry(
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL, flags INTEGER NOT NULL, seq INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, content BLOB NOT NULL,
    inode INTEGER NOT NULL, sig_size INTEGER NOT NULL, sig_mtime INTEGER NOT NULL, sig_ctime INTEGER NOT NULL,
    prefix INTEGER NOT NULL);
CREATE INDEX entry_content ON entry(prefix) WHERE prefix != 0;
CREATE INDEX entry_inode ON entry(inode) WHERE kind = 1;
CREATE TABLE list(content BLOB PRIMARY KEY, chunks BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE piece(prefix INTEGER, entry INTEGER, PRIMARY KEY(prefix, entry)) WITHOUT ROWID;
CREATE TABLE intent(batch INTEGER, staged BLOB, inode INTEGER, record BLOB, expected BLOB);
CREATE TABLE held(key BLOB PRIMARY KEY, reason TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
"""
sqlite3.register_adapter(bytes, memoryview)  # else the module looks each time, slowly, for how bytes are to be adapted
CHECKPOINT_PAGES = 2000  # of 4 KiB: a page changed often is written to its place once in so many


class Index:
    """The device's database. Used by one thread. path: file name, or ":memory:".

    holds: whether entries may be held back; False is certain.
    """

    def __init__(self, path: str, cache_bytes: int = 1 << 20) -> None:
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
        self._sums = FolderSums(self._db)
        self.unsettled = unsettled.Unsettled(self._db)
        with self.guarded():
            self._set_up(path, cache_bytes)

    def _set_up(self, path: str, cache_bytes: int) -> None:
        self._db.execute(f"PRAGMA cache_size = -{max(cache_bytes >> 10, 64)}")
        self._db.execute("PRAGMA temp_store = MEMORY")
        if path != ":memory:":
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA journal_size_limit = 1048576")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self._migrate()
        self._sums.key = bytes.fromhex(str(self.get_meta("sum_key")))
        self._count()

    def _count(self) -> None:
        self._rows = self._db.execute("SELECT count(*) FROM entry").fetchone()[0]
        self.holds = bool(self._db.execute("SELECT count(*) FROM held").fetchone()[0])
        self.unsettled.count()

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise WrongUse(f"the index was written by a newer version (format {version}): update this program")
        if version < 1:
            self._db.executescript(f"BEGIN; {SCHEMA_1} PRAGMA user_version = 1; COMMIT;")
        if version < 2:
            self._migrate_to_2()
        if version < 3:
            self._db.executescript(f"BEGIN; {unsettled.SCHEMA}; PRAGMA user_version = 3; COMMIT;")
        if version < 4:
            intents.migrate(self._db)

    def _migrate_to_2(self) -> None:
        """Sums of folders. All of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        for statement in folder_sums.SCHEMA:
            self._db.execute(statement)
        self._sums.key = os.urandom(16)
        self.set_meta("sum_key", self._sums.key.hex())
        self._db.execute(f"INSERT INTO folder(key, sum) SELECT key, 0 FROM entry WHERE kind = {FOLDER}")
        self._sum_all()
        self._db.execute("PRAGMA user_version = 2")
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Fold the log into the database, lest the next start must. A disk that fails has said so."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; not a flush."""
        self.settle()
        with self.joined():
            yield
        self.settle()

    @contextmanager
    def joined(self) -> Iterator[None]:
        """A transaction that others may join, until `settle`: fewer pages are written. All of them or nothing."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._sums.forget()
            self.unsettled.forget()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Inside, what the database or a full disk refuses comes out as DeviceFull or DeviceFailing.

        What was not committed is undone then: the work it was about is found again, and done again.
        """
        with storage_errors(self._path):
            try:
                yield
            except sqlite3.Error:
                self._undo()
                raise

    def _undo(self) -> None:
        self._sums.forget()
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._count()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """A row and the sum it is in: of the transaction that is open, or one of their own."""
        if self._db.in_transaction:
            yield
            return
        with self.joined():
            yield
        self.settle()

    def settle(self) -> None:
        """End the transaction that was joined, if there is one."""
        if self._db.in_transaction:
            self._sums.write()
            self.unsettled.before_commit()
            self._db.execute("COMMIT")

    def sync(self) -> None:
        """When this returns, what is committed is on stable storage. Raises OSError."""
        for suffix in ("-wal", ""):
            with suppress(FileNotFoundError), open(self._path + suffix, "rb", buffering=0) as file:
                os.fdatasync(file.fileno())

    # --- words of state

    def get_meta(self, name: str, default: int | str = 0) -> int | str:
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found[0] if found else default

    def set_meta(self, name: str, value: int | str) -> None:
        if self.get_meta(name) != value:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (name, value))

    @property
    def cursor(self) -> int:
        return int(self.get_meta("cursor"))

    @property
    def epoch(self) -> int:
        return int(str(self.get_meta("epoch")))

    def forget_revisions(self, epoch: int) -> None:
        """The journal is another one: keep what is known of the files; what was agreed is no more (seq negative)."""
        with self.transaction():
            self._db.execute("UPDATE entry SET seq = -seq WHERE seq > 0")
            self._sum_all()
            self._db.execute("DELETE FROM held")
            self.set_meta("cursor", 0)
            self.set_meta("epoch", str(epoch))

    # --- entries

    def __len__(self) -> int:
        return int(self._rows)

    def get(self, key: bytes) -> Row | None:
        found = self._db.execute(f"SELECT {COLUMNS} FROM entry WHERE key = ?", (key,)).fetchone()
        return Row(found) if found else None

    def known(self, keys: list[bytes]) -> set[bytes]:
        """Those of these keys that have a row."""
        return known_keys(self._db, keys)

    def rows(self, below: bytes = b"") -> Iterator[Row]:
        """Every row below a folder's key (b"": all), in order of key. Rows may be changed meanwhile."""
        low, high = children_range(below) if below else (b"", b"\xff")
        while True:
            batch = self._db.execute(
                f"SELECT {COLUMNS} FROM entry WHERE key > ? AND key < ? ORDER BY key LIMIT 256", (low, high)
            ).fetchall()
            for columns in batch:
                yield Row(columns)
            if len(batch) < 256:
                return
            low = batch[-1][0]

    def keys_descending(self, below: bytes) -> Iterator[bytes]:
        """Keys below a folder's key, content before folders. Rows may be deleted meanwhile."""
        low, high = children_range(below) if below else (b"", b"\xff")
        while True:
            batch = self._db.execute(
                "SELECT key FROM entry WHERE key > ? AND key < ? ORDER BY key DESC LIMIT 256", (low, high)
            ).fetchall()
            for (key,) in batch:
                yield key
            if len(batch) < 256:
                return
            high = batch[-1][0]

    def children(self, folder: bytes) -> Iterator[Row]:
        """Rows of what is in a folder, not of what is further below. Rows may be changed meanwhile."""
        low, high = children_range(folder) if folder else (b"", b"\xff")
        begin, limit = len(folder) + 1 if folder else 0, 64
        while True:
            batch = self._db.execute(
                f"SELECT {COLUMNS} FROM entry WHERE key >= ? AND key < ? ORDER BY key LIMIT {limit}", (low, high)
            ).fetchall()
            more, limit = len(batch) == limit, 256
            for columns in batch:
                name, deeper, _ = columns[0][begin:].partition(b"\0")
                if deeper:  # in a folder of this folder: go on behind that
                    low, more, limit = columns[0][:begin] + name + b"\1", True, 16
                    break
                yield Row(columns)
                low = columns[0] + b"\0"
            if not more:
                return

    def put(self, entry: Entry, signature: Signature) -> None:
        """Insert or replace the row of entry.path, with its chunk list if it has several chunks."""
        with self._together():
            self._put(key_of(entry.path), entry, signature)

    def put_files(self, files: Sequence[tuple[bytes, Entry, Signature]]) -> None:
        """As `put` of each, for files of at most one chunk: key, entry, signature."""
        with self._together():
            newest = self._db.execute("SELECT max(id) FROM entry").fetchone()[0] or 0
            count = self._db.executemany(INSERT, [values_of(*file) for file in files]).rowcount
            self._rows += count
            if count < len(files):
                new = {key for (key,) in self._db.execute("SELECT key FROM entry WHERE id > ?", (newest,))}
                for file in files:
                    if file[0] not in new:
                        self._change(*file)
                    new.discard(file[0])
            self._sums.add_rows(files)

    def _put(self, key: bytes, entry: Entry, signature: Signature) -> None:
        done = self._db.execute(INSERT, values_of(key, entry, signature))
        self._count_in(key, entry.kind, entry.seq, signature)
        if not done.rowcount:
            self._change(key, entry, signature)
            return
        self._rows += 1
        if entry.kind == FOLDER:
            self._add_folder(key)
        if entry.chunks and done.lastrowid is not None:
            self._replace_list(done.lastrowid, b"", entry)

    def _change(self, key: bytes, entry: Entry, signature: Signature) -> None:
        """Another version of a row that is there; the new one is counted in by the caller."""
        old = self.get(key)
        assert old is not None
        self._db.execute(UPDATE, values_of(key, entry, signature))
        self._count_out(old)
        if entry.kind != old.entry.kind:
            self._sums.drop_folder(key)
            if entry.kind == FOLDER:
                self._add_folder(key)
        if entry.chunks or old.entry.content != entry.content:
            self._replace_list(old.id, old.entry.content, entry)

    def _replace_list(self, row_id: int, old_content: bytes, entry: Entry) -> None:
        old = self.chunks_of(old_content) if old_content else b""
        new = entry.chunks
        begin, old_end, new_end = changed_span(old, new)
        gone = {prefix_of(old[at : at + 32]) for at in range(begin, old_end, 36)}
        self._db.executemany("DELETE FROM piece WHERE prefix = ? AND entry = ?", ((each, row_id) for each in gone))
        pieces = ((at, prefix_of(new[at : at + 32])) for at in range(0, len(new), 36))
        come = ((each, row_id) for at, each in pieces if begin <= at < new_end or each in gone)
        self._db.executemany("INSERT OR IGNORE INTO piece VALUES(?, ?)", come)
        if new:
            self._db.execute("INSERT OR IGNORE INTO list VALUES(?, ?)", (entry.content, new))
        if old and old_content != entry.content:
            self._drop_list(old_content)

    def _drop_list(self, content: bytes) -> None:
        """Remove a chunk list unless another row still has that content."""
        users = self._db.execute("SELECT content FROM entry WHERE prefix = ? AND prefix != 0", (prefix_of(content),))
        if not any(found == content for (found,) in users):
            self._db.execute("DELETE FROM list WHERE content = ?", (content,))

    def set_revision(self, key: bytes, seq: int) -> None:
        with self._together():
            old = self.get(key)
            if old is not None:
                self._db.execute("UPDATE entry SET seq = ? WHERE key = ?", (seq, key))
                self._count_out(old)
                self._count_in(key, old.entry.kind, seq, old.signature)

    def set_signature(self, key: bytes, signature: Signature) -> None:
        """The file was read again and holds what the row says."""
        with self._together():
            old = self.get(key)
            if old is not None:
                self._db.execute(
                    "UPDATE entry SET inode = ?, sig_size = ?, sig_mtime = ?, sig_ctime = ? WHERE key = ?",
                    (signature.inode, signature.size, signature.mtime_ns, signature.ctime_ns, key),
                )
                self._count_out(old)
                self._count_in(key, old.entry.kind, old.entry.seq, signature)

    def delete(self, key: bytes) -> None:
        with self._together():
            old = self.get(key)
            if old is not None:
                self._delete(old)

    def _delete(self, old: Row) -> None:
        self._rows -= 1
        self._db.execute("DELETE FROM entry WHERE key = ?", (old.key,))
        self._count_out(old)
        if old.entry.kind == FOLDER:
            self._sums.drop_folder(old.key)
        chunks = self.chunks_of(old.entry.content) if old.entry.kind == FILE else b""
        if chunks:
            pieces = ((prefix_of(chunks[at : at + 32]), old.id) for at in range(0, len(chunks), 36))
            self._db.executemany("DELETE FROM piece WHERE prefix = ? AND entry = ?", pieces)
            self._drop_list(old.entry.content)

    def watched_by(self, stand_in: Callable[[Any], Any]) -> Callable[[], None]:
        """Have every statement go through what stand_in makes of the database; the answer undoes it."""
        real = self._db
        self._db = self._sums.db = self.unsettled.db = stand_in(real)

        def undo() -> None:
            self._db = self._sums.db = self.unsettled.db = real

        return undo

    # --- sums of folders

    @property
    def sum_key(self) -> bytes:
        """The key under which names are hashed."""
        return self._sums.key

    def folders(self, top: bytes) -> Iterator[list[tuple[bytes, int]]]:
        """FolderSums.below."""
        return self._sums.below(top)

    def forget_folder(self, key: bytes) -> None:
        """Nothing is known of a folder any more, nor of anything in it."""
        with self._together():
            if self.get(key) is None:
                self._sums.drop_folder(key)

    def _count_in(self, key: bytes, kind: int, seq: int, signature: Signature) -> None:
        self._sums.add(key, self._sums.hash(key, kind, seq, signature))

    def _count_out(self, row: Row) -> None:
        self._sums.add(row.key, -self._sums.of(row))

    def _sum_all(self) -> None:
        """Make all sums anew from the rows."""
        self._sums.clear()
        for row in self.rows():
            self._sums.add(row.key, self._sums.of(row))
        self._sums.write()

    def _add_folder(self, key: bytes) -> None:
        self._sums.add_folder(key, sum(self._sums.of(row) for row in self.children(key)))

    def chunks_of(self, content: bytes) -> bytes:
        """The chunk list of a content id of several chunks, or b"" when it is not known."""
        found = self._db.execute("SELECT chunks FROM list WHERE content = ?", (content,)).fetchone()
        return bytes(found[0]) if found else b""

    def list_of(self, row: Row) -> bytes:
        """The chunk list of what a row's file held; b"" when it held nothing, or is no file."""
        return self.chunks_of(row.entry.content) or list_of(row.entry)

    # --- looking for what is already here

    def by_inode(self, inode: int) -> Iterator[Row]:
        """Files that had this inode when they were last seen."""
        for columns in self._db.execute(
            f"SELECT {COLUMNS} FROM entry WHERE inode = ? AND kind = 1 LIMIT 8", (inode,)
        ).fetchall():
            yield Row(columns)

    def known_inodes(self, inodes: Sequence[int]) -> set[int]:
        """Those of them for which `by_inode` has something."""
        marks = ",".join("?" * len(inodes))
        found = self._db.execute(f"SELECT inode FROM entry WHERE kind = 1 AND inode IN ({marks})", inodes)
        return {inode for (inode,) in found}

    def holders(self, digest: bytes) -> Iterator[tuple[Row, int, int]]:
        """(row, offset, size) of files that held this chunk when last seen: to be read and verified."""
        prefix = prefix_of(digest)
        query = f"SELECT {COLUMNS} FROM entry WHERE prefix = ? AND prefix != 0 LIMIT 4"
        for columns in self._db.execute(query, (prefix,)).fetchall():
            if columns[6] == digest:
                row = Row(columns)
                yield row, 0, row.entry.size
        query = f"SELECT {COLUMNS} FROM entry WHERE id IN (SELECT entry FROM piece WHERE prefix = ? LIMIT 4)"
        for columns in self._db.execute(query, (prefix,)).fetchall():
            place = Places(self.chunks_of(columns[6])).find(digest)
            if place is not None:
                yield Row(columns), *place

    def unknown(self, digests: list[bytes]) -> set[bytes]:
        """Those of these chunks that no file here has, for certain: `holders` would say none."""
        return unknown_chunks(self._db, digests)

    # --- intents and held entries

    def intend(self, batch: int, some: Sequence[Intent]) -> None:
        """Note what is to be published, before it is."""
        intents.write(self._db, batch, some)

    def intents(self) -> list[Intent]:
        return intents.read(self._db)

    def drop_intents(self, before: int) -> None:
        """Forget those of batches below `before`: their renames are on stable storage."""
        intents.drop(self._db, before)

    def hold(self, key: bytes, reason: str, record: bytes) -> None:
        self.holds = True
        self._db.execute("INSERT OR REPLACE INTO held VALUES(?, ?, ?)", (key, reason, record))

    def unhold(self, key: bytes) -> None:
        if self.holds:
            self._db.execute("DELETE FROM held WHERE key = ?", (key,))

    def held_record(self, key: bytes) -> bytes:
        """The entry that is held back at a path, b"" for none."""
        if not self.holds:
            return b""
        found = self._db.execute("SELECT record FROM held WHERE key = ?", (key,)).fetchone()
        return bytes(found[0]) if found else b""

    def why_held(self, key: bytes) -> str:
        if not self.holds:
            return ""
        found = self._db.execute("SELECT reason FROM held WHERE key = ?", (key,)).fetchone()
        return str(found[0]) if found else ""

    def held(self, after: bytes = b"", count: int = 1000) -> list[tuple[bytes, str, bytes]]:
        """The first (key, reason, record) behind a key."""
        return self._db.execute(
            "SELECT key, reason, record FROM held WHERE key > ? ORDER BY key LIMIT ?", (after, count)
        ).fetchall()
