"""What the folder was last agreed to hold: one small file, `.toastbox/state` (docs/SPEC.md, section 11).

A sorted part, written at once and renamed into place, and behind it a log. A batch of the log counts when its mark
is there; it is written and flushed *before* what it says is done in the folder, so the last batch is looked at when
starting and finished where it was not. In memory are the offsets of some rows of the sorted part, and keys and
offsets of the log: the same for ten files or a hundred thousand.
"""

import struct
from array import array
from binascii import crc32

from toastbox.core.names import key_of
from toastbox.core.wire import ELSEWHERE, decode_entry, default_form, encode_entry

MAGIC = b"TBS1"
HEAD_SIZE = 8
ROW, GONE, MARK = 1, 2, 3
MARK_FORM = "<QQQII"
ROW_FORM = "<BIH"
ROW_SIZE = 7
RESTORED = 1  # flag of a row: its revision is of the journal before this one was restored
MOVED = 0xFFFF  # in place of a staged name: renamed from the path of the next record
MAX_OFFSETS = 48
OUT_SIZE = 512


class Row:
    """sig: mtime of the file when it was known to hold this (s; 0 proves nothing). staged: its name in the stage."""

    __slots__ = ("entry", "sig", "staged")

    def __init__(self, entry, sig=0, staged=0):
        self.entry = entry
        self.sig = sig
        self.staged = staged

    @property
    def key(self):
        return key_of(self.entry.path)


