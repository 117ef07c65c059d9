"""From the journal to the folder: pages after the cursor are observed, planned, staged and published.

Two pages are on their way at once. While one is published (flush, renames, rows), the content of the next is fetched
and staged beside it, and the page after that is asked for:

    this thread   observe N+1, plan   publish N ..........   observe N+2, plan   publish N+1 ......
    background                        fetch N+1, ask N+2                         fetch N+2, ask N+3

A page that names a path of the one before waits until that is published: what is at the path would not be known.
"""

from collections.abc import Callable

from toastbox.core import wire
from toastbox.core.content import is_list_of
from toastbox.core.entry import DELETED, FOLDER, Entry
from toastbox.core.errors import WireError
from toastbox.core.names import key_of, parent_of
from toastbox.core.plan import Item, Plan, plan
from toastbox.core.splice import apply_splice
from toastbox.device.dirty import Dirty
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Clock, Remote
from toastbox.device.publish import Publisher, record_of
from toastbox.device.reading import Reader
from toastbox.device.receive import MAX_LISTED, Receiver, Target
from toastbox.device.report import Report
from toastbox.device.row import NO_SIGNATURE, UNSEEN, Row
from toastbox.device.seen import OTHER, Seen, freshness_ns
from toastbox.device.send import Background
from toastbox.device.spelling import TAKEN
from toastbox.errors import EpochChanged, HostilePeer

PAGE_ENTRIES = 1024
SHORT_ENTRIES = 256  # where memory is short: what a batch has written the kernel keeps until it is flushed
PAGE_BYTES = 1 << 18
MAX_TRIES = 3


class Page:
    """Entries of the journal; cursor: every entry up to it has been seen once these are applied."""

    def __init__(self, entries: list[Entry], cursor: int, head: int) -> None:
        self.entries = entries
        self.cursor = cursor
        self.head = head


