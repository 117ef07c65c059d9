"""Entries and the messages that carry them, as bytes (docs/SPEC.md, sections 2 and 4).

Everything decoded here came from a peer: each length and count is judged before it is used, and whatever
breaks the specification is a WireError. What has been decoded is valid: path, kind, sizes and form fit
together. What only a hub can judge (revisions, folders above, whether a list has the content id it claims
in a commit) is left to it. Records are decoded one at a time, so that a batch need not be in memory twice.
"""

import struct

from toastbox.core import content, names
from toastbox.core.entry import DELETED, EMPTY_CONTENT, EXECUTABLE, FILE, FOLDER, HASH_SIZE, LINK, PAIR, Entry
from toastbox.core.errors import WireError
from toastbox.core.splice import check_splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WireError"]  # named here for mypy; nothing imports *

MAX_PATH = names.MAX_PATH
MAX_CHUNK = content.MAX_CHUNK
check_list = content.check_list
MAX_RECORD = 32 << 20
MAX_ENTRIES = 4096
MAX_HASHES = 8192
MAX_BUNDLE = 64 << 20
MAX_TARGET = 4095
MAX_COMMIT = MAX_RECORD + (64 << 10)
NUMBER_BITS = 63  # seqs and sizes are kept in signed numbers

# Forms of a record's body.
NONE, CONTENT, LIST, SPLICE, TARGET, ELSEWHERE = 0, 1, 2, 3, 4, 5

# What the hub says of a proposal.
COMMITTED, STALE, CHUNKS_MISSING, NO_PARENT, NOT_EMPTY, REFUSED, HELD, BAD_SPLICE = 0, 1, 2, 3, 4, 5, 6, 7

CONFIRMED_DELETES = 1  # flag of a commit

# A record's head; the three zero bytes are read as one number with the form.
HEAD = "<IBBHQqQII"
HEAD_SIZE = 40
PULL = "<4sIQQQ"
PULL_SIZE = 32
COMMIT = "<4sIQII"
COMMIT_SIZE = 24
ANSWER = "<4sIQQ"
ANSWER_SIZE = 24
RESULT = "<IIQ"
RESULT_SIZE = 16


class Record:
    """An entry as it travels. form: of its body; splice: operations on the list of revision base_seq."""

    __slots__ = ("base_seq", "entry", "form", "splice")

    def __init__(self, entry: Entry, form: int, base_seq: int = 0, splice: bytes = b"") -> None:
        self.entry = entry
        self.form = form
        self.base_seq = base_seq
        self.splice = splice


# --- one record


def default_form(entry: Entry) -> int:
    """The form that carries all that the entry holds."""
    if entry.kind == FILE:
        if entry.chunks:
            return LIST
        return CONTENT if entry.listed else ELSEWHERE
    return TARGET if entry.kind == LINK else NONE


def encode_entry(entry: Entry, form: int, base_seq: int = 0, splice: bytes = b"") -> bytes:
    """One record. In a commit entry.seq is the revision it replaces. The entry is taken to be valid."""
    body = entry.content
    if form == LIST:
        body += entry.chunks
    elif form == SPLICE:
        body += base_seq.to_bytes(8, "little") + splice
    seq, mtime_ns, size, device = entry.seq, entry.mtime_ns, entry.size, entry.device
    return encode_fields(entry.path, entry.kind, entry.flags, seq, mtime_ns, size, device, form, body)


def encode_fields(
    path: bytes, kind: int, flags: int, seq: int, mtime_ns: int, size: int, device: int, form: int, body: bytes
) -> bytes:
    """One record of an entry that is not made for it."""
    length = HEAD_SIZE - 4 + len(path) + len(body)
    return struct.pack(HEAD, length, kind, flags, len(path), seq, mtime_ns, size, device, form) + path + body


