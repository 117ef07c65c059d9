"""Judging a commit: which proposals become journal entries (docs/SPEC.md, section 4).

Each record stands alone and is judged against the journal as the records before it left it. What must hold
after every one of them:

    the tree is valid        live entries lie in live folders; only an empty folder is deleted or replaced
    nothing unseen is lost   an entry replaces the revision its author names, or a deletion if it names none
    content is here          every chunk of every live and every old entry is in the chunk store

A rename is a creation that carries PAIR and the deletion after it. If the creation is refused the deletion
must not be committed (the content would be nowhere until the device tries again): it is called stale, so
that the device decides again. If the deletion is refused, PAIR is taken back.
"""

import struct
from collections.abc import Callable

from toastbox.core.content import ITEM_SIZE, chunk_item, content_id
from toastbox.core.entry import DELETED, EMPTY_CONTENT, EXECUTABLE, FILE, FOLDER, PAIR, Entry
from toastbox.core.names import key_of
from toastbox.core.splice import apply_splice
from toastbox.core.wire import (
    BAD_SPLICE,
    CHUNKS_MISSING,
    COMMITTED,
    HELD,
    MAX_RECORD,
    NO_PARENT,
    NOT_EMPTY,
    REFUSED,
    SPLICE,
    STALE,
    Record,
    check_list,
)
from toastbox.hub.chunks.base import ChunkStore
from toastbox.hub.guard import DeletionGuard
from toastbox.hub.journal.base import Device, JournalWriter, Row

MAX_CHUNKS = MAX_RECORD // ITEM_SIZE
_MAX_NUMBER = (1 << 63) - 1  # what a database can hold
_SLICE = 4096 * ITEM_SIZE  # chunks looked up at a time
_ITEM = struct.Struct("<32sI")
Answer = tuple[int, int]


