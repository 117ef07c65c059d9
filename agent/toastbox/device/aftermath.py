"""The first start after another boot: what the disk forgot in a power cut is not taken for its owner's doing.

Only marked paths are looked at (device/unsettled.py) and core/aftermath.py decides. What is lost is noted as what it is
now, with no revision, and the cursor goes back: the next pull brings the journal's version, which replaces it. What is
neither is forgotten: the next pull finds an unknown version in the journal's place and keeps both. All of it is one
transaction, so a power cut here does no harm.
"""

from toastbox.core.aftermath import LOST, SAME, judge
from toastbox.core.entry import Entry
from toastbox.core.names import path_of
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.reading import Reader
from toastbox.device.row import NO_SIGNATURE, Row
from toastbox.device.seen import OTHER, Seen
from toastbox.device.unsettled import Mark


class Aftermath:
    """boot: boot_id() of now. sends_only: nothing is fetched here; what is lost is told to nobody, that is all."""

    def __init__(self, folder: Folder, index: Index, reader: Reader, boot: str, sends_only: bool) -> None:
        self._folder = folder
        self._index = index
        self._reader = reader
        self._boot = boot
        self._sends_only = sends_only

    def run(self) -> None:
        """Look at the marks of another boot; may be run again. Raises DeviceFailing."""
        index = self._index
        if index.get_meta("boot") == self._boot:
            return
        with index.transaction():
            again = [seq for mark in index.unsettled.marks() if (seq := self._look(mark))]
            index.set_meta("cursor", min([index.cursor, *(seq - 1 for seq in again)]))
            index.unsettled.clear()
            index.set_meta("boot", self._boot)

    def _look(self, mark: Mark) -> int:
        """Judge one path; the revision that is to be pulled again, 0 for none."""
        row = self._index.get(mark.key)
        seen = self._folder.lstat(path_of(mark.key))
        if seen is not None and seen.kind == OTHER:
            return 0
        found = None if seen is None else self._reader.entry(seen, (seen.size,))
        verdict = judge(row.entry if row else None, mark.prior, found, _is_untouched(row, seen))
        if verdict == SAME:
            return 0
        if self._sends_only and (verdict != LOST or seen is not None):
            if found is not None and seen is not None and verdict == LOST:
                self._leave(mark, row, found, seen)
            return 0
        if verdict == LOST and found is not None:
            self._index.put(found, NO_SIGNATURE)
        else:
            self._index.delete(mark.key)
        return abs(row.entry.seq) if row is not None and row.entry.seq else mark.seq

    def _leave(self, mark: Mark, row: Row | None, found: Entry, seen: Seen) -> None:
        """What is lost stays as it is, and is no news. What was deleted and is there again has no row: it gets one that
        replaces the deletion, when its owner changes it.
        """
        if row is None:
            found.seq = mark.seq
            self._index.put(found, seen.signature)
        else:
            self._index.set_signature(mark.key, seen.signature)


def _is_untouched(row: Row | None, seen: Seen | None) -> bool:
    """A row without a signature proves nothing: an edit within a tick of the clock has the same time."""
    if row is None or seen is None or row.racy:
        return False
    return (seen.inode, seen.mtime_ns) == (row.signature.inode, row.signature.mtime_ns)
