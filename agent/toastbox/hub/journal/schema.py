"""The journal database's tables, step by step: docs/SPEC.md, section 9.

user_version counts the steps that a database has taken. A step is never edited once released; a change is a
new step. A database with more steps than this program knows is refused: an old hub must not write to it.
"""

import secrets
import sqlite3

from toastbox.errors import SafetyRefused

STEPS = (
    """
    CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

    CREATE TABLE folder (
        number INTEGER PRIMARY KEY,
        ident BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,
        head INTEGER NOT NULL DEFAULT 0,
        live INTEGER NOT NULL DEFAULT 0,
        peers INTEGER NOT NULL DEFAULT 0);

    CREATE TABLE device (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        folder INTEGER NOT NULL,
        name TEXT NOT NULL,
        key BLOB NOT NULL,
        created_s INTEGER NOT NULL,
        revoked INTEGER NOT NULL DEFAULT 0,
        hook TEXT NOT NULL DEFAULT '');
    CREATE UNIQUE INDEX device_name ON device (folder, name) WHERE revoked = 0;

    CREATE TABLE invite (
        secret BLOB PRIMARY KEY,
        folder INTEGER NOT NULL,
        expires_s INTEGER NOT NULL,
        key BLOB NOT NULL DEFAULT x'',
        answer TEXT NOT NULL DEFAULT '') WITHOUT ROWID;

    CREATE TABLE journal (
        folder INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        key BLOB NOT NULL,
        kind INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        parent INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        size INTEGER NOT NULL,
        device INTEGER NOT NULL,
        time_s INTEGER NOT NULL,
        pieces INTEGER NOT NULL,
        content BLOB NOT NULL,
        PRIMARY KEY (folder, seq)) WITHOUT ROWID;

    -- Few files have more than one chunk: this stays small, and tells when a list is no longer used.
    CREATE INDEX journal_list ON journal (folder, content) WHERE pieces > 1;

    CREATE TABLE current (
        folder INTEGER NOT NULL,
        key BLOB NOT NULL,
        seq INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        PRIMARY KEY (folder, key)) WITHOUT ROWID;

    -- A pull is one range of this index.
    CREATE INDEX current_seq ON current (folder, seq);

    CREATE TABLE list (
        folder INTEGER NOT NULL,
        content BLOB NOT NULL,
        chunks BLOB NOT NULL,
        UNIQUE (folder, content));
    """,
    """
    ALTER TABLE device ADD COLUMN plain INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE device ADD COLUMN counter INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE invite ADD COLUMN plain INTEGER NOT NULL DEFAULT 0;
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database up to the newest step, each in a transaction of its own.

    Raises SafetyRefused for a database that a newer program has written.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(STEPS):
        raise SafetyRefused(
            f"the journal is of version {version}, this program knows {len(STEPS)}: install a newer toastbox"
        )
    for step in range(version, len(STEPS)):
        connection.executescript(f"BEGIN IMMEDIATE; {STEPS[step]} PRAGMA user_version = {step + 1}; COMMIT")
    _ensure_epoch(connection)


def _ensure_epoch(connection: sqlite3.Connection) -> None:
    """A new database gets its first epoch; 0 means `unknown` on the wire."""
    connection.execute("INSERT OR IGNORE INTO setting VALUES ('epoch', ?)", (random_epoch(),))


def random_epoch() -> bytes:
    """A new epoch as it is stored: u64, little-endian, never 0."""
    return (secrets.randbits(64) | 1).to_bytes(8, "little")
