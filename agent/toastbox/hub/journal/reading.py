"""The journal's reading face on SQLite: every method may be called from any thread."""

from toastbox.hub.journal.base import Folder, Row
from toastbox.hub.journal.connect import Readers

COLUMNS = "seq, key, kind, flags, parent, mtime_ns, size, device, time_s, pieces, content"
_OF_CURRENT = ", ".join(f"j.{name.strip()}" for name in COLUMNS.split(","))

_PULL = f"""
    SELECT {_OF_CURRENT} FROM current AS c INDEXED BY current_seq
    JOIN journal AS j ON j.folder = c.folder AND j.seq = c.seq
    WHERE c.folder = ? AND c.seq > ? {{live}} ORDER BY c.seq LIMIT ?"""
_PULL_ALL = _PULL.format(live="")
_PULL_LIVE = _PULL.format(live="AND j.kind != 0")
_PATHS = f"""
    SELECT {_OF_CURRENT} FROM current AS c JOIN journal AS j ON j.folder = c.folder AND j.seq = c.seq
    WHERE c.folder = ? AND c.key > ? ORDER BY c.key LIMIT ?"""
_CURRENT = f"""
    SELECT {_OF_CURRENT} FROM current AS c JOIN journal AS j ON j.folder = c.folder AND j.seq = c.seq
    WHERE c.folder = ? AND c.key = ?"""
_ROW = f"SELECT {COLUMNS} FROM journal WHERE folder = ? AND seq = ?"
_LOG = f"SELECT {COLUMNS} FROM journal WHERE folder = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
_CONTENTS = f"""
    SELECT {COLUMNS} FROM journal WHERE folder = ? AND seq > ? AND pieces > 0 ORDER BY seq LIMIT ?"""
LIST = "SELECT chunks FROM list WHERE folder = ? AND content = ?"
FOLDER = "SELECT number, ident, name, head, live, peers FROM folder"


class SqliteReader:
    """JournalReader on one SQLite database: see hub/journal/base.py."""

    _readers: Readers

    def epoch(self) -> int:
        value = self._readers.get().execute("SELECT value FROM setting WHERE name = 'epoch'").fetchone()[0]
        return int.from_bytes(value, "little")

    def read_folder(self, folder: int) -> Folder:
        row = self._readers.get().execute(f"{FOLDER} WHERE number = ?", (folder,)).fetchone()
        return Folder._make(row)

    def read_pull(self, folder: int, after: int, limit: int, deletions: bool) -> tuple[int, list[Row]]:
        connection = self._readers.get()
        nested = connection.in_transaction  # a database in memory: the writer's own transaction
        if not nested:
            connection.execute("BEGIN")
        try:
            head = connection.execute("SELECT head FROM folder WHERE number = ?", (folder,)).fetchone()[0]
            rows = connection.execute(_PULL_ALL if deletions else _PULL_LIVE, (folder, after, limit))
            return head, [Row._make(row) for row in rows]
        finally:
            if not nested:
                connection.execute("COMMIT")

    def read_row(self, folder: int, seq: int) -> Row | None:
        row = self._readers.get().execute(_ROW, (folder, seq)).fetchone()
        return Row._make(row) if row else None

    def read_current(self, folder: int, key: bytes) -> Row | None:
        row = self._readers.get().execute(_CURRENT, (folder, key)).fetchone()
        return Row._make(row) if row else None

    def read_log(self, folder: int, before: int, limit: int) -> list[Row]:
        return [Row._make(row) for row in self._readers.get().execute(_LOG, (folder, before, limit))]

    def read_list(self, folder: int, content: bytes) -> bytes | None:
        row = self._readers.get().execute(LIST, (folder, content)).fetchone()
        return row[0] if row else None

    def read_paths(self, folder: int, after: bytes, limit: int) -> list[Row]:
        return [Row._make(row) for row in self._readers.get().execute(_PATHS, (folder, after, limit))]

    def read_contents(self, folder: int, after: int, limit: int) -> list[Row]:
        return [Row._make(row) for row in self._readers.get().execute(_CONTENTS, (folder, after, limit))]