def decode_entry(data: bytes, offset: int, limit: int) -> tuple[Record, int]:
    """(record, offset behind it). limit: where the message ends. Raises WireError."""
    start = offset + HEAD_SIZE
    if start > limit:
        raise WireError("a record is cut off")
    length, kind, flags, path_size, seq, mtime_ns, size, device, form = struct.unpack_from(HEAD, data, offset)
    end = offset + 4 + length
    body = start + path_size
    if length > MAX_RECORD or end > limit or body > end:
        raise WireError("a record is longer than its message")
    if flags & ~(EXECUTABLE | PAIR) or form > ELSEWHERE:
        raise WireError("a record has bits that mean nothing")
    path = bytes(data[start:body])
    reason = names.why_bad(path)
    if reason:
        raise WireError(reason)
    entry = Entry(path, kind, flags, seq, mtime_ns, size, bytes(data[body:end]), b"", device)
    record = Record(entry, form)
    if form == CONTENT and kind == FILE:
        _check_one_chunk(entry)
    else:
        _check_body(record)
    return record, end


def _check_one_chunk(entry: Entry) -> None:
    if len(entry.content) != HASH_SIZE:
        raise WireError("a content id is not 32 bytes")
    if entry.size > MAX_CHUNK or (entry.size == 0) != (entry.content == EMPTY_CONTENT):
        raise WireError("a size does not fit its content")


def _check_body(record: Record) -> None:
    """All but files of one chunk. entry.content holds the whole body until here."""
    entry, form, kind = record.entry, record.form, record.entry.kind
    if kind == FILE:
        _check_chunks(record)
        return
    if entry.size or entry.flags & EXECUTABLE:
        raise WireError("only files have a size and an executable bit")
    if kind == LINK:
        if form != TARGET or not 0 < len(entry.content) <= MAX_TARGET or b"\0" in entry.content:
            raise WireError("a link has no good target")
    elif kind not in (DELETED, FOLDER) or form != NONE or entry.content or entry.mtime_ns:
        raise WireError("a folder or deletion has more than a path")
    elif kind == DELETED and entry.flags:
        raise WireError("a deletion has flags")


def _check_chunks(record: Record) -> None:
    """A file of several chunks: splits the body into content id and the rest."""
    entry, form = record.entry, record.form
    body = entry.content
    entry.content = body[:HASH_SIZE]
    if len(body) < HASH_SIZE or entry.size < 2:
        raise WireError("a file of several chunks is cut off")
    if form == LIST:
        entry.chunks = body[HASH_SIZE:]
        check_list(entry.chunks, entry.size)
        return
    entry.listed = False
    if form == SPLICE and len(body) >= HASH_SIZE + 8:
        record.base_seq = int.from_bytes(body[HASH_SIZE : HASH_SIZE + 8], "little")
        record.splice = body[HASH_SIZE + 8 :]
        check_splice(record.splice)
    elif form != ELSEWHERE or len(body) != HASH_SIZE:
        raise WireError("a file has a form that does not fit it")


# --- messages


class Pull:
    """A pull answer. cursor: every entry up to it has been seen; head: the journal's last."""

    def __init__(self, data: bytes, count: int, epoch: int, cursor: int, head: int) -> None:
        self._data = data
        self.count = count
        self.epoch = epoch
        self.cursor = cursor
        self.head = head

    def records(self) -> "Iterator[Record]":
        """Each record, in order of seq. Raises WireError at the first that is not right."""
        last = 0
        for record in _records(self._data, PULL_SIZE, self.count):
            entry = record.entry
            if not last < entry.seq <= self.cursor:
                raise WireError("entries are not in the order of the journal")
            if entry.size >> NUMBER_BITS:
                raise WireError("a file is larger than files can be")
            if entry.chunks and content.content_id(entry.chunks, entry.size) != entry.content:
                raise WireError("a chunk list does not have its content id")
            last = entry.seq
            yield record


