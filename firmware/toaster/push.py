"""What changed here: found by a walk beside the state, hashed, uploaded, proposed; deletions last and counted first."""

import gc
import hashlib
import struct

from toastbox.core.content import LIST_MARK, chunk_item, content_id
from toastbox.core.diff import merge
from toastbox.core.entry import DELETED, FILE, FOLDER, Entry
from toastbox.core.guard import too_many_deletes
from toastbox.core.names import key_of, parent_of, why_bad
from toastbox.core.splice import LITERAL
from toastbox.core.wire import COMMITTED, HELD, NO_PARENT, REFUSED, SPLICE, STALE, default_form, encode_entry
from toaster.state import Row

PIECE = 65536
APPEND_PIECE = 16384
MAX_CHUNK = 1 << 20
MAX_PIECES = 32
MAX_CUTS = 32
MIN_CUT = 16384  # content-defined chunks are no smaller, on any device
BATCH = 8
LARGE = 8 << 20
RACY_S = 2


class Found:
    """A path in the folder, for core.diff.merge."""

    __slots__ = ("folder", "key", "path")

    def __init__(self, path, folder):
        self.path = path
        self.folder = folder
        self.key = key_of(path)


class Pusher:
    def __init__(self, engine):
        self.engine = engine
        self.disk, self.state, self.remote, self.puller = engine.disk, engine.state, engine.remote, engine.puller
        self.full = set()  # paths whose splice the hub refused
        self._chunker = _native()

    def push(self):
        """Propose everything; whether something was, or was answered with stale."""
        did, after, gone, seen = False, b"", 0, 0
        while after is not None:
            batch, after, more_gone, more_seen = self._collect(after)
            gone += more_gone
            seen += more_seen
            did = self._propose(batch) or did
            gc.collect()
        if gone:
            if seen == 0 or (too_many_deletes(gone, gone + seen) and not self.engine.accept_deletes):
                self.engine.warn("%d deletions are held back: confirm them" % gone)
                return did
            did = self._delete_gone() or did
        return did

    def _merged(self, after):
        wanted = self.engine.wanted
        found = (Found(path, folder) for path, folder in self.disk.walk(after))
        for row, here in merge(self.state.rows(after), found):
            if here is not None and row is None and not wanted(here.path, here.folder):
                continue
            yield row, here

    def _collect(self, after):
        """([(path, row, is folder)], key to go on after or None, rows gone, rows or files seen)."""
        batch, gone, seen, now = [], 0, 0, self.disk.now()
        for row, here in self._merged(after):
            if here is None:
                gone += self.engine.wanted(row.entry.path, row.entry.kind == FOLDER)
                continue
            seen += 1
            if row is not None and not here.folder and row.entry.kind == FILE and row.entry.seq > 0:
                look = self.disk.look(here.path)
                if look is None or (row.sig and look[1:] == (row.entry.size, row.sig)):
                    continue
                if not row.sig and look[1] == row.entry.size and now - look[2] < RACY_S:
                    self.engine.soon = True  # its time proves nothing yet
                    continue
            elif row is not None and here.folder and row.entry.kind == FOLDER and row.entry.seq > 0:
                continue
            if here.path in self.engine.refused or why_bad(here.path):
                continue
            batch.append((here.path, row, here.folder))
            if len(batch) >= BATCH:
                return batch, here.key, gone, seen
        return batch, None, gone, seen

    def _propose(self, batch):
        """Upload and commit; rows of what was agreed."""
        changes, pieces = [], []
        for path, row, is_folder in batch:
            if not is_folder:
                change = self._read(path, row, pieces)
                if change is not None:
                    changes.append(change)
                if len(pieces) >= MAX_PIECES:
                    self._upload(pieces)
                    pieces = []
            else:
                changes.append((Entry(path, FOLDER, 0, max(row.entry.seq, 0) if row else 0), 0, b"", 0))
        self._upload(pieces)
        if not changes or self.engine.mode == "receive":
            if self.state.pending():
                self.state.commit()
            return False
        records = []
        for entry, _, splice, base in changes:
            records.append(encode_entry(entry, SPLICE if splice else default_form(entry), base, splice))
        answer = self.remote.commit(self.state.epoch, records)
        for (entry, sig, _, _), (status, seq) in zip(changes, answer.results):
            self._settle(entry, sig, status, seq)
        if self.state.pending():
            self.state.commit()
        return True

    def _settle(self, entry, sig, status, seq):
        state, path = self.state, entry.path
        if status == COMMITTED:
            if entry.kind == DELETED:
                state.drop(path)
            else:
                entry.seq = seq
                if entry.chunks or not entry.listed:
                    entry.chunks, entry.listed = b"", False
                state.put(Row(entry, sig))
                self.engine.sent += 1
        elif status == STALE:
            state.low = min(state.low or seq, seq) or 1
        elif status == NO_PARENT:
            self.parents(path)
        elif status == REFUSED:
            self.engine.refused[path] = "the hub refuses it"
        elif status == HELD:
            self.engine.warn("the hub holds deletions back: confirm them")
        else:
            self.full.add(path)

    def parents(self, path):
        """Folders above a path that is wanted while they are not: proposed on their own."""
        records, above = [], parent_of(path)
        while above:
            records.insert(0, encode_entry(Entry(above, FOLDER), 0))
            above = parent_of(above)
        if records:
            self.remote.commit(self.state.epoch, records)

    def _read(self, path, row, pieces):
        """(entry, sig, splice, base seq) of a file to be proposed; adds to pieces. None: not now, or the same."""
        look = self.disk.look(path)
        if look is None or look[0] != FILE:
            return None
        _, size, mtime = look
        sig = mtime if self.disk.now() - mtime >= RACY_S or self.disk.now() < mtime else 0
        base = row.entry if row is not None and row.entry.kind == FILE else None
        if base is not None and base.size == size and base.seq > 0 and self.puller.matches(path, base):
            if row.sig != sig and self.disk.look(path) == look:
                self.state.put(Row(base, sig))
            return None
        if self.engine.mode == "receive":
            return None
        before = len(pieces)
        entry = Entry(
            path, FILE, base.flags if base else 0, max(row.entry.seq, 0) if row else 0, mtime * 1000000000, size
        )
        splice = self._tail(path, base, entry, pieces)
        if not splice:
            if self._chunker and MIN_CUT < size <= MAX_CUTS * PIECE:
                self._cut_by_content(path, pieces)
            else:
                self._cut(path, 0, size, PIECE, pieces)
            entry.chunks = b"".join([chunk_item(piece[0], piece[1]) for piece in pieces[before:]])
            entry.content = content_id(entry.chunks, size)
            if len(entry.chunks) <= 36:
                entry.chunks = b""
        if self.disk.look(path) != look:
            del pieces[before:]
            self.engine.soon = True
            return None
        return entry, sig, splice, base.seq if base else 0

    def _tail(self, path, base, entry, pieces):
        """A splice for a log that has only grown: its head is neither read nor sent. b"" when it is none."""
        if (
            base is None
            or base.listed
            or base.seq <= 0
            or base.size >= entry.size
            or path in self.full
            or not self.engine.appends(path)
        ):
            return b""
        digest, last, count = hashlib.sha256(LIST_MARK), b"", 0
        for items in self.puller.lists(base):
            digest.update(last + items[:-36])
            last = items[-36:]
            count += len(items) // 36
        before = len(pieces)
        self._cut(path, base.size - int.from_bytes(last[32:], "little"), entry.size, APPEND_PIECE, pieces)
        new = b"".join([chunk_item(piece[0], piece[1]) for piece in pieces[before:]])
        digest.update(new)
        entry.content = digest.digest()
        entry.listed = False
        return struct.pack("<IIII", 0, count - 1, LITERAL, len(new) // 36) + new

    def _cut(self, path, start, end, piece, pieces):
        """Fixed pieces of a file: (hash, size, path, offset)."""
        while piece < MAX_CHUNK and (end - start) // piece > MAX_CUTS:
            piece *= 2
        with open(self.disk.where(path), "rb") as file:
            file.seek(start)
            while start < end:
                size = min(piece, end - start)
                digest = self.puller.hash_piece(file, size)
                if not digest:
                    return
                pieces.append((digest, size, path, start))
                start += size

    def _cut_by_content(self, path, pieces):
        """As _cut(), where every device of the folder cuts: what another has of this content is not sent again."""
        chunker, view = self._chunker, memoryview(self.remote.buffer)
        chunker.reset()
        start = size = 0
        digest = hashlib.sha256()
        with open(self.disk.where(path), "rb") as file:
            count = file.readinto(view)
            while count:
                at = 0
                while at < count:
                    end = chunker.scan(view[at:count])
                    last = count if end < 0 else at + end
                    digest.update(view[at:last])
                    size += last - at
                    at = last
                    if end >= 0:
                        pieces.append((digest.digest(), size, path, start))
                        start, size, digest = start + size, 0, hashlib.sha256()
                count = file.readinto(view)
        if size:
            pieces.append((digest.digest(), size, path, start))

    def _upload(self, pieces):
        """What of the pieces the hub lacks."""
        for first in range(0, len(pieces), MAX_PIECES):
            part = pieces[first : first + MAX_PIECES]
            bits = self.remote.missing(b"".join([piece[0] for piece in part]))
            part = [part[at] for at in range(len(part)) if bits[at // 8] >> at % 8 & 1]
            while part:
                size = count = 0
                while count < len(part) and (not count or size + part[count][1] <= LARGE):
                    size += part[count][1]
                    count += 1
                self.remote.upload(part[:count], self._bytes)
                del part[:count]

    def _bytes(self, piece):
        _, left, path, start = piece
        view = memoryview(self.remote.buffer)
        with open(self.disk.where(path), "rb") as file:
            file.seek(start)
            while left:
                count = file.readinto(view[: min(left, len(view))])
                if not count:
                    raise OSError("a file shrank while it was sent")
                yield view[:count]
                left -= count

    def _delete_gone(self):
        """Propose deletions, content before folder: the highest keys first, some at a time."""
        did = False
        if self.engine.mode == "receive":
            return did
        while True:
            last = []
            for row, here in self._merged(b""):
                if here is None and row is not None:
                    last.append((row.entry.path, max(row.entry.seq, 0)))
                    if len(last) > BATCH:
                        last.pop(0)
            if not last:
                return did
            entries = [Entry(path, DELETED, 0, seq) for path, seq in reversed(last)]
            wanted = [entry for entry in entries if self.engine.wanted(entry.path, False)]
            records = [encode_entry(entry, 0) for entry in wanted]
            settled = len(entries) - len(wanted)
            for entry in entries:
                if entry not in wanted:
                    self.state.drop(entry.path)
            if records:
                results = self.remote.commit(self.state.epoch, records, self.engine.accept_deletes).results
                for entry, (status, seq) in zip(wanted, results):
                    settled += status == COMMITTED
                    self._settle(entry, 0, status, seq)
                did = True
            if self.state.pending():
                self.state.commit()
            if not settled:
                return did


def _native():
    """The chunker as native code; None where there is none for this chip, as in Python it would take minutes."""
    try:
        from tbx_native import Chunker
    except (ImportError, ValueError):
        return None
    return Chunker()
