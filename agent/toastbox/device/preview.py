"""What a sync would do, found out without doing it (`toastbox sync --dry-run`).

The same decisions as the engine's (core/plan, core/diff), on the journal's pages after the cursor and then
on the folder; nothing is staged, sent or noted. Paths that the journal has news of are remembered in a
temporary database, so that they are not announced again as changes of this device, and memory stays flat.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from toastbox.core import diff, wire
from toastbox.core.entry import DELETED, FILE, FOLDER, Entry
from toastbox.core.guard import too_many_deletes
from toastbox.core.ignore import IgnoreRules
from toastbox.core.names import key_of, why_bad
from toastbox.core.plan import Item, Plan, plan
from toastbox.device.engine import IGNORE_FILE, MAX_IGNORE, RECEIVE_ONLY, SEND_ONLY
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Remote
from toastbox.device.pull import PAGE_BYTES, PAGE_ENTRIES
from toastbox.device.reading import Reader
from toastbox.device.row import Row
from toastbox.device.seen import OTHER, Seen
from toastbox.errors import EpochChanged, HostilePeer


class Step(NamedTuple):
    """One thing that would be done. where: "here" or "hub". path_to: of a rename, else b""."""

    where: str
    what: str
    path: bytes
    path_to: bytes = b""


class Preview:
    """Reads everything, writes nothing. mode: of the settings; device_name: for names of conflict copies."""

    def __init__(
        self, folder: Folder, index: Index, remote: Remote, reader: Reader, device_name: str, mode: str
    ) -> None:
        self._folder = folder
        self._index = index
        self._remote = remote
        self._reader = reader
        self._device_name = device_name
        self._mode = mode
        self._rules = IgnoreRules(self._ignore_text())
        self._news = sqlite3.connect("")  # "": a temporary file of bounded cache, gone with the connection
        self._news.execute("CREATE TABLE news(key BLOB PRIMARY KEY) WITHOUT ROWID")
        self.deletions = 0

    def close(self) -> None:
        self._news.close()

    @property
    def would_hold_deletions(self) -> bool:
        """After all steps: whether the deletions are too many to be passed on unconfirmed."""
        return too_many_deletes(self.deletions, len(self._index))

    def steps(self) -> Iterator[Step]:
        """Every step, the hub's news first. Raises what the hub raises."""
        for entries in self._pages():
            yield from self._coming(entries)
        if self._mode != RECEIVE_ONLY:
            yield from self._going()

    def _ignore_text(self) -> str:
        seen = self._folder.lstat(IGNORE_FILE)
        if seen is None or seen.kind != FILE:
            return ""
        descriptor = self._folder.open(IGNORE_FILE)
        try:
            return self._folder.read_at(descriptor, MAX_IGNORE, 0).decode("utf-8", "replace")
        finally:
            self._folder.close_file(descriptor)

    # --- from the hub

    def _pages(self) -> Iterator[list[Entry]]:
        cursor, epoch = self._index.cursor, self._index.epoch
        renewed = False
        while True:
            try:
                answer = wire.decode_pull(self._remote.pull(cursor, epoch, PAGE_ENTRIES, PAGE_BYTES))
                entries = [record.entry for record in answer.records()]
            except wire.WireError as error:
                raise HostilePeer(f"the hub's journal cannot be read: {error}") from error
            except EpochChanged as changed:
                if renewed:
                    raise
                cursor, epoch, renewed = 0, changed.epoch, True
                continue
            yield entries
            if answer.cursor >= answer.head or answer.cursor <= cursor:
                return
            cursor, epoch = answer.cursor, answer.epoch

    def _coming(self, entries: list[Entry]) -> Iterator[Step]:
        items = [item for item in map(self._observe, entries) if item is not None]
        keys = [(key_of(item.remote.path),) for item in items]
        self._news.executemany("INSERT OR IGNORE INTO news VALUES(?)", keys)
        if self._mode != SEND_ONLY:
            yield from describe(plan(items, self._device_name))

    def _observe(self, entry: Entry) -> Item | None:
        row = self._index.get(key_of(entry.path))
        if row is not None and row.entry.seq == entry.seq and row.entry.kind == entry.kind:
            return None
        found = self._folder.lstat(entry.path)
        if self._is_ignored(entry.path, entry.kind == FOLDER) or (found is not None and found.kind == OTHER):
            return None
        base = row.entry if row is not None else None
        local = self._local(row, found, entry.size) if found is not None else None
        return Item(entry, base, local)

    def _local(self, row: Row | None, found: Seen, size: int) -> Entry:
        if row is not None and row.signature == found.signature and row.entry.kind == found.kind:
            return row.entry
        return self._reader.entry(found, (size, row.entry.size if row else -1))

    # --- from here

    def _going(self) -> Iterator[Step]:
        walk = self._folder.walk(b"", self._enter)
        for row, seen in diff.merge(self._index.rows(), walk):
            path = row.entry.path if row is not None else seen.path if seen is not None else b""
            if self._is_news(path) or self._left_alone(path, seen):
                continue
            what = self._change(row, seen)
            if what:
                yield Step("hub", what, path)

    def _change(self, row: Row | None, seen: Seen | None) -> str:
        code = diff.classify(row, seen)
        if code == diff.GONE:
            self.deletions += 1
            return "delete"
        if code == diff.NEW:
            return "add"
        if code == diff.KIND_CHANGED:
            return "replace"
        if code == diff.CHANGED and row is not None and seen is not None:
            return "" if self._is_same(row.entry, seen) else "change"
        return ""

    def _is_same(self, agreed: Entry, seen: Seen) -> bool:
        local = self._reader.entry(seen, (agreed.size,))
        return agreed.seq > 0 and agreed.same_content(local) and agreed.mtime_ns == local.mtime_ns

    def _enter(self, seen: Seen) -> bool:
        return not self._left_alone(seen.path, seen)

    def _left_alone(self, path: bytes, seen: Seen | None) -> bool:
        if seen is not None and seen.kind == OTHER:
            return True
        return self._is_ignored(path, seen is not None and seen.kind == FOLDER) or bool(why_bad(path))

    def _is_ignored(self, path: bytes, is_folder: bool) -> bool:
        return bool(self._rules.ignored(path, is_folder))

    def _is_news(self, path: bytes) -> bool:
        found = self._news.execute("SELECT 1 FROM news WHERE key = ?", (key_of(path),)).fetchone()
        return found is not None


def describe(steps: Plan) -> Iterator[Step]:
    """A plan as steps, in the order in which they would be done."""
    yield from (Step("here", "keep aside", path, to) for path, to in steps.aside)
    yield from (Step("here", "make folder", path) for path in steps.folders)
    yield from (Step("here", "rename", old, new) for old, new, _ in steps.renames)
    yield from (Step("here", "delete", path) for path in steps.removals)
    yield from (Step("here", "delete folder", path) for path, _ in steps.rmdirs)
    yield from (Step("here", "write", entry.path) for entry in steps.publish)
    yield from (Step("here", "set time or mode", entry.path) for entry in steps.meta if entry.kind != DELETED)
    yield from (Step("hub", "change", entry.path) for entry in steps.keep)
