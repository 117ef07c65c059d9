"""For each folder of the index the sum of what its rows say, to be compared with the sum of what is on disk.

A row's hash is that of what a look at its path shows if nothing is to be done about it. A row that proves nothing (no
signature, nothing agreed) has the hash of something that is on no disk. So equal sums mean: nothing in this folder has
changed (cnative/src/sum.c). A folder has a sum as long as it, or anything below it, has a row.

Changes wait in memory until the transaction ends, some hundred folders at most: a batch that touches a thousand files
of one folder writes one sum.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from toastbox.core.diff import Signature
from toastbox.core.entry import FOLDER, Entry
from toastbox.core.names import children_range
from toastbox.device.row import Row
from toastbox.native.sums import name_sum, name_sums, signed

SCHEMA = (
    "CREATE TABLE folder(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, sum INTEGER NOT NULL)",
    "INSERT INTO folder(key, sum) VALUES(x'', 0)",
)
UNPROVEN = 128  # in place of a kind
MOST_WAITING = 256
AT_ONCE = 256


def _shown(kind: int, seq: int, signature: Signature) -> tuple[int, int, int, int, int]:
    """What is hashed of a row besides the name."""
    if seq > 0 and kind == FOLDER:
        return kind, 0, 0, 0, 0
    if seq > 0 and signature.inode:
        return kind, signature.inode, signature.size, signature.mtime_ns, signature.ctime_ns
    return UNPROVEN, 0, 0, 0, 0


class FolderSums:
    """The table `folder` of the index, and what is yet to be written to it. key: 16 bytes, set before use."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._waiting: dict[bytes, int] = {}  # folder: what is to be added to its sum
        self.key = b""

    def hash(self, key: bytes, kind: int, seq: int, signature: Signature) -> int:
        """What a row adds to the sum of its folder."""
        return name_sum(self.key, key.rpartition(b"\0")[2], *_shown(kind, seq, signature))

    def of(self, row: Row) -> int:
        """The same of a row that is there."""
        return self.hash(row.key, row.entry.kind, row.entry.seq, row.signature)

    def add_rows(self, rows: Sequence[tuple[bytes, Entry, Signature]]) -> None:
        """Add what new rows (key, entry, signature) add to the sums of their folders."""
        places = [key.rpartition(b"\0") for key, _, _ in rows]
        shown = [_shown(entry.kind, entry.seq, signature) for _, entry, signature in rows]
        hashes = name_sums(self.key, [place[2] for place in places], shown)
        totals: dict[bytes, int] = {}
        for (folder, _, _), value in zip(places, hashes, strict=True):
            totals[folder] = totals.get(folder, 0) + value
        for folder, total in totals.items():
            self._add_to(folder, total)

    def add(self, key: bytes, value: int) -> None:
        """Add to the sum of the folder that a path is in."""
        self._add_to(key.rpartition(b"\0")[0], value)

    def _add_to(self, folder: bytes, value: int) -> None:
        self._waiting[folder] = self._waiting.get(folder, 0) + value
        if len(self._waiting) > MOST_WAITING:
            self.write()

    def write(self) -> None:
        """Bring the table up to date. Added in Python: SQLite makes a fraction of what overflows."""
        for folder, change in self._waiting.items():
            found = self.db.execute("SELECT sum FROM folder WHERE key = ?", (folder,)).fetchone()
            if found is not None and change % (1 << 64):
                self.db.execute("UPDATE folder SET sum = ? WHERE key = ?", (signed(found[0] + change), folder))
        self._waiting.clear()

    def forget(self) -> None:
        """The transaction is rolled back, with the rows that were changed."""
        self._waiting.clear()

    def clear(self) -> None:
        """All sums are to be made anew."""
        self._waiting.clear()
        self.db.execute("UPDATE folder SET sum = 0")

    def add_folder(self, key: bytes, total: int) -> None:
        """A row of a folder is new. total: of the rows of what is in it, which may be older."""
        self._waiting.pop(key, None)
        self.db.execute("INSERT OR REPLACE INTO folder(key, sum) VALUES(?, ?)", (key, signed(total)))

    def drop_folder(self, key: bytes) -> None:
        """The row of a folder is gone. While there are rows of what was in it, it is still looked at."""
        self.db.execute(
            "DELETE FROM folder WHERE key = ? AND NOT EXISTS(SELECT 1 FROM entry WHERE key > ? AND key < ?)",
            (key, *children_range(key)),
        )

    def below(self, top: bytes) -> Iterator[list[tuple[bytes, int]]]:
        """(key, sum) of a folder and of all below it that are known now, in order of key, some at a time.

        Rows may be changed meanwhile; folders that come to be known are left out.
        """
        newest = self.db.execute("SELECT max(id) FROM folder").fetchone()[0]
        low, high = top, top + b"\1" if top else b"\xff"
        while True:
            self.write()
            found = self.db.execute(
                "SELECT key, sum FROM folder WHERE key >= ? AND key < ? AND id <= ? ORDER BY key LIMIT ?",
                (low, high, newest, AT_ONCE),
            ).fetchall()
            if found:
                yield found
            if len(found) < AT_ONCE:
                return
            low = found[-1][0] + b"\0"
