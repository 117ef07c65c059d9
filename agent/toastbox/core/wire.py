"""Entries and the messages that carry them, as bytes (docs/SPEC.md, sections 2 and 4).

Everything decoded here came from a peer: every length and count is checked before it is used, and whatever is wrong
is a WireError. What has been decoded is valid: names, sizes and forms fit together.
"""

import struct

from toastbox.core.content import ITEM_SIZE, list_size
from toastbox.core.entry import DELETED, FILE, FOLDER, HASH_SIZE, LINK, PAIR, EXECUTABLE, Entry
from toastbox.core.names import MAX_PATH, why_bad

MAX_CHUNK = 1 << 20
MAX_RECORD = 32 << 20
MAX_ENTRIES = 4096
MAX_HASHES = 8192
MAX_BUNDLE = 64 << 20
MAX_TARGET = 4095
MAX_COMMIT = MAX_RECORD + (64 << 10)

NONE, CONTENT, LIST, SPLICE, TARGET, ELSEWHERE = 0, 1, 2, 3, 4, 5

COMMITTED, STALE, CHUNKS_MISSING, NO_PARENT, NOT_EMPTY, REFUSED, HELD, BAD_SPLICE = 0, 1, 2, 3, 4, 5, 6, 7

CONFIRMED_DELETES = 1

HEAD = "<IBBHQqQIB3s"
HEAD_SIZE = 40
PULL = "<4sIQQQ"
PULL_SIZE = 32
COMMIT = "<4sIQII"
COMMIT_SIZE = 24
ANSWER = "<4sIQQ"
ANSWER_SIZE = 24
RESULT_SIZE = 16
COPY_NEW = 0xFFFFFFFF


class WireError(ValueError):
    """A message that no honest peer sends."""


class Record:
    """An entry as it travels. form: see the specification; splice: operations against revision base_seq."""

    __slots__ = ("base_seq", "entry", "form", "splice")

    def __init__(self, entry: Entry, form: int, base_seq: int = 0, splice: bytes = b"") -> None:
        self.entry = entry
        self.form = form
        self.base_seq = base_seq
        self.splice = splice


def default_form(entry: Entry) -> int:
    """The form that carries all the entry holds."""
    if entry.kind == FILE:
        if entry.chunks:
            return LIST
        return CONTENT if entry.listed else ELSEWHERE
    return TARGET if entry.kind == LINK else NONE


def encode_entry(entry: Entry, form: int, base_seq: int = 0, splice: bytes = b"") -> bytes:
    """One record. The entry's seq is what the message wants: its own, or that of the revision it replaces."""
    if form == NONE:
        body = b""
    elif form == LIST:
        body = entry.content + entry.chunks
    elif form == SPLICE:
        body = entry.content + base_seq.to_bytes(8, "little") + splice
    else:
        body = entry.content
    path = entry.path
    head = struct.pack(
        HEAD,
        HEAD_SIZE - 4 + len(path) + len(body),
        entry.kind,
        entry.flags,
        len(path),
        entry.seq,
        entry.mtime_ns,
        entry.size,
        entry.device,
        form,
        b"\0\0\0",
    )
    return head + path + body


def decode_entry(data: bytes, offset: int, limit: int) -> tuple[Record, int]:
    """(record, offset behind it). limit: end of the message. Raises WireError."""
    if limit - offset < HEAD_SIZE:
        raise WireError("a record is cut off")
    length, kind, flags, path_size, seq, mtime_ns, size, device, form, pad = struct.unpack_from(HEAD, data, offset)
    end = offset + 4 + length
    start = offset + HEAD_SIZE
    if length > MAX_RECORD or end > limit or start + path_size > end:
        raise WireError("a record is longer than its message")
    if path_size > MAX_PATH or pad != b"\0\0\0" or flags & ~(EXECUTABLE | PAIR):
        raise WireError("a record has bits that mean nothing")
    path = bytes(data[start : start + path_size])
    entry = Entry(path, kind, flags, seq, mtime_ns, size, device=device)
    record = Record(entry, form)
    _decode_body(record, bytes(data[start + path_size : end]))
    _check(entry)
    return record, end


def _decode_body(record: Record, body: bytes) -> None:
    entry, form, kind = record.entry, record.form, record.entry.kind
    if form == NONE and kind in (DELETED, FOLDER):
        if body or entry.size or entry.mtime_ns:
            raise WireError("a folder or a deletion has content")
    elif form == TARGET and kind == LINK:
        if not 0 < len(body) <= MAX_TARGET or entry.size or b"\0" in body:
            raise WireError("a link has a bad target")
        entry.content = body
    elif kind == FILE and CONTENT <= form <= ELSEWHERE and form != TARGET and len(body) >= HASH_SIZE:
        entry.content = body[:HASH_SIZE]
        _decode_content(record, body)
    else:
        raise WireError("a record has a form that does not fit its kind")