class State:
    """The file, open. cursor, epoch: into the journal. low: lowest seq that was held back, 0 none. count: rows."""

    def __init__(self, disk, log_rows=48):
        self._disk = disk
        self._name = disk.inner("state")
        self._log_rows = log_rows
        self.cursor = self.epoch = self.low = self.rules = self.clock = self.count = 0
        self.last = []  # (record of the last batch, row that was there before) in order; for recovery
        try:
            self._load()
        except OSError:
            self._write_sorted(())
            self._load()

    def close(self):
        self._file.close()

    def get(self, key):
        """The row of a key, None if there is none."""
        at = self._log.get(key)
        if at is not None:
            kind, body = self._read(at)
            return _row(body) if kind == ROW else None
        return self._find(key)

    def rows(self, after=b""):
        """Every row with a greater key, in order of key. Ends with the next commit."""
        keys = sorted([key for key in self._log if key > after])
        at = 0
        for row in self._base(after):
            key = row.key
            while at < len(keys) and keys[at] < key:
                yield from self._logged(keys[at])
                at += 1
            if at < len(keys) and keys[at] == key:
                yield from self._logged(key)
                at += 1
            else:
                yield row
        for key in keys[at:]:
            yield from self._logged(key)

    def put(self, row):
        """To be written with the next commit."""
        entry = row.entry
        self._add(ROW, key_of(entry.path), _pack(row))

    def drop(self, path):
        self._add(GONE, key_of(path), path)

    def commit(self):
        """One flush: all that was put and dropped, and the mark. Raises OSError."""
        if len(self._log) + len(self._pending) > self._log_rows and self._log:
            self._compact()
        at = self._end
        self._file.seek(at)
        for kind, key, body in self._pending:
            size = self._disk.write(self._file, _record(kind, body))
            self._log[key] = at
            at += size
        self._end = at + self._disk.write(self._file, _record(MARK, self._mark()))
        self._file.flush()
        self._pending = []

    def pending(self):
        return len(self._pending)

    def forget_revisions(self, epoch):
        """The journal was restored: every revision is of the past, the cursor begins anew."""
        self.epoch, self.cursor, self.low = epoch, 0, 0
        self._compact(forget=True)

    def _add(self, kind, key, body):
        known = self.get(key) is not None
        for pending in self._pending:
            if pending[1] == key:
                known = pending[0] == ROW
        self.count += (kind == ROW) - known
        self._pending.append((kind, key, body))

    def _mark(self):
        return struct.pack(MARK_FORM, self.epoch, self.cursor, self.low, self.rules, self._disk.now())

    def _load(self):
        self._file = file = open(self._name, "r+b")
        head = file.read(HEAD_SIZE)
        if head[:4] != MAGIC or len(head) < HEAD_SIZE:
            raise ValueError("the state file is damaged")
        self._sorted = int.from_bytes(head[4:], "little") + HEAD_SIZE
        self._offsets = array("I")
        self._stride = 8
        self._log = {}
        self._pending = []
        self.last = []
        self.count = 0
        at = HEAD_SIZE
        while at < self._sorted:
            if self.count % self._stride == 0:
                self._note(at)
            kind, body = self._read(at)
            if kind != ROW:
                raise ValueError("the state file is damaged")
            self.count += 1
            at += len(body) + 7
        self._end = at
        if self._replay(at):
            self._compact()

    def _replay(self, at):
        """Take in the log; whether it ends in a torn batch."""
        batch = []
        while True:
            kind, body = self._read(at)
            if kind == MARK:
                self.last = []
                for place, gone, path in batch:
                    key = key_of(path)
                    before = self.get(key)
                    self.last.append((place, gone, path, before))
                    self._log[key] = place
                    self.count += (not gone) - (before is not None)
                batch = []
                self.epoch, self.cursor, self.low, self.rules, self.clock = struct.unpack(MARK_FORM, body)
                self._end = at + len(body) + 7
            elif kind:
                path = body if kind == GONE else _row(body).entry.path
                batch.append((at, kind == GONE, path))
            else:
                self._file.seek(0, 2)
                return self._file.tell() != self._end
            at += len(body) + 7

    def row_at(self, place):
        return _row(self._read(place)[1])

    def _note(self, at):
        self._offsets.append(at)
        if len(self._offsets) > MAX_OFFSETS:
            self._offsets = array("I", [self._offsets[i] for i in range(0, len(self._offsets), 2)])
            self._stride *= 2

    def _read(self, at):
        """(kind, body) of the record at an offset; kind 0 where there is no whole one."""
        self._file.seek(at)
        head = self._file.read(3)
        if len(head) < 3:
            return 0, b""
        size, kind = struct.unpack("<HB", head)
        body = self._file.read(size)
        check = self._file.read(4)
        if len(check) < 4 or int.from_bytes(check, "little") != crc32(body, kind) & 0xFFFFFFFF:
            return 0, b""
        return kind, body

    def _base(self, after):
        low, high = 0, len(self._offsets)
        while low < high:
            middle = (low + high) // 2
            if _row(self._read(self._offsets[middle])[1]).key <= after:
                low = middle + 1
            else:
                high = middle
        at = self._offsets[low - 1] if low else HEAD_SIZE
        while at < self._sorted:
            _, body = self._read(at)
            at += len(body) + 7
            row = _row(body)
            if row.key > after:
                yield row

    def _find(self, key):
        for row in self._base(key[:-1] + bytes([key[-1] - 1, 255]) if key[-1] else key[:-1]):
            if row.key >= key:
                return row if row.key == key else None
        return None

    def _logged(self, key):
        kind, body = self._read(self._log[key])
        if kind == ROW:
            yield _row(body)

    def _compact(self, forget=False):
        pending = self._pending
        self._write_sorted(self.rows(), forget)
        self._file.close()
        self._disk.replace(self._name + ".new", self._name)
        count = self.count
        self._load()
        self.count, self._pending = count if pending else self.count, pending

    def _write_sorted(self, rows, forget=False):
        size = 0
        with open(self._name + ".new", "wb") as file:
            out = bytearray(HEAD_SIZE)
            self._disk.write(file, out)
            out = bytearray()
            for row in rows:
                if forget:
                    row.entry.seq = -abs(row.entry.seq)
                row.staged = 0
                out += _record(ROW, _pack(row))
                if len(out) >= OUT_SIZE:
                    size += self._disk.write(file, out)
                    out = bytearray()
            size += self._disk.write(file, out) if out else 0
            self._disk.write(file, _record(MARK, self._mark()))
            file.seek(0)
            self._disk.write(file, MAGIC + size.to_bytes(4, "little"))
        if rows == ():
            self._disk.replace(self._name + ".new", self._name)


def _record(kind, body):
    return struct.pack("<HB", len(body), kind) + body + crc32(body, kind).to_bytes(4, "little")


def _pack(row):
    entry = row.entry
    seq = entry.seq
    form = ELSEWHERE if entry.chunks else default_form(entry)
    entry.seq = abs(seq)
    body = struct.pack(ROW_FORM, RESTORED if seq < 0 else 0, row.sig, row.staged) + encode_entry(entry, form)
    entry.seq = seq
    return body


def _row(body):
    flags, sig, staged = struct.unpack_from(ROW_FORM, body, 0)
    record, _ = decode_entry(body, ROW_SIZE, len(body))
    entry = record.entry
    if flags & RESTORED:
        entry.seq = -entry.seq
    return Row(entry, sig, staged)
