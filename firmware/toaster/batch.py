"""What a page of the journal says: planned by core, staged, written down in the state, then done in the folder.

Nothing yields between the last look at a path and its rename, so no edit falls between. What cannot be done (no
room, a name the file system refuses, changed meanwhile) is held back: `state.low` remembers from where to ask again.

Loaded by the first page, and let go of when the board is at rest.
"""

import hashlib

from toastbox.core.apply import PUBLISH, SET_ASIDE, recover, recover_removal
from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, Entry
from toastbox.core.names import conflict_path, key_of
from toastbox.core.plan import Item, plan
from toaster.http import BadPeer
from toaster.state import MOVED, Row

MAX_HELD = 32
SECOND = 10000


class Batch:
    """puller: what it belongs to."""

    def __init__(self, puller):
        self.puller, self.engine = puller, puller.engine
        self.disk, self.state, self.remote = puller.disk, puller.state, puller.remote

    def apply(self, entries, cursor):
        items, seen, room = [], {}, self.disk.free()
        self._seq = {entry.path: entry.seq for entry in entries}
        for entry in entries:
            reason = self._why_not(entry, room)
            if reason is None:
                continue
            if reason:
                self._hold(entry, reason)
                continue
            item = self._item(entry)
            seen[entry.path] = self.disk.look(entry.path)
            items.append(item)
            if entry.kind == FILE:
                room -= entry.size
        steps = plan(items, self.engine.name)
        self._rename_aside(steps, seen)
        staged = {}
        for entry in steps.stage:
            number = self.puller.first + len(staged)
            try:
                self._stage(entry, number)
                staged[entry.path] = number
            except BadPeer:
                raise
            except OSError as error:
                self.disk.discard(number)
                self._hold(entry, "no room" if error.errno == 28 else str(error))
        self._record(steps, seen, staged)
        self.state.cursor = cursor
        self.state.commit()
        if staged:
            self.puller.first = SECOND + 1 - self.puller.first
        self._do(steps, staged)

    def _why_not(self, entry, room):
        """Why an entry is held back; "" if it is not, None if this device does not want it."""
        if not self.engine.wanted(entry.path, entry.kind == FOLDER):
            return None
        if entry.kind == LINK:
            return "links cannot be kept here"
        if entry.kind == FILE and entry.size > room:
            known = self.state.get(key_of(entry.path))
            if known is None or known.entry.content != entry.content:
                return "no room"
        return ""

    def _hold(self, entry, reason):
        state, held = self.state, self.engine.held
        state.low = min(state.low or entry.seq, entry.seq)
        if len(held) < MAX_HELD:
            held[entry.path] = reason

    def _item(self, entry):
        path = entry.path
        row = self.state.get(key_of(path))
        at = path.find(b"/")
        while at > 0:
            above = self.disk.look(path[:at])
            if above is None or above[0] != FOLDER:
                return Item(entry, row and row.entry, None, path[:at] if above else b"")
            at = path.find(b"/", at + 1)
        return Item(entry, row and row.entry, self._local(path, row, entry))

    def _local(self, path, row, remote=None):
        """What is at a path now as an Entry. Content that is neither the row's nor the remote's is b""."""
        look = self.disk.look(path)
        if look is None:
            return None
        kind, size, mtime = look
        if kind == FOLDER:
            return Entry(path, FOLDER)
        base = row.entry if row is not None and row.entry.kind == FILE else None
        flags, mtime_ns = (base.flags, base.mtime_ns) if base else (0, mtime * 1000000000)
        local = Entry(path, FILE, flags & 1, 0, mtime_ns, size, b"")
        if base is not None and row.sig == mtime and row.sig and base.size == size:
            local.content = base.content
            return local
        for other in (base, remote):
            if other is not None and other.kind == FILE and other.size == size and self.puller.matches(path, other):
                local.content = other.content
                local.flags = other.flags & 1
                break
        return local

    def _stage(self, entry, number):
        """Fetch a file into the stage. Every chunk is verified; what is not right never leaves."""
        view = memoryview(self.remote.buffer)
        name = self.disk.stage(number)
        with open(name, "wb") as file:

            def take(digest, size, read):
                hashed = hashlib.sha256()
                while size:
                    count = read(view[: min(size, len(view))])
                    if not count:
                        raise BadPeer("a chunk is cut off")
                    hashed.update(view[:count])
                    self.disk.write(file, view[:count])
                    size -= count
                if hashed.digest() != digest:
                    raise BadPeer("a chunk is not what it should be")

            if entry.chunks:
                entry.chunks, entry.listed = b"", False
            for items in self.puller.lists(entry):
                self.remote.fetch(items, take)

    def _rename_aside(self, steps, seen):
        for old, new in steps.unblock:
            self._move_free(old, new, 0)
        for old, new in steps.aside:
            self._move_free(old, new, 0)
            seen[old] = None
            key = key_of(old)
            gone = [row.entry.path for row in self.state.rows(key) if row.key[: len(key) + 1] == key + b"\0"]
            for path in [old] + gone:
                self.state.drop(path)

    def _move_free(self, old, new, seq):
        while self.disk.look(new) is not None:
            new = conflict_path(new, self.engine.name, seq)
        self.disk.move(old, new)

    def _record(self, steps, seen, staged):
        """Put rows for all that will be done. What changed since it was looked at is left for later."""
        state = self.state

        def same(path):
            return self.disk.look(path) == seen.get(path, None)

        for entry in steps.adopt + steps.meta:
            if entry.kind == DELETED:
                if state.get(key_of(entry.path)) is not None:
                    state.drop(entry.path)
            else:
                self._put(entry)
        for path in steps.folders:
            state.put(Row(Entry(path, FOLDER, 0, self._seq[path])))
        for old, _, entry in steps.renames:
            row = state.get(key_of(old))
            self._put(entry, row.sig if row else 0, MOVED)
            state.drop(old)
        for path in steps.removals:
            if same(path):
                state.drop(path)
            else:
                self._hold(Entry(path, DELETED, 0, self._seq[path]), "changed meanwhile")
        for path, replaced in steps.rmdirs:
            if not replaced:
                state.drop(path)
        for entry in steps.publish:
            if entry.path in staged:
                if same(entry.path) or entry.path in self._folders(steps):
                    self._put(entry, 0, staged[entry.path])
                else:
                    self.disk.discard(staged.pop(entry.path))
                    self._hold(entry, "changed meanwhile")
        for entry in steps.keep:
            # What is here is newer: what it succeeds is noted, and the next scan proposes it.
            if entry.kind == DELETED:
                if state.get(key_of(entry.path)) is not None:
                    state.drop(entry.path)
            else:
                self._put(entry)

    def _folders(self, steps):
        return [path for path, replaced in steps.rmdirs if replaced]

    def _put(self, entry, sig=0, staged=0):
        if entry.chunks:
            entry.chunks, entry.listed = b"", False
        entry.flags &= 1
        self.state.put(Row(entry, sig, staged))

    def _do(self, steps, staged):
        disk = self.disk
        for path in steps.clear:
            disk.remove(path)
        for path in steps.folders:
            disk.make_folder(path)
        for old, new, _ in steps.renames:
            disk.move(old, new)
        for path in steps.removals:
            if self.state.get(key_of(path)) is None:
                disk.remove(path)
        for path, _ in steps.rmdirs:
            disk.remove_folder(path)
        for entry in steps.publish:
            if entry.path in staged:
                self._publish(staged[entry.path], entry)

    def _publish(self, number, entry):
        look = self.disk.look(entry.path)
        if look is not None and look[0] == FOLDER:  # something was left in the folder: it keeps its content
            self._move_free(entry.path, conflict_path(entry.path, self.engine.name, entry.seq), entry.seq)
        self.disk.publish(number, entry.path)
        self.engine.content_bytes += entry.size

    def recover(self):
        """Finish the last batch where a power cut came between the state and the folder."""
        disk, state = self.disk, self.state
        moved = None
        for place, gone, path, before in state.last:
            look = disk.look(path)
            expected = _mark(before)
            if gone:
                if moved is not None:
                    if recover_removal(_shown(look, before), expected, False) and disk.look(moved) is None:
                        disk.move(path, moved)
                    moved = None
                elif look is not None and look[0] == FOLDER and before and before.entry.kind == FOLDER:
                    disk.remove_folder(path)
                elif recover_removal(_shown(look, before), expected, False):
                    disk.remove(path)
                continue
            row = state.row_at(place)
            if 0 < row.staged < MOVED:
                self.puller.first = 1 if row.staged >= SECOND else SECOND
            if row.staged == MOVED:
                moved = path
            elif row.staged and str(row.staged) in disk.staged():
                what = recover(1, 1, b"", _shown(look, before), expected)
                if what == SET_ASIDE and look[0] != FOLDER:
                    self._move_free(path, conflict_path(path, self.engine.name, row.entry.seq), row.entry.seq)
                if what in (PUBLISH, SET_ASIDE):
                    self._publish(row.staged, row.entry)
            elif row.entry.kind == FOLDER and look is None:
                disk.make_folder(path)
        for name in disk.staged():
            disk.discard(name)


def _mark(row):
    return b"" if row is None else b"%d %d" % (row.entry.kind, row.entry.size)


def _shown(look, row):
    """What is at a path, in the form of _mark; something else when it changed since the row."""
    if look is None:
        return b""
    if row is not None and row.sig and look[0] == FILE and look[2] != row.sig:
        return b"changed"
    return b"%d %d" % (look[0], look[1])
