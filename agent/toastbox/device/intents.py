"""What is about to be published, as the index keeps it. The intents of a batch are written together and dropped
together, so many of them share a row: a row for each took five times as long (docs/SPEC.md, section 9).
"""

import sqlite3
import struct
from collections.abc import Iterator, Sequence

SCHEMA = "CREATE TABLE intents(batch INTEGER NOT NULL, packed BLOB NOT NULL)"
TOGETHER = 64  # in one row, about 10 KB
_HEAD = struct.Struct("<IIIQ")  # sizes of staged name, record and expected; inode

Intent = tuple[bytes, int, bytes, bytes]  # staged name, inode, record, expected


def migrate(db: sqlite3.Connection) -> None:
    """From the table of the versions before, with a row for each, to that of SCHEMA. In one transaction."""
    db.execute("BEGIN IMMEDIATE")
    db.execute(SCHEMA)
    old = db.execute("SELECT batch, staged, inode, record, expected FROM intent ORDER BY rowid").fetchall()
    for batch, *intent in old:
        write(db, batch, [tuple(intent)])
    db.execute("DROP TABLE intent")
    db.execute("PRAGMA user_version = 4")
    db.execute("COMMIT")


def write(db: sqlite3.Connection, batch: int, intents: Sequence[Intent]) -> None:
    some = (intents[at : at + TOGETHER] for at in range(0, len(intents), TOGETHER))
    db.executemany("INSERT INTO intents VALUES(?, ?)", ((batch, _packed(each)) for each in some))


def read(db: sqlite3.Connection) -> list[Intent]:
    """All, in the order in which they were written."""
    rows = db.execute("SELECT packed FROM intents ORDER BY rowid").fetchall()
    return [intent for (packed,) in rows for intent in _unpacked(packed)]


def drop(db: sqlite3.Connection, before: int) -> None:
    """Those of batches below `before`."""
    db.execute("DELETE FROM intents WHERE batch < ?", (before,))


def _packed(intents: Sequence[Intent]) -> bytes:
    head = _HEAD.pack
    return b"".join(
        [
            head(len(staged), len(record), len(expected), inode) + staged + record + expected
            for staged, inode, record, expected in intents
        ]
    )


def _unpacked(packed: bytes) -> Iterator[Intent]:
    at = 0
    while at < len(packed):
        staged, record, expected, inode = _HEAD.unpack_from(packed, at)
        ends = [at := at + size for size in (_HEAD.size, staged, record, expected)]
        yield packed[ends[0] : ends[1]], inode, packed[ends[1] : ends[2]], packed[ends[2] : ends[3]]