def _decode_content(record: Record, body: bytes) -> None:
    entry, form = record.entry, record.form
    if form == LIST:
        entry.chunks = body[HASH_SIZE:]
        check_list(entry.chunks, entry.size)
    elif form == SPLICE:
        if len(body) < HASH_SIZE + 8:
            raise WireError("a splice is cut off")
        record.base_seq = int.from_bytes(body[HASH_SIZE : HASH_SIZE + 8], "little")
        record.splice = body[HASH_SIZE + 8 :]
        entry.listed = False
    elif len(body) != HASH_SIZE:
        raise WireError("a content id is not 32 bytes")
    elif form == ELSEWHERE:
        entry.listed = False
    elif entry.size > MAX_CHUNK:
        raise WireError("a chunk is larger than chunks may be")


def check_list(chunks: bytes, size: int) -> None:
    """Raise WireError unless this is a list of two chunks or more for a file of `size` bytes."""
    if len(chunks) % ITEM_SIZE or len(chunks) < 2 * ITEM_SIZE:
        raise WireError("a chunk list is cut off, or needless")
    for at in range(HASH_SIZE, len(chunks), ITEM_SIZE):
        if not 0 < int.from_bytes(chunks[at : at + 4], "little") <= MAX_CHUNK:
            raise WireError("a chunk is empty or larger than chunks may be")
    if list_size(chunks) != size:
        raise WireError("a chunk list does not add up to its file")


def _check(entry: Entry) -> None:
    reason = why_bad(entry.path)
    if reason:
        raise WireError(reason)


class Pull:
    """A pull answer. records(): decoded one at a time."""

    def __init__(self, data: bytes, count: int, epoch: int, cursor: int, head: int) -> None:
        self._data = data
        self.count = count
        self.epoch = epoch
        self.cursor = cursor
        self.head = head

    def records(self):  # type: ignore[no-untyped-def]
        return _records(self._data, PULL_SIZE, self.count)


class Commit:
    """A commit. records(): decoded one at a time."""

    def __init__(self, data: bytes, count: int, epoch: int, flags: int) -> None:
        self._data = data
        self.count = count
        self.epoch = epoch
        self.flags = flags

    def records(self):  # type: ignore[no-untyped-def]
        return _records(self._data, COMMIT_SIZE, self.count)


class Answer:
    """A commit answer. results: (status, seq) for each record."""

    def __init__(self, epoch: int, head: int, results: list[tuple[int, int]]) -> None:
        self.epoch = epoch
        self.head = head
        self.results = results


def _records(data: bytes, offset: int, count: int):  # type: ignore[no-untyped-def]
    for _ in range(count):
        record, offset = decode_entry(data, offset, len(data))
        yield record
    if offset != len(data):
        raise WireError("a message is longer than its records")


def encode_pull(epoch: int, cursor: int, head: int, records: list[bytes]) -> bytes:
    return struct.pack(PULL, b"TBJ1", len(records), epoch, cursor, head) + b"".join(records)


def decode_pull(data: bytes) -> Pull:
    magic, count, epoch, cursor, head = _unpack(PULL, PULL_SIZE, data)
    if magic != b"TBJ1" or count > MAX_ENTRIES + 1 or cursor > head:
        raise WireError("not a pull answer")
    return Pull(data, count, epoch, cursor, head)


def encode_commit(epoch: int, flags: int, records: list[bytes]) -> bytes:
    return struct.pack(COMMIT, b"TBC1", len(records), epoch, flags, 0) + b"".join(records)


def decode_commit(data: bytes) -> Commit:
    magic, count, epoch, flags, zero = _unpack(COMMIT, COMMIT_SIZE, data)
    if magic != b"TBC1" or not 0 < count <= MAX_ENTRIES or zero or flags & ~CONFIRMED_DELETES:
        raise WireError("not a commit")
    return Commit(data, count, epoch, flags)


def encode_answer(epoch: int, head: int, results: list[tuple[int, int]]) -> bytes:
    parts = [struct.pack(ANSWER, b"TBA1", len(results), epoch, head)]
    for status, seq in results:
        parts.append(struct.pack("<IIQ", status, 0, seq))
    return b"".join(parts)


def decode_answer(data: bytes) -> Answer:
    magic, count, epoch, head = _unpack(ANSWER, ANSWER_SIZE, data)
    if magic != b"TBA1" or count > MAX_ENTRIES or len(data) != ANSWER_SIZE + count * RESULT_SIZE:
        raise WireError("not a commit answer")
    results = []
    for at in range(ANSWER_SIZE, len(data), RESULT_SIZE):
        status, zero, seq = struct.unpack_from("<IIQ", data, at)
        if status > BAD_SPLICE or zero:
            raise WireError("a commit answer has an unknown status")
        results.append((status, seq))
    return Answer(epoch, head, results)


def _unpack(form: str, size: int, data: bytes):  # type: ignore[no-untyped-def]
    if len(data) < size:
        raise WireError("a message is cut off")
    return struct.unpack_from(form, data, 0)
