"""Carrying out a plan: put a batch of staged content in place, and take it up again after a crash.

The order, and why nothing is ever half (core/apply.py has the table):

    stage -> intents (transaction) -> flush -> rename into place -> rows and cursor (transaction)

The flush makes the staged bytes durable before they get their name. A row or a cursor can reach the disk before the
rename it speaks of, but never without the intent from which recovery.py finishes the work. Intents are dropped once a
flush of the whole file system has made the renames of their batch durable.
"""

import errno
import struct
from collections.abc import Callable, Sequence

from toastbox.core import wire
from toastbox.core.diff import Signature
from toastbox.core.entry import DELETED, EXECUTABLE, FILE, FOLDER, LINK, Entry
from toastbox.core.names import conflict_path, key_of, parent_of
from toastbox.core.plan import Plan
from toastbox.device.echo import Echo, Silence
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Clock
from toastbox.device.receive import PARTIAL, Target
from toastbox.device.row import NO_SIGNATURE
from toastbox.device.seen import Seen, freshness_ns, gone_name
from toastbox.device.storage import NO_ROOM, fail_on_io

FEW = 4  # staged files that are flushed one by one; more are flushed with the whole file system
MANY_INTENTS = 256
TOGETHER = 64  # files published by one call, and noted: the rows of a whole page would be a megabyte
REMOVAL = b"-"  # in place of a staged name: the path is removed
RENAME = b"="  # in place of a staged name: renamed from the path that follows
NO_WAY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # a folder above is missing, or is none
NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS)  # the file system cannot exchange names
ANOTHER_NOW = (*NO_WAY, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.EINVAL)  # its owner was at it


def pack_expected(seen: Seen | None) -> bytes:
    """What identifies a file across a restart; a rename does not alter it."""
    return b"" if seen is None else struct.pack("<QQqB", seen.inode, seen.size, seen.mtime_ns, seen.kind)


def unpack_inode(expected: bytes) -> int:
    """The inode number in what pack_expected made; 0 of nothing."""
    return int.from_bytes(expected[:8], "little")


