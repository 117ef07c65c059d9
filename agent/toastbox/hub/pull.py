"""Answering a pull: the current entries after a cursor, as few bytes as can be (docs/SPEC.md, section 4)."""

import threading
from collections import OrderedDict
from collections.abc import Iterator

from toastbox.core.content import chunk_item
from toastbox.core.entry import DELETED, FILE, PAIR, Entry
from toastbox.core.names import path_of
from toastbox.core.splice import make_splice
from toastbox.core.wire import (
    CONTENT,
    ELSEWHERE,
    LIST,
    NONE,
    PULL_SIZE,
    SPLICE,
    TARGET,
    encode_entry,
    encode_fields,
    encode_pull,
)
from toastbox.hub.journal.base import JournalReader, Row

_MAX_STEPS = 256  # versions walked back to find a base for a splice
_CACHED_SPLICES = 64
_CACHED_BYTES = 64 << 10  # a larger splice is made again for each who asks

_FORM = (NONE, CONTENT, NONE, TARGET)  # by kind, for all but files of several chunks


class Puller:
    """Makes pull answers. For any thread."""

    def __init__(self, journal: JournalReader) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._splices: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()

    def answer(
        self, folder: int, after: int, entries: int, max_bytes: int, epoch: int, deletions: bool = True
    ) -> bytes:
        """At most entries records (one more to keep a pair together) and about max_bytes; docs/SPEC.md."""
        head, rows = self._journal.read_pull(folder, after, entries + 1, deletions)
        records: list[bytes] = []
        cursor, room = after, max_bytes - PULL_SIZE
        for unit in _units(rows):
            if records and len(records) + len(unit) > entries:
                break
            encoded = self._encode(folder, unit, after)
            size = sum(map(len, encoded))
            if size > room:
                if records:
                    break
                encoded = self._encode(folder, unit, after, ELSEWHERE)
                size = sum(map(len, encoded))
            records += encoded
            cursor, room = unit[-1].seq, room - size
        if len(rows) <= entries and (not rows or cursor == rows[-1].seq):
            cursor = head
        return encode_pull(epoch, cursor, head, records)

    def _encode(self, folder: int, unit: list[Row], after: int, listed: int = LIST) -> list[bytes]:
        """Records of a unit. listed: LIST or ELSEWHERE, for files of several chunks."""
        if len(unit) == 1 and unit[0].pieces <= 1:
            return [encode_alone(unit[0])]
        records = []
        for row in unit:
            entry = entry_of(row)
            if len(unit) == 1:
                entry.flags &= ~PAIR
            if row.pieces > 1:
                records.append(self._encode_list(folder, row, entry, after, listed))
            else:
                records.append(encode_entry(entry, _FORM[row.kind]))
        return records

    def _encode_list(self, folder: int, row: Row, entry: Entry, after: int, form: int) -> bytes:
        chunks = self._journal.read_list(folder, row.content) if form == LIST else None
        if chunks is None:
            return encode_entry(entry, ELSEWHERE)
        base = self._base(folder, row, after)
        splice = self._splice(folder, row, base, chunks) if base else None
        if base and splice is not None and len(splice) + 8 < len(chunks):
            return encode_entry(entry, SPLICE, base.seq, splice)
        entry.chunks = chunks
        return encode_entry(entry, LIST)

    def _base(self, folder: int, row: Row, after: int) -> Row | None:
        """The file that this path held at `after`, if it is not too many versions ago and not pruned."""
        base: Row | None = row
        for _ in range(_MAX_STEPS if after else 0):
            base = self._journal.read_row(folder, base.parent) if base and base.parent else None
            if base is None or base.seq <= after:
                return base if base and base.kind == FILE and base.pieces else None
        return None

    def _splice(self, folder: int, row: Row, base: Row, chunks: bytes) -> bytes | None:
        """The same few splices are asked for by every device of a folder, so the last ones are kept."""
        name = folder, base.seq, row.seq
        splice = self._splices.get(name)
        if splice is None:
            known = self._list_of(folder, base)
            if known is None:
                return None
            splice = make_splice(known, chunks)
            if len(splice) <= _CACHED_BYTES:
                with self._lock:
                    self._splices[name] = splice
                    while len(self._splices) > _CACHED_SPLICES:
                        self._splices.popitem(last=False)
        return splice

    def _list_of(self, folder: int, row: Row) -> bytes | None:
        return chunk_item(row.content, row.size) if row.pieces == 1 else self._journal.read_list(folder, row.content)


def encode_alone(row: Row) -> bytes:
    """The record of a row that is no half of a pair and has no chunk list, as nearly all: no entry is made for it."""
    seq, key, kind, flags, _, mtime_ns, size, device, _, _, content = row
    return encode_fields(path_of(key), kind, flags & ~PAIR, seq, mtime_ns, size, device, _FORM[kind], content)


def entry_of(row: Row) -> Entry:
    """The row as an entry, without its chunk list."""
    return Entry(path_of(row.key), row.kind, row.flags, row.seq, row.mtime_ns, row.size, row.content, device=row.device)


def _units(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows that must stay together: a renamed entry and the deletion of its old path, else one row."""
    at = 0
    while at < len(rows):
        paired = rows[at].flags & PAIR and at + 1 < len(rows) and _is_partner(rows[at], rows[at + 1])
        yield rows[at : at + 2] if paired else rows[at : at + 1]
        at += 2 if paired else 1


def _is_partner(row: Row, following: Row) -> bool:
    return following.seq == row.seq + 1 and following.kind == DELETED
