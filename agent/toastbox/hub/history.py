"""Old versions: what was, and bringing it back (docs/SPEC.md, section 4).

Every row names the row that it replaced, so that the versions of a path are a chain from its current row
back to where retention has cut it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from toastbox.core.entry import DELETED, EXECUTABLE, FOLDER
from toastbox.core.names import key_of, path_of, why_bad
from toastbox.hub.journal.base import Device, Journal, JournalReader, Row
from toastbox.hub.refusal import Refusal, bad_request, not_found

MAX_COUNT = 1000
_KINDS = ("deleted", "file", "folder", "link")
_SEQ_END = 1 << 63


def log(journal: JournalReader, folder: int, before: int, count: int) -> list[dict[str, Any]]:
    """Up to count entries with seq below before (0: the newest), newest first, as JSON objects."""
    before = min(before, _SEQ_END - 1) or _SEQ_END - 1
    return [describe(row) for row in journal.read_log(folder, before, min(count, MAX_COUNT))]


def versions(journal: JournalReader, folder: int, path: bytes) -> list[dict[str, Any]]:
    """The versions of a path, newest first, at most MAX_COUNT."""
    current = journal.read_current(folder, _key(path))
    if current is None:
        raise not_found("there was never anything of that name")
    return [describe(row) for row, _ in zip(chain(journal, folder, current), range(MAX_COUNT), strict=False)]


def named(entries: list[dict[str, Any]], find: Callable[[int], Device | None]) -> list[dict[str, Any]]:
    """The same, each with the name of the device that made it; "" for the hub's owner. find: a device by number."""
    numbers = {entry["device"] for entry in entries}
    names = {number: device.name for number in numbers if (device := find(number))}
    return [entry | {"name": names.get(entry["device"], "")} for entry in entries]


def chain(journal: JournalReader, folder: int, row: Row | None) -> Iterator[Row]:
    """A row and those before it at the same path."""
    while row is not None:
        yield row
        row = journal.read_row(folder, row.parent) if row.parent else None


def describe(row: Row) -> dict[str, Any]:
    """A row for people and programs."""
    return {
        "seq": row.seq,
        "path": path_of(row.key).decode(),
        "kind": _KINDS[row.kind],
        "size": row.size,
        "device": row.device,
        "parent": row.parent,
        "time": row.time_s,
    }


class Restorer:
    """Makes old versions current again. For the writing thread."""

    def __init__(self, journal: Journal, now_s: Callable[[], int]) -> None:
        self._journal = journal
        self._now_s = now_s

    def restore(self, folder: int, device: int, path: bytes, seq: int) -> int:
        """Append the entry of that seq again, and folders above it that are gone; return its new seq."""
        key = _key(path)
        old = self._journal.row(folder, seq) if 0 < seq < _SEQ_END else None
        if old is None or old.key != key or old.kind == DELETED:
            raise not_found("there is no such version")
        self._ensure_parents(folder, device, key)
        current = self._journal.current(folder, key) or (0, DELETED)
        if current[1] == FOLDER and old.kind == FOLDER:
            return current[0]
        if current[1] == FOLDER and self._journal.live_below(folder, key):
            raise Refusal("bad-request", 409, "a folder with content has taken its place: move it first")
        return self._append(folder, device, old, current[0])

    def _ensure_parents(self, folder: int, device: int, key: bytes) -> None:
        above = [key[:at] for at, byte in enumerate(key) if byte == 0]
        for parent in above:
            seq, kind = self._journal.current(folder, parent) or (0, DELETED)
            if kind not in (DELETED, FOLDER):
                raise Refusal("bad-request", 409, "a file has taken the place of its folder: move it first")
            if kind == DELETED:
                row = Row(0, parent, FOLDER, 0, seq, 0, 0, device, self._now_s(), 0, b"")
                self._journal.append(folder, row)

    def _append(self, folder: int, device: int, old: Row, parent: int) -> int:
        flags = old.flags & EXECUTABLE
        row = old._replace(flags=flags, parent=parent, device=device, time_s=self._now_s())
        return self._journal.append(folder, row)


def _key(path: bytes) -> bytes:
    if why_bad(path):
        raise bad_request("that is no path")
    return key_of(path)