class Publisher:
    """Publishes batches.

    held(entry, reason): called for what cannot be applied here. changed(path): a local path to be looked at again,
    because its owner's change was found there or moved there. doubt(path): it is to be confirmed that the path holds
    what its row says. device_name: for the names of conflict copies.
    """

    def __init__(
        self,
        folder: Folder,
        index: Index,
        device_name: str,
        held: Callable[[Entry, str], None],
        changed: Callable[[bytes], None],
        doubt: Callable[[bytes], None],
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._index = index
        self._device_name = device_name
        self._held = held
        self._changed = changed
        self._doubt = doubt
        self._clock = clock
        self._batch = 0
        self._intents = 0
        self._all_flushed = self._displaces = False
        self._rows: list[tuple[Entry, Seen | None]] = []
        self._unflushed: set[bytes] = set()  # paths of rows whose content or name nobody has flushed
        self._losers: set[bytes] = set()  # paths whose local version loses its place when the journal's takes it
        self.again: list[Entry] = []
        self.echo: Echo = Silence()

    def publish(self, plan: Plan, targets: list[Target], seen: dict[bytes, Seen], remote: dict[bytes, Entry]) -> None:
        """Carry out a plan whose content is staged; `commit` makes it known.

        seen: what is at each path now; remote: the entries by path. Entries whose path changed under our hands are
        left in `again`. Raises DeviceFailing.
        """
        self._batch += 1
        self._rows, self.again = [], []
        self._losers.clear()
        self._unflushed.clear()
        ready = self._ready(targets)
        self._name_anew(ready)
        for path, new_path in plan.aside:
            if path not in ready or path not in seen or seen[path].kind == FOLDER:
                self.move_aside(path, new_path, remote[path].seq)
            else:
                self._losers.add(path)
            seen.pop(path, None)
        self._intend(plan, ready, seen, remote)
        self._flush([target.name for target in ready.values()])
        self._restructure(plan, seen, remote)
        self._put_all([ready[entry.path] for entry in plan.publish if entry.path in ready], seen)
        for entry in plan.meta:
            self._attempt(entry, self._set_meta, entry, seen[entry.path])
        for entry in plan.adopt:
            self._attempt(entry, self._adopt, entry, seen.get(entry.path))

    def commit(self, cursor: int) -> None:
        """Write the rows of the batch and the cursor; on disk with the intents of the next batch, or by `settle`."""
        with self._index.joined():
            self._note_all()
            if cursor:
                self._index.set_meta("cursor", cursor)
            if self._all_flushed:
                self._index.drop_intents(self._batch)
        if self._all_flushed:
            self._intents = 0
        self._rows = []  # of no use any more, and they are as many as the batch
        self._folder.forget()
        self.echo.published()

    def _note_all(self) -> None:
        """Rows are written in this order: those that are put, those that go."""
        files: list[tuple[bytes, Entry, Signature]] = []
        for entry, seen in self._rows:
            key = key_of(entry.path)
            self._index.unhold(key)
            if entry.path in self._unflushed:
                self._index.unsettled.mark(key, entry.seq, self._index.get)
            signature = seen.proof if seen is not None else NO_SIGNATURE
            if entry.kind == FILE and not entry.chunks:
                files.append((key, entry, signature))
                if len(files) == TOGETHER:
                    self._index.put_files(files)
                    files = []
            elif entry.kind != DELETED:
                self._index.put(entry, signature)
        if files:
            self._index.put_files(files)
        for entry, seen in self._rows:
            if entry.kind == DELETED:
                self._index.delete(key_of(entry.path))
            elif seen is None:
                self._changed(entry.path)  # its owner has deleted it since: that is to be proposed
            elif seen.doubtful:
                self._doubt(entry.path)

    # --- before and up to the flush

    def _ready(self, targets: list[Target]) -> dict[bytes, Target]:
        for target in targets:
            if not target.complete:
                self._held(target.entry, target.failed or "not complete")
        return {target.entry.path: target for target in targets if target.complete}

    def _name_anew(self, ready: dict[bytes, Target]) -> None:
        """Name large files once more, as nothing else is in this run: an intent that outlives its batch must not be
        taken for one of a later transfer of the same content to the same path, which may be cut off anywhere.
        """
        for number, target in enumerate(ready.values()):
            if target.name.startswith(PARTIAL):
                name = f"new{self._batch}-{number}"
                self._folder.stage.rename(target.name, name)
                target.name = name

    def move_aside(self, path: bytes, new_path: bytes, seq: int) -> None:
        """Move a local version out of the journal's way; it is proposed under its new name.

        What the journal has below a folder that moves is looked at anew; below a file it is for this device to
        propose that it is gone.
        """
        seen = self._folder.lstat(path)
        self.rename_aside(path, new_path, seq)
        key = key_of(path)
        with self._index.transaction():
            if seen is not None and seen.kind == FOLDER:
                for below in self._index.keys_descending(key):
                    self._index.delete(below)
            self._index.delete(key)

    def rename_aside(self, path: bytes, new_path: bytes, seq: int) -> None:
        try:
            while not self._folder.move(path, new_path):
                new_path = conflict_path(new_path, self._device_name, seq)
        except OSError as error:
            if error.errno not in NO_WAY:
                raise
            self._changed(path)  # its owner took it away just now: nothing is lost
            return
        self._changed(new_path)

    def _intend(
        self, plan: Plan, ready: dict[bytes, Target], seen: dict[bytes, Seen], remote: dict[bytes, Entry]
    ) -> None:
        intents = [
            (
                t.name.encode(),
                t.seen.inode if t.seen else 0,
                record_of(t.entry),
                pack_expected(seen.get(t.entry.path)),
            )
            for t in ready.values()
        ]
        removed = [(REMOVAL, path, remote[path]) for path in plan.clear + plan.removals]
        renamed = [(RENAME + old, old, entry) for old, _, entry in plan.renames]
        for name, path, entry in removed + renamed:
            if path in seen:
                intents.append((name, seen[path].inode, record_of(entry), pack_expected(seen[path])))
        with self._index.joined():
            self._index.intend(self._batch, intents)
        self._index.settle()
        self._intents += len(intents)
        self._displaces = bool(self._losers or removed or any(intent[3] for intent in intents))

    def _flush(self, names: list[str]) -> None:
        """What will be taken out of its place passes through the stage: without its intent nobody knew whose it is."""
        self._all_flushed = len(names) > FEW or self._intents > MANY_INTENTS
        try:
            if self._all_flushed:
                self._folder.flush_all()
                return
            if names:
                self._folder.stage.flush(names)
        except OSError as error:
            self._distrust(names, ends=error.errno == errno.EIO)
            fail_on_io(error)
            raise
        if self._displaces:
            self._index.sync()

    def _distrust(self, names: list[str], ends: bool) -> None:
        """The kernel may have dropped what it could not write, and tells of it once: these bytes, still to be read
        from its memory, would pass every check and the next flush. They are fetched again; when this ends the agent,
        all that is on its way, too.
        """
        for name in self._folder.stage.names():
            if name in names or (ends and name.startswith(PARTIAL)):
                self._folder.stage.remove(name)

    # --- renames, folders, removals

    def _restructure(self, plan: Plan, seen: dict[bytes, Seen], remote: dict[bytes, Entry]) -> None:
        for path in plan.clear:
            self._attempt(remote[path], self._remove, path, seen.get(path), remote[path])
        for path in plan.folders:
            self._attempt(remote[path], self._make_folder, remote[path])
        for old, new, entry in plan.renames:
            self._rename(old, new, entry, remote[old], seen.get(old))
        for path in plan.removals:
            if self._attempt(remote[path], self._remove, path, seen.get(path), remote[path]):
                self._rows.append((remote[path], None))
        for path, replaced in plan.rmdirs:
            if self._attempt(remote[path], self._remove_folder, path, replaced, remote[path]):
                seen.pop(path, None)

    def _attempt(self, entry: Entry, step: Callable[..., bool], *arguments: object) -> bool:
        """Do one step. What the file system refuses is held back with its reason; a failing disk ends the batch."""
        try:
            return step(*arguments)
        except OSError as error:
            self._failed(entry, error)
            return False

    def _failed(self, entry: Entry, error: OSError) -> None:
        fail_on_io(error)
        if error.errno in ANOTHER_NOW:
            self._retry(entry)
        else:
            self._held(entry, "no room on this device" if error.errno in NO_ROOM else error.strerror or "refused")

    def _remove(self, path: bytes, seen: Seen | None, entry: Entry) -> bool:
        self.echo.expect(path)
        if seen is None or self._folder.remove(path, seen):
            return True
        if self._folder.stage.look(gone_name(seen.inode)) is not None:
            self.keep_copy(gone_name(seen.inode), entry)
        self._retry(entry)
        return False

    def _make_folder(self, entry: Entry) -> bool:
        self.ensure_parent(entry.path, entry.seq)
        self.echo.expect_folder(entry.path)
        self._folder.make_folder(entry.path)
        self._unflushed.add(entry.path)
        self._rows.append((entry, self._folder.lstat(entry.path)))
        return True

    def _rename(self, old: bytes, new: bytes, entry: Entry, deletion: Entry, before: Seen | None) -> None:
        """An edit made since the look moves along, and is found to be one later."""
        try:
            self.ensure_parent(new, entry.seq)
            if not self._folder.move(old, new):
                raise FileExistsError(errno.EEXIST, "taken")
        except OSError as error:
            self._failed(entry, error)
            self._failed(deletion, error)
            return
        now = self._look(new)
        if now is not None and (before is None or not now.same_file(before)):
            now.doubtful = True
        elif now is not None and (now.mtime_ns, now.flags) != (entry.mtime_ns, entry.flags & EXECUTABLE):
            now = self._with_meta(entry, now)
        self._unflushed.add(new)
        self._rows += [(entry, now), (deletion, None)]

    def _remove_folder(self, path: bytes, replaced: bool, entry: Entry) -> bool:
        self.echo.expect(path)
        if self._folder.remove_folder(path):
            if not replaced:
                self._rows.append((entry, None))
            return True
        if replaced:
            self.move_aside(path, conflict_path(path, self._device_name, entry.seq), entry.seq)
        else:
            self._rows.append((entry, None))  # something unsent is in it: it will be proposed again
            self._changed(path)
        return True

    # --- files and links

    def _put_all(self, targets: list[Target], seen: dict[bytes, Seen]) -> None:
        """What is new in one folder together, the rest one by one."""
        together: list[Target] = []
        folder = b""
        for target in targets:
            path = target.entry.path
            if path in seen or path in self._losers:
                self._attempt(target.entry, self._put, target, seen.get(path))
                continue
            above = parent_of(path)
            if together and (above != folder or len(together) >= TOGETHER):
                self._put_new(together)
                together = []
            folder = above
            together.append(target)
        if together:
            self._put_new(together)

    def _put_new(self, targets: list[Target]) -> None:
        """Files and links of one folder that has nothing of these names. What did not go by itself says why not."""
        self._expect(targets)
        looked_ns = self._clock.wall_ns()
        names, paths = [target.name for target in targets], [target.entry.path for target in targets]
        published = self._folder.publish_new(names, [target.seen for target in targets], paths)
        for target, (done, seen) in zip(targets, published, strict=True):
            if done:
                self._done(target, seen, looked_ns)
            else:
                self._attempt(target.entry, self._put, target, None)

    def _expect(self, targets: Sequence[Target]) -> None:
        self.echo.expect_files([(target.entry.path, target.seen) for target in targets if target.seen is not None])

    def _put(self, target: Target, replaces: Seen | None) -> bool:
        entry = target.entry
        self._expect([target])
        looked_ns = self._clock.wall_ns()
        try:
            takes = entry.path in self._losers
            done, seen = self._take_place(target) if takes else self._publish(target, replaces)
        except OSError:
            self._unstage(target)
            raise
        if not done:
            self._unstage(target)
            self._retry(entry)
            return False
        self._done(target, seen, looked_ns)
        return True

    def _done(self, target: Target, seen: Seen | None, looked_ns: int) -> None:
        """seen: what is at its path, None if its owner took it away already; looked_ns: the wall clock before that."""
        seen = _judged(seen, looked_ns)
        if seen is not None and seen is not target.seen and not (target.seen and seen.same_file(target.seen)):
            seen.doubtful = True
        self._rows.append((target.entry, seen))

    def _take_place(self, target: Target) -> tuple[bool, Seen | None]:
        """Exchange with whatever is at the path, which becomes a conflict copy: at no instant is the path empty."""
        entry = target.entry
        try:
            self._folder.exchange(target.name, entry.path)
        except OSError as error:
            if error.errno in NO_EXCHANGE:
                self.move_aside(entry.path, conflict_path(entry.path, self._device_name, entry.seq), entry.seq)
            elif error.errno not in NO_WAY:
                raise
            return self._publish(target, None)
        self.keep_copy(target.name, entry)
        return True, self._folder.lstat(entry.path)

    def _publish(self, target: Target, replaces: Seen | None) -> tuple[bool, Seen | None]:
        try:
            return self._folder.publish(target.name, target.entry.path, replaces)
        except OSError as error:
            if error.errno not in NO_WAY:
                raise
        self.ensure_parent(target.entry.path, target.entry.seq)
        return self._folder.publish(target.name, target.entry.path, replaces)

    def _unstage(self, target: Target) -> None:
        """Remove what could not be published. What its owner has edited while it was there is his."""
        staged = self._folder.stage.look(target.name)
        if staged is not None and target.seen is not None and staged.same_file(target.seen):
            self._folder.stage.remove(target.name)
        elif staged is not None:
            self.keep_copy(target.name, target.entry)

    def keep_copy(self, name: str, entry: Entry) -> None:
        """What has this name in the stage was found at the entry's path, and nobody has seen it: a conflict copy."""
        try:
            self._restore(name, conflict_path(entry.path, self._device_name, entry.seq), entry.seq)
        except OSError as error:
            if error.errno not in ANOTHER_NOW:
                raise
            leaf = entry.path.rpartition(b"/")[2]  # the way there is blocked: in the root there is always room
            self._restore(name, conflict_path(leaf, self._device_name, entry.seq), entry.seq)

    def _restore(self, name: str, path: bytes, seq: int) -> None:
        self.ensure_parent(path, seq)
        while not self._folder.restore_displaced(name, path):
            path = conflict_path(path, self._device_name, seq)
        self._changed(path)

    def _look(self, path: bytes) -> Seen | None:
        """What is at the path."""
        looked_ns = self._clock.wall_ns()
        return _judged(self._folder.lstat(path), looked_ns)

    def ensure_parent(self, path: bytes, seq: int) -> None:
        """Folders above a path. A file or link that its owner put in the place of one is moved aside: what the journal
        has in that folder was not seen when the folder was replaced. The rows stay: the folder is there again.
        """
        parent = parent_of(path)
        seen = self._folder.lstat(parent) if parent else None
        if not parent or (seen is not None and seen.kind == FOLDER):
            return
        self.ensure_parent(parent, seq)
        seen = self._folder.lstat(parent)
        if seen is not None and seen.kind in (FILE, LINK):
            self.rename_aside(parent, conflict_path(parent, self._device_name, seq), seq)
        self._folder.make_folder(parent)
        self._changed(parent)

    def _set_meta(self, entry: Entry, seen: Seen) -> bool:
        now = self._folder.lstat(entry.path)
        if now is None or now.signature != seen.signature:
            self._retry(entry)
            return False
        return self._adopt(entry, self._with_meta(entry, now) if seen.kind in (FILE, LINK) else now)

    def _with_meta(self, entry: Entry, seen: Seen) -> Seen | None:
        """Give a file its time and executable bit. An edit in between would lose its time: it is in doubt."""
        self._folder.set_meta(entry.path, entry.mtime_ns, bool(entry.flags & EXECUTABLE))
        now = self._folder.lstat(entry.path)
        if now is not None:
            now.doubtful = True
        return now

    def _adopt(self, entry: Entry, seen: Seen | None) -> bool:
        if entry.kind != DELETED:
            self._unflushed.add(entry.path)
        self._rows.append((entry, seen))
        return True

    def _retry(self, entry: Entry) -> None:
        """The path changed since it was looked at: decide again."""
        if entry not in self.again:
            self.again.append(entry)
        self._changed(entry.path)


def record_of(entry: Entry) -> bytes:
    """An entry without its chunk list, to be kept in the index."""
    form = wire.default_form(entry)
    return wire.encode_entry(entry, wire.ELSEWHERE if form == wire.LIST else form)


def _judged(seen: Seen | None, looked_ns: int) -> Seen | None:
    """In doubt when its time is so fresh that an edit could have it too. looked_ns: the wall clock before the look."""
    if seen is not None and seen.kind in (FILE, LINK) and freshness_ns(seen.mtime_ns, looked_ns):
        seen.doubtful = True
    return seen
