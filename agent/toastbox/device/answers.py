"""What the hub said of proposals, noted in the index; and what is to be done about a refusal."""

from collections.abc import Callable

from toastbox.core import wire
from toastbox.core.diff import Signature
from toastbox.core.entry import DELETED, FILE, Entry
from toastbox.core.names import key_of, parent_of
from toastbox.device.dirty import Dirty
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.report import Report
from toastbox.device.send import Proposal

TOGETHER = 128  # files noted at once: more take memory, and hardly less time
MANY_HELD = 4_000
MANY_UNSETTLED = 4_000  # rows of answers in one transaction: after a kill they are found again by reading the files
MOST_UNSETTLED = 16_000  # the same while a flush is on its way, which committing would have to wait for


class Answers:
    """changed(path): to be looked at again.

    Of one push: again, whether to pull and decide again; behind, a revision that the hub has and this device has lost
    sight of, 0 for none. in_full: the hub does not have what we thought it has of these. held_back: deletions that it
    takes for too many in one go.
    """

    def __init__(self, folder: Folder, index: Index, report: Report, changed: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._index = index
        self._report = report
        self._changed = changed
        self._unsettled = 0
        self._files: dict[bytes, tuple[bytes, Entry, Signature]] = {}  # committed files by key, to be noted together
        self.in_full: set[bytes] = set()
        self.held_back = Dirty()
        self.begin()

    def begin(self) -> None:
        """Of another push."""
        self.again, self.behind = False, 0
        self._files.clear()

    def note(self, proposals: list[Proposal]) -> None:
        """What the hub said of a batch."""
        cursor = self._index.cursor
        with self._index.joined():
            for proposal in proposals:
                if proposal.status == wire.COMMITTED:
                    self._committed(proposal)
                    cursor += proposal.seq == cursor + 1  # our own entry need not be pulled
                else:
                    self._put_files()
                    self._refused(proposal)
            self._put_files()
            self._index.set_meta("cursor", cursor)
        self._unsettled += len(proposals)
        if self._unsettled > (MOST_UNSETTLED if self._folder.is_flushing else MANY_UNSETTLED):
            self.settle()

    def settle(self) -> None:
        self._index.settle()
        self._unsettled = 0

    def _committed(self, proposal: Proposal) -> None:
        entry, seen = proposal.entry, proposal.seen
        key = key_of(entry.path) if seen is None else seen.key
        self._index.unsettled.mark(key, proposal.seq, self._index.get)
        self.in_full.discard(entry.path)
        if seen is not None:
            entry.seq = proposal.seq
        if seen is not None and entry.kind == FILE and not entry.chunks:
            self._files[key] = key, entry, seen.proof
            if len(self._files) >= TOGETHER:
                self._put_files()
            return
        if entry.kind == DELETED or key in self._files:
            self._put_files()
        if entry.kind == DELETED or seen is None:
            self._index.delete(key)
            self._report.count("deleted")
            return
        self._index.put(entry, seen.proof)
        self._report.count("sent")

    def _put_files(self) -> None:
        """Before what comes further on: there a file may be a folder, or gone."""
        if self._files:
            self._index.put_files(list(self._files.values()))
            self._report.count("sent", len(self._files))
            self._files.clear()

    def _refused(self, proposal: Proposal) -> None:
        path, status = proposal.entry.path, proposal.status
        if status == wire.REFUSED:
            self._report.hold(path, "the hub refuses this name")
        elif status == wire.HELD:
            self._held(path)
        else:
            self._changed(path)
            self.again = True
        if status == wire.STALE:
            self._lost_sight(proposal)
        elif status == wire.NO_PARENT:
            self._index.set_revision(key_of(parent_of(path)), 0)  # to be proposed again, or found out about
            self._changed(parent_of(path) or path)
        elif status == wire.NOT_EMPTY:
            self._take_back(proposal.entry)
        elif status in (wire.BAD_SPLICE, wire.CHUNKS_MISSING):
            self.in_full.add(path)

    def _held(self, path: bytes) -> None:
        """To be proposed again once it is no more one go."""
        self._report.held_deletes += 1
        self.held_back.add(path, False)
        if len(self.held_back.paths) > MANY_HELD:
            self.held_back = Dirty(everything=True)

    def _take_back(self, folder: Entry) -> None:
        """The journal has something in this folder, new or ignored here: so the folder is there, and comes again."""
        self._index.delete(key_of(folder.path))
        self.behind = min(self.behind or folder.seq, folder.seq)

    def _lost_sight(self, proposal: Proposal) -> None:
        """A revision we should have seen already (it is below the cursor) must be asked for again."""
        if proposal.seq <= self._index.cursor:
            self.behind = min(self.behind or proposal.seq, proposal.seq)