class Judge:
    """Judges and appends the records of commits. For the writing thread. now_s: the hub's clock."""

    def __init__(
        self, journal: JournalWriter, chunks: ChunkStore, guard: DeletionGuard, now_s: Callable[[], int]
    ) -> None:
        self._journal = journal
        self._chunks = chunks
        self._guard = guard
        self._now_s = now_s
        self._sizes: dict[bytes, int] = {}  # of the chunks that the commit in hand names as whole files
        self._time_s = 0  # of the commit in hand

    def judge(self, device: Device, records: list[Record], confirmed: bool) -> list[Answer]:
        """(status, seq) of each record; those with status COMMITTED are in the journal, not yet flushed."""
        _drop_lone_pairs(records)
        keys = [key_of(record.entry.path) for record in records]
        partners = _partners(records)
        deleted = [] if confirmed else _deleted(records, partners)
        self._expect(device.folder, records, keys)
        held = self._held(device, [keys[at] for at in deleted])
        before = self._journal.state(device.folder)[0]
        answers: list[Answer] = []
        rename = 0  # where the record before has PAIR: its status
        for record, key, partner in zip(records, keys, partners, strict=True):
            if partner and rename != COMMITTED:
                answer = STALE, self._revision(device.folder, key)
            else:
                answer = self._one(device, key, record, held and not partner)
            if partner and rename == COMMITTED:
                self._check_pair(device.folder, before, answers[-1], answer)
            answers.append(answer)
            rename = answer[0]
        self._note_deleted(device, [answers[at] for at in deleted], before)
        return answers

    def _expect(self, folder: int, records: list[Record], keys: list[bytes]) -> None:
        """Look up at once what is looked at for each record: paths, the folders above, single chunks."""
        self._time_s = self._now_s()
        self._journal.expect(folder, list(dict.fromkeys(keys + [_above(key) for key in keys])))
        contents = [record.entry.content for record in records if record.entry.kind == FILE]
        self._sizes = self._chunks.sizes_of(folder, list(dict.fromkeys(contents)))

    def _one(self, device: Device, key: bytes, record: Record, held: bool) -> Answer:
        entry, folder = record.entry, device.folder
        seq, kind = self._journal.current(folder, key) or (0, DELETED)
        if entry.seq != seq and not (entry.seq == 0 and kind == DELETED):
            repeat = self._is_repeat(device, seq, entry)
            return (COMMITTED if repeat else STALE), seq
        if entry.kind == DELETED:
            if kind == DELETED:
                return (COMMITTED, seq) if seq else (REFUSED, 0)
            if held:
                return HELD, 0
        elif not self._parent_lives(folder, key):
            return NO_PARENT, 0
        if kind == FOLDER and entry.kind != FOLDER and self._journal.live_below(folder, key):
            return NOT_EMPTY, 0
        status, pieces = self._content(folder, key, record)
        if status != COMMITTED:
            return status, 0
        return COMMITTED, self._append(device, key, seq, entry, pieces)

    def _append(self, device: Device, key: bytes, parent: int, entry: Entry, pieces: int) -> int:
        flags = entry.flags & (EXECUTABLE | PAIR)
        row = Row(
            0, key, entry.kind, flags, parent, entry.mtime_ns, entry.size,
            device.number, self._time_s, pieces, entry.content,
        )  # fmt: skip
        return self._journal.append(device.folder, row)

    def _is_repeat(self, device: Device, seq: int, entry: Entry) -> bool:
        """Whether this device made the current entry, and it is this one: the first answer was lost."""
        row = self._journal.row(device.folder, seq)
        return (
            row is not None
            and (row.device, row.kind, row.size, row.content) == (device.number, entry.kind, entry.size, entry.content)
            and row.mtime_ns == entry.mtime_ns
            and (row.flags ^ entry.flags) & EXECUTABLE == 0
        )

    def _parent_lives(self, folder: int, key: bytes) -> bool:
        parent = _above(key)
        if not parent:
            return True
        found = self._journal.current(folder, parent)
        return found is not None and found[1] == FOLDER

    def _content(self, folder: int, key: bytes, record: Record) -> tuple[int, int]:
        """(status, number of chunks); a list of several chunks is kept when all of them are here."""
        entry = record.entry
        if entry.kind != FILE:
            return COMMITTED, 0
        if entry.size > _MAX_NUMBER or (entry.size == 0) != (entry.content == EMPTY_CONTENT):
            return REFUSED, 0
        if entry.size == 0:
            return COMMITTED, 0
        if record.form == SPLICE:
            return self._spliced(folder, key, record)
        if not entry.listed:
            return REFUSED, 0
        if not entry.chunks:
            return self._check_chunk(entry.content, entry.size), 1
        if content_id(entry.chunks, entry.size) != entry.content:
            return REFUSED, 0
        return self._keep_list(folder, entry, b"")

    def _spliced(self, folder: int, key: bytes, record: Record) -> tuple[int, int]:
        entry = record.entry
        base = self._journal.row(folder, record.base_seq) if record.base_seq <= _MAX_NUMBER else None
        if base is None or base.key != key or base.kind != FILE:
            return BAD_SPLICE, 0
        base_list = self._list_of(folder, base)
        try:
            entry.chunks = apply_splice(base_list, record.splice, MAX_CHUNKS)
            check_list(entry.chunks, entry.size)
        except ValueError:
            return BAD_SPLICE, 0
        if content_id(entry.chunks, entry.size) != entry.content:
            return BAD_SPLICE, 0
        return self._keep_list(folder, entry, base_list)

    def _keep_list(self, folder: int, entry: Entry, known: bytes) -> tuple[int, int]:
        """known: a list whose chunks are certainly here, because a journal entry has it."""
        pieces = len(entry.chunks) // ITEM_SIZE
        if self._journal.chunk_list(folder, entry.content) is not None:
            return COMMITTED, pieces
        have = set(_ITEM.iter_unpack(known))
        for start in range(0, len(entry.chunks), _SLICE):
            part = memoryview(entry.chunks)[start : start + _SLICE]
            status = self._check_chunks(folder, set(_ITEM.iter_unpack(part)) - have)
            if status != COMMITTED:
                return status, 0
        self._journal.put_list(folder, entry.content, entry.chunks)
        return COMMITTED, pieces

    def _check_chunks(self, folder: int, chunks: set[tuple[bytes, int]]) -> int:
        found = self._chunks.sizes_of(folder, [digest for digest, _ in chunks])
        if len(found) < len({digest for digest, _ in chunks}):
            return CHUNKS_MISSING
        return COMMITTED if chunks == set(found.items()) else REFUSED

    def _check_chunk(self, digest: bytes, size: int) -> int:
        """A chunk that is here in another size than said makes the record one that no honest device sends."""
        found = self._sizes.get(digest)
        if found is None:
            return CHUNKS_MISSING
        return COMMITTED if found == size else REFUSED

    def _list_of(self, folder: int, row: Row) -> bytes:
        if row.pieces == 1:
            return chunk_item(row.content, row.size)
        return self._journal.chunk_list(folder, row.content) or b""

    def _check_pair(self, folder: int, before: int, creation: Answer, deletion: Answer) -> None:
        """PAIR stays only if both halves were appended by this commit, one behind the other."""
        if creation[1] > before and deletion != (COMMITTED, creation[1] + 1):
            self._journal.clear_pair(folder, creation[1])

    def _revision(self, folder: int, key: bytes) -> int:
        found = self._journal.current(folder, key)
        return found[0] if found else 0

    def _held(self, device: Device, keys: list[bytes]) -> bool:
        """Whether these deletions of a commit, renames aside, are too many. Repeats do not count."""
        live = self._journal.state(device.folder)[1]
        if not keys or not self._guard.holds(device.number, len(keys), live):
            return False
        found = (self._journal.current(device.folder, key) for key in keys)
        return self._guard.holds(device.number, sum(now is not None and now[1] != DELETED for now in found), live)

    def _note_deleted(self, device: Device, answers: list[Answer], before: int) -> None:
        """answers: those to the deletions of a commit that count."""
        deleted = sum(status == COMMITTED and seq > before for status, seq in answers)
        if deleted:
            self._guard.note(device.number, deleted)


def _deleted(records: list[Record], partners: list[bool]) -> list[int]:
    """Which records take away something that does not live on under another name."""
    return [at for at, record in enumerate(records) if record.entry.kind == DELETED and not partners[at]]


def _above(key: bytes) -> bytes:
    return key.rpartition(b"\0")[0]


def _drop_lone_pairs(records: list[Record]) -> None:
    """PAIR means something only before a deletion."""
    for at, record in enumerate(records):
        if record.entry.flags & PAIR:
            last = at + 1 == len(records)
            if last or record.entry.kind == DELETED or records[at + 1].entry.kind != DELETED:
                record.entry.flags &= ~PAIR


def _partners(records: list[Record]) -> list[bool]:
    """Of each record, whether it is the deletion that completes the rename before it."""
    return [False, *(record.entry.flags & PAIR != 0 for record in records[:-1])]