class Commit:
    """A commit. flags: CONFIRMED_DELETES."""

    def __init__(self, data: bytes, count: int, epoch: int, flags: int) -> None:
        self._data = data
        self.count = count
        self.epoch = epoch
        self.flags = flags

    def records(self) -> "Iterator[Record]":
        """Each record. Raises WireError at the first that is not right."""
        for record in _records(self._data, COMMIT_SIZE, self.count):
            if record.form == ELSEWHERE:
                raise WireError("a proposal without its chunk list")
            yield record


class Answer:
    """A commit answer. results: (status, seq) of each record."""

    def __init__(self, epoch: int, head: int, results: list[tuple[int, int]]) -> None:
        self.epoch = epoch
        self.head = head
        self.results = results


def encode_pull(epoch: int, cursor: int, head: int, records: list[bytes]) -> bytes:
    """A pull answer of encoded records."""
    return struct.pack(PULL, b"TBJ1", len(records), epoch, cursor, head) + b"".join(records)


def decode_pull(data: bytes) -> Pull:
    """Raises WireError; what is wrong with records is found when they are asked for."""
    _check_size(data, PULL_SIZE)
    magic, count, epoch, cursor, head = struct.unpack_from(PULL, data, 0)
    # One more than asked for may come, the partner of a rename.
    if magic != b"TBJ1" or count > MAX_ENTRIES + 1 or cursor > head or head >> NUMBER_BITS:
        raise WireError("not a pull answer")
    _check_count(data, PULL_SIZE, count)
    return Pull(data, count, epoch, cursor, head)


def encode_commit(epoch: int, flags: int, records: list[bytes]) -> bytes:
    """A commit of encoded records."""
    return struct.pack(COMMIT, b"TBC1", len(records), epoch, flags, 0) + b"".join(records)


def decode_commit(data: bytes) -> Commit:
    """Raises WireError; what is wrong with records is found when they are asked for."""
    _check_size(data, COMMIT_SIZE)
    magic, count, epoch, flags, zero = struct.unpack_from(COMMIT, data, 0)
    if magic != b"TBC1" or not 0 < count <= MAX_ENTRIES or zero or flags & ~CONFIRMED_DELETES:
        raise WireError("not a commit")
    _check_count(data, COMMIT_SIZE, count)
    return Commit(data, count, epoch, flags)


def encode_answer(epoch: int, head: int, results: list[tuple[int, int]]) -> bytes:
    """A commit answer. results: (status, seq) of each record."""
    parts = [struct.pack(ANSWER, b"TBA1", len(results), epoch, head)]
    parts += [struct.pack(RESULT, status, 0, seq) for status, seq in results]
    return b"".join(parts)


def decode_answer(data: bytes) -> Answer:
    """Raises WireError."""
    _check_size(data, ANSWER_SIZE)
    magic, count, epoch, head = struct.unpack_from(ANSWER, data, 0)
    if magic != b"TBA1" or count > MAX_ENTRIES or len(data) != ANSWER_SIZE + count * RESULT_SIZE:
        raise WireError("not a commit answer")
    results = []
    for at in range(ANSWER_SIZE, len(data), RESULT_SIZE):
        status, zero, seq = struct.unpack_from(RESULT, data, at)
        if status > BAD_SPLICE or zero or seq >> NUMBER_BITS:
            raise WireError("a commit answer has an unknown status or seq")
        results.append((status, seq))
    return Answer(epoch, head, results)


def _check_size(data: bytes, least: int) -> None:
    if len(data) < least:
        raise WireError("a message is cut off")


def _check_count(data: bytes, offset: int, count: int) -> None:
    """The shortest record is a head and a path of one byte."""
    if len(data) - offset < count * (HEAD_SIZE + 1):
        raise WireError("a message is shorter than its records")


def _records(data: bytes, offset: int, count: int) -> "Iterator[Record]":
    for _ in range(count):
        record, offset = decode_entry(data, offset, len(data))
        yield record
    if offset != len(data):
        raise WireError("a message is longer than its records")