class Batch:
    """A page on its way: what is to be done, and what is at its paths."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.items: list[Item] = []
        self.seen: dict[bytes, Seen] = {}
        self.steps = Plan()
        self.targets: list[Target] = []

    def touches(self, page: Page) -> bool:
        """Whether a path of the page is one of ours."""
        ours = {item.remote.path for item in self.items}
        return any(entry.path in ours for entry in page.entries)


class Puller:
    """Applies the journal. ignored(path, is_folder): the rules in force; dirty: where changes found here are noted."""

    def __init__(
        self,
        folder: Folder,
        index: Index,
        remote: Remote,
        reader: Reader,
        receiver: Receiver,
        publisher: Publisher,
        background: Background,
        report: Report,
        dirty: Dirty,
        device_name: str,
        clock: Clock,
        sends_only: bool,
        ignored: Callable[[bytes, bool], bool],
    ) -> None:
        self._folder = folder
        self._index = index
        self._remote = remote
        self._reader = reader
        self._receiver = receiver
        self._publisher = publisher
        self._background = background
        self._report = report
        self._dirty = dirty
        self._device_name = device_name
        self._clock = clock
        self._sends_only = sends_only
        self._ignored = ignored
        self._answer: bytes | None = None  # the page that was asked for last, None when there is no more
        self._waiting: list[Batch] = []  # begun and not published yet
        self._looked_in, self._is_there = b"", True  # the folder of the path that was looked at last

    def pull(self) -> None:
        """Apply every page after the cursor. Raises EpochChanged and what the hub, the disk or a peer makes it.

        What was fetched and cannot be published then is thrown away: a hub out of reach must not fill the disk.
        """
        try:
            self._pull_pages()
        except BaseException:
            self._discard()
            raise
        finally:
            self._index.settle()

    def _pull_pages(self) -> None:
        cursor = self._index.cursor
        self._answer = self._ask(cursor, self._index.epoch)
        staged: Batch | None = None
        while self._answer is not None:
            page = self._decode(self._answer, cursor)
            cursor = page.cursor
            self._supersede(page.entries)
            if staged is not None and staged.touches(page):
                self._finish(staged)
                staged = None
            staged = self._overlap(staged, page)
        if staged is not None:
            self._finish(staged)

    def _overlap(self, staged: Batch | None, page: Page) -> Batch:
        """Have a page fetched while the one before is published."""
        batch = self._begin(page.entries, page.cursor)
        epoch = self._index.epoch
        job = self._background.submit(lambda: self._fetch(page, epoch))
        try:
            if staged is not None:
                self._publish(staged)
        finally:
            failure = job.exception()
        if staged is not None:
            self._conclude(staged)
        if failure is not None:
            raise failure
        return batch

    def _fetch(self, page: Page, epoch: int) -> None:
        """Beside the caller, without the index: stage what was begun, and ask for the page after."""
        self._receiver.finish()
        self._answer = self._ask(page.cursor, epoch) if page.cursor < page.head else None

    def _finish(self, batch: Batch) -> None:
        self._publish(batch)
        self._conclude(batch)

    def apply(self, entries: list[Entry]) -> None:
        """Apply entries that are not of a page: those held back before."""
        if not entries:
            return
        try:
            batch = self._begin(entries, 0)
            self._receiver.finish()
            self._finish(batch)
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        while self._waiting:
            self._receiver.discard(self._waiting.pop().targets)
        self._index.settle()

    # --- asking

    def _ask(self, after: int, epoch: int) -> bytes:
        entries = SHORT_ENTRIES if self._folder.way_bytes else PAGE_ENTRIES
        return self._remote.pull(after, epoch, entries, PAGE_BYTES)

    def _decode(self, data: bytes, after: int) -> Page:
        """The answer to what was asked after a cursor. EpochChanged: the journal was put back between two answers."""
        try:
            answer = wire.decode_pull(data)
            records = list(answer.records())
        except WireError as error:
            raise HostilePeer(f"the hub's journal cannot be read: {error}") from error
        epoch = self._index.epoch
        if epoch and epoch != answer.epoch:
            raise EpochChanged(answer.epoch)
        if answer.cursor < min(after + 1, answer.head):
            raise HostilePeer("the hub's journal does not go on from where it was asked")
        if not epoch:
            self._index.set_meta("epoch", str(answer.epoch))
        self._report.head = answer.head
        return Page([self._complete(record) for record in records], answer.cursor, answer.head)

    def _complete(self, record: wire.Record) -> Entry:
        """The entry with its chunk list, where it came as a splice of one that is known here."""
        entry = record.entry
        if record.form == wire.SPLICE:
            row = self._index.get(key_of(entry.path))
            if row is not None and row.entry.seq == record.base_seq:
                self._splice(entry, self._index.list_of(row), record.splice)
        return entry

    def _splice(self, entry: Entry, base: bytes, operations: bytes) -> None:
        """Fill in the list, unless the base is not what the hub means: then the list is asked for."""
        try:
            chunks = apply_splice(base, operations, MAX_LISTED)
        except WireError:
            return
        if is_list_of(entry, chunks):
            entry.chunks, entry.listed = chunks, True

    # --- deciding

    def _begin(self, entries: list[Entry], cursor: int) -> Batch:
        """Look at the paths, decide, and begin to stage (local chunks are copied, the others asked for)."""
        batch = Batch(cursor)
        with self._index.joined():  # one look into the database for all of it
            self._looked_in, self._is_there = b"", True
            keys = [key_of(entry.path) for entry in entries]
            known = self._index.known(keys)
            for entry, key in zip(entries, keys, strict=True):
                item = self._observe(entry, key, batch.seen, known)
                if item is not None:
                    batch.items.append(item)
            batch.steps = plan(batch.items, self._device_name)
            self._decided(batch)
            wanted = [(entry, batch.seen.get(entry.path)) for entry in batch.steps.stage]
            batch.targets = self._receiver.begin(wanted)
        self._waiting.append(batch)
        return batch

    def _decided(self, batch: Batch) -> None:
        if self._sends_only:
            batch.steps = _leaving_files_alone(batch.items, batch.steps)
            self._forget_deleted(batch.items)
        self._keep(batch.steps)

    def _supersede(self, entries: list[Entry]) -> None:
        """Older entries that were held back at these paths must never be applied any more."""
        if not self._index.holds:
            return
        for entry in entries:
            record = self._index.held_record(key_of(entry.path))
            if record and wire.decode_entry(record, 0, len(record))[0].entry.seq < entry.seq:
                self._index.unhold(key_of(entry.path))

    def _observe(self, entry: Entry, key: bytes, seen: dict[bytes, Seen], known_keys: set[bytes]) -> Item | None:
        """What base and local are for an entry of the journal; None when it is not for this device.

        What was held back stays so until this is settled: the hub may go out of reach, and the cursor is beyond it.
        """
        row = self._index.get(key) if key in known_keys else None
        if row is not None and self._is_known(row.entry, entry):
            self._index.unhold(key)
            return None
        if self._ignored(entry.path, entry.kind == FOLDER):
            self._index.unhold(key)
            self._pass_over(entry, row)
            return None
        found = self._look(entry.path)
        known = found is None or (row is not None and row.signature == found.signature and row.entry.kind == found.kind)
        if not known:
            found = self._settled(entry.path)
        if found is not None and found.kind == OTHER:
            self.hold(entry, found.reason)
            return None
        base = row.entry if row is not None else None
        if found is None:
            return Item(entry, base, None)
        seen[entry.path] = found
        sizes = () if found.doubtful else (entry.size, base.size if base else -1)
        return Item(entry, base, base if known else self._reader.entry(found, sizes))

    def _is_known(self, agreed: Entry, entry: Entry) -> bool:
        """A row may have the seq of a deletion that the disk forgot, where files are only sent (aftermath.py)."""
        if agreed.seq == entry.seq:
            return agreed.kind == entry.kind or self._sends_only
        return agreed.seq > entry.seq

    def _look(self, path: bytes) -> Seen | None:
        """What is at a path. In a folder that is not there yet nothing is looked for, name by name."""
        parent = parent_of(path)
        if parent != self._looked_in:
            self._looked_in = parent
            self._is_there = not parent or self._folder.lstat(parent) is not None
        return self._folder.lstat(path) if self._is_there else None

    def _settled(self, path: bytes) -> Seen | None:
        """What is at a path that will be read, after its time has passed in which another edit could look the same.

        Who writes all the time is not waited for: what he has differs from whatever we know.
        """
        for _ in range(2):
            looked_ns = self._clock.wall_ns()
            found = self._folder.lstat(path)
            wait_ns = 0 if found is None or found.kind == FOLDER else freshness_ns(found.ctime_ns, looked_ns)
            if not wait_ns:
                return found
            self._clock.sleep(wait_ns / 1e9)
        if found is not None:
            found.doubtful = True
        return found

    def _pass_over(self, entry: Entry, row: Row | None) -> None:
        """What is ignored here. A rule may leave out a folder and not a file of the same name: one that is here cannot
        be proposed, and of one that was deleted here the journal has nothing that could be deleted.
        """
        found = self._folder.lstat(entry.path)
        if found is not None:
            if entry.kind != DELETED and not self._ignored(entry.path, found.kind == FOLDER):
                self.hold(entry, "what the hub has by this name is ignored here")
        elif row is not None and not self._ignored(entry.path, row.entry.kind == FOLDER):
            self._index.delete(row.key)

    def _keep(self, steps: Plan) -> None:
        """The local version wins: the journal's is what it is compared with, and proposed to replace."""
        for entry in steps.keep:
            key = key_of(entry.path)
            row = self._index.get(key)
            if entry.kind == DELETED:
                self._index.delete(key)
            elif row is not None:
                unseen = self._sends_only and not row.entry.same_content(entry)
                self._index.put(entry, UNSEEN if unseen or row.signature == UNSEEN else NO_SIGNATURE)
            self._index.unhold(key)
            self._dirty.add(entry.path)

    def _forget_deleted(self, items: list[Item]) -> None:
        """Where files are only sent: what was deleted here and changed elsewhere stays there. An edit beats a delete
        that had not seen it, and without its row nothing is proposed.
        """
        for item in items:
            if item.local is None and item.remote.kind != DELETED:
                self._index.delete(key_of(item.remote.path))

    def hold(self, entry: Entry, reason: str) -> None:
        """Remember an entry that cannot be applied here; it is tried again at the next start or safety pull."""
        self._index.hold(key_of(entry.path), reason, record_of(entry))

    # --- applying

    def _publish(self, batch: Batch) -> None:
        self._waiting.remove(batch)
        remote = {item.remote.path: item.remote for item in batch.items}
        self._publisher.publish(batch.steps, batch.targets, batch.seen, remote)
        self._publisher.commit(0 if self._publisher.again else batch.cursor)

    def _conclude(self, batch: Batch) -> None:
        """Count; what changed under our hands is decided again, and held in the end."""
        failed = sum(not target.complete for target in batch.targets)
        self._report.count("received", len(batch.items) - len(batch.steps.keep) - failed)
        self._report.count("conflicts", len(batch.steps.aside))
        for path, _ in batch.steps.aside:
            self._report.release(path)  # what could not be read there has another name
        for _ in range(MAX_TRIES):
            entries = self._publisher.again
            if not entries:
                return
            again = self._begin(entries, batch.cursor)
            self._receiver.finish()
            self._publish(again)
        for entry in self._publisher.again:
            self.hold(entry, TAKEN if self._folder.is_taken(entry.path) else "keeps changing while it is replaced")
        self._publisher.again = []
        if batch.cursor:
            self._index.set_meta("cursor", batch.cursor)


def _leaving_files_alone(items: list[Item], steps: Plan) -> Plan:
    """A send-only folder takes note of the journal's revisions; its own files stay, and replace them when changed."""
    kept = Plan()
    kept.adopt = [entry for entry in steps.adopt if entry.kind != DELETED]
    adopted = {entry.path for entry in kept.adopt}
    kept.keep = [item.remote for item in items if item.remote.path not in adopted]
    return kept
