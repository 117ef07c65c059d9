"""The first thing a start does: finish what a crash left of the last batches (decided in core/apply.py).

Then nothing is left of the last run but whole files, and partial transfers that go on.
"""

from collections.abc import Callable

from toastbox.core import apply, wire
from toastbox.core.entry import FILE, FOLDER, Entry
from toastbox.core.names import conflict_path, key_of
from toastbox.device.folder import STAGE_NAME, Folder
from toastbox.device.index import Index
from toastbox.device.publish import REMOVAL, RENAME, Publisher, pack_expected, unpack_inode
from toastbox.device.reading import Reader
from toastbox.device.receive import PARTIAL
from toastbox.device.row import NO_SIGNATURE
from toastbox.device.seen import Seen, gone_name
from toastbox.device.storage import NO_ROOM, fail_on_io
from toastbox.errors import DeviceFull

ALL_BATCHES = 1 << 62


class Recovery:
    """Goes through the intents. changed(path): to be looked at again, because its owner's version was moved there."""

    def __init__(
        self,
        folder: Folder,
        index: Index,
        publisher: Publisher,
        reader: Reader,
        device_name: str,
        changed: Callable[[bytes], None],
    ) -> None:
        self._folder = folder
        self._index = index
        self._publisher = publisher
        self._reader = reader
        self._device_name = device_name
        self._changed = changed

    def run(self) -> None:
        """Raises DeviceFull, DeviceFailing; may be run again."""
        intents = self._index.intents()
        for name, inode, record, expected in intents:
            entry = wire.decode_entry(record, 0, len(record))[0].entry
            try:
                self._take_up(name, inode, entry, expected)
            except OSError as error:
                self._hold(entry, record, error)
        if intents:  # of a killed agent, whose renames may not be on stable storage: the power may go next
            self._folder.flush_all()
        with self._index.transaction():
            self._index.drop_intents(ALL_BATCHES)
        for left in self._folder.stage.names():
            if not left.startswith(PARTIAL):
                self._folder.stage.remove(left)

    def _take_up(self, name: bytes, inode: int, entry: Entry, expected: bytes) -> None:
        if name == REMOVAL:
            self._removal(entry, expected)
        elif name.startswith(RENAME):
            self._rename(name[1:], entry, expected)
        else:
            self._staged(name.decode(), inode, entry, expected)

    def _hold(self, entry: Entry, record: bytes, error: OSError) -> None:
        """Its owner has put something in the way: to be applied when that is gone. A row would tell of a deletion."""
        if error.errno in NO_ROOM:
            raise DeviceFull("no room to finish what was begun before the last start: free some") from error
        fail_on_io(error)
        row = self._index.get(key_of(entry.path))
        with self._index.transaction():
            if row is not None and row.entry.seq == entry.seq:
                self._index.delete(row.key)
            self._index.hold(key_of(entry.path), error.strerror or "refused", record)

    def _removal(self, entry: Entry, expected: bytes) -> None:
        self._half_removed(entry, expected)
        seen = self._folder.lstat(entry.path)
        known = self._index.get(key_of(entry.path)) is not None
        if seen is not None and apply.recover_removal(pack_expected(seen), expected, known) == apply.REMOVE:
            self._folder.remove(entry.path, seen)

    def _half_removed(self, entry: Entry, expected: bytes) -> None:
        """A file that was taken out of its place and not looked at yet: if it is not what was meant, back with it."""
        name = gone_name(unpack_inode(expected))
        staged = self._folder.stage.look(name)
        if staged is None:
            return
        if pack_expected(staged) == expected:
            self._folder.stage.remove(name)
        elif not self._folder.restore_displaced(name, entry.path):
            self._publisher.keep_copy(name, entry)

    def _rename(self, old: bytes, entry: Entry, expected: bytes) -> None:
        seen = self._folder.lstat(old)
        known = self._index.get(key_of(old)) is not None
        if seen is None or apply.recover_removal(pack_expected(seen), expected, known) != apply.REMOVE:
            return
        self._publisher.ensure_parent(entry.path, entry.seq)
        if self._folder.move(old, entry.path):
            self._index.set_signature(key_of(entry.path), NO_SIGNATURE)

    def _staged(self, name: str, inode: int, entry: Entry, expected: bytes) -> None:
        staged, present = self._folder.stage.look(name), self._folder.lstat(entry.path)
        found_inode = None if staged is None else staged.inode
        action = apply.recover(inode, found_inode, pack_expected(staged), pack_expected(present), expected)
        to_publish = action in (apply.PUBLISH, apply.SET_ASIDE)
        if action == apply.DISCARD or (to_publish and not self._is_whole(name, entry)):
            self._folder.stage.remove(name)
        elif action == apply.KEEP_COPY:
            self._publisher.keep_copy(name, entry)
        elif action == apply.SET_ASIDE:
            path = conflict_path(entry.path, self._device_name, entry.seq)
            self._publisher.move_aside(entry.path, path, entry.seq)
            self._publish(name, entry, None)
        elif action == apply.PUBLISH:
            self._publish(name, entry, present)

    def _is_whole(self, name: str, entry: Entry) -> bool:
        """Whether a staged file may be published. With the entry's row its flush was over; without, it may be torn.

        One that is not goes: without the row the cursor was not written either, and the entry comes again.
        """
        row = self._index.get(key_of(entry.path))
        if entry.kind != FILE or (row is not None and row.entry.seq == entry.seq):
            return True
        seen = self._folder.lstat(STAGE_NAME + b"/" + name.encode())
        return seen is not None and self._reader.entry(seen, (entry.size,)).content == entry.content

    def _publish(self, name: str, entry: Entry, replaces: Seen | None) -> None:
        self._publisher.ensure_parent(entry.path, entry.seq)
        if replaces is not None and replaces.kind == FOLDER:
            if not self._folder.remove_folder(entry.path):
                path = conflict_path(entry.path, self._device_name, entry.seq)
                self._publisher.move_aside(entry.path, path, entry.seq)
            replaces = None
        if self._folder.publish(name, entry.path, replaces)[0]:
            self._index.set_signature(key_of(entry.path), NO_SIGNATURE)
