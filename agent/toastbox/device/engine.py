"""The device's loop: pull what the journal has, push what changed here, until nothing is left.

One thread, one call at a time; everything it touches is given to it (folder, index, hub, buffers), so that the
simulator can run it on fakes and stop it anywhere. Decisions are core's; this file asks for them and has them done.

    cycle:  pull pages after the cursor -> observe each path -> plan (core) -> stage -> publish -> cursor
            then scan what is dirty -> classify (core) -> propose -> note what the hub accepted
            a stale answer means: pull again, decide again
"""

import hashlib

from toastbox.core import wire
from toastbox.core.content import content_id
from toastbox.core.entry import DELETED, FILE, FOLDER, Entry
from toastbox.core.ignore import IgnoreRules
from toastbox.core.names import key_of, path_of
from toastbox.core.plan import Item, Plan, plan
from toastbox.core.splice import apply_splice
from toastbox.device.dirty import Dirty
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Clock, PeerSource, Remote
from toastbox.device.publish import Echo, Publisher, record_of
from toastbox.device.push import Pusher
from toastbox.device.reading import Reader
from toastbox.device.receive import PARTIAL, Receiver
from toastbox.device.recovery import Recovery
from toastbox.device.report import Report
from toastbox.device.seen import OTHER, Seen
from toastbox.device.send import Background, Proposal, Sender
from toastbox.errors import EpochChanged

PAGE_ENTRIES = 512
PAGE_BYTES = 1 << 20
MAX_ROUNDS = 12
MAX_TRIES = 3
MAX_CHUNKS = 1 << 20
IGNORE_FILE = b".toastboxignore"
MAX_IGNORE = 256 << 10

TWO_WAY, RECEIVE_ONLY, SEND_ONLY = "two-way", "receive-only", "send-only"


class Engine:
    """Keeps one folder in step with the hub. device_name: for conflict copies.

    buffers: three writable buffers of at least twice the largest chunk: two windows to send, one to read.
    """

    def __init__(
        self,
        folder: Folder,
        index: Index,
        remote: Remote,
        clock: Clock,
        buffers: list[memoryview],
        background: Background,
        device_name: str,
        mode: str = TWO_WAY,
        peers: PeerSource | None = None,
    ) -> None:
        self._folder = folder
        self._index = index
        self._remote = remote
        self._mode = mode
        self.report = Report()
        self.dirty = Dirty(everything=True)
        self._rules = IgnoreRules("")
        self._reader = Reader(folder, buffers[2])
        self._receiver = Receiver(folder, index, remote, peers)
        self._publisher = Publisher(folder, index, device_name, self._hold, self.dirty.add)
        self._recovery = Recovery(folder, index, self._publisher, device_name, self.dirty.add)
        sender = Sender(folder, remote, buffers[:2], background, self._answered)
        self._pusher = Pusher(folder, index, sender, self._reader, clock, self.report, self._ignored, self.dirty.add)
        self._device_name = device_name

    def _answered(self, proposals: list[Proposal]) -> None:
        self._pusher.answered(proposals)

    # --- what the agent calls

    def watched_by(self, echo: Echo) -> None:
        """Tell a watcher of what is about to be published."""
        self._publisher.echo = echo

    def start(self) -> None:
        """Take up what a crash left. Raises SafetyRefused, DeviceFailing."""
        self._folder.check()
        self._recovery.run()
        self._load_rules()
        self._tell()

    def cycle(self, accept_deletes: bool = False) -> bool:
        """Pull and push until nothing is left, or MAX_ROUNDS. True when in step.

        Raises HubUnreachable, AccessDenied, HostilePeer, SafetyRefused, DeviceFull, DeviceFailing; what was dirty
        stays dirty then.
        """
        self._pusher.accept_deletes = accept_deletes
        for _ in range(MAX_ROUNDS):
            self._folder.forget()
            try:
                self._pull()
                if not self._push():
                    break
            except EpochChanged as changed:
                self._index.forget_revisions(changed.epoch)
                self.dirty.everything = True
        if self.in_step:
            self._drop_partials()
        self._tell()
        return self.in_step

    def _tell(self) -> None:
        """Bring the report up to date with the index."""
        report = self.report
        report.cursor, report.epoch, report.entries = self._index.cursor, self._index.epoch, len(self._index)
        for key, reason, _ in self._index.held():
            report.hold(path_of(key), reason)

    @property
    def in_step(self) -> bool:
        """Whether everything known of has been dealt with."""
        return not self.dirty and self.cursor >= self.report.head

    @property
    def cursor(self) -> int:
        return self._index.cursor

    @property
    def unconfirmed(self) -> bool:
        """Whether `confirm` should be called in some 30 ms."""
        return bool(self._pusher.racy)

    def confirm(self) -> None:
        """Look again at files that changed too lately to be trusted."""
        self._pusher.confirm()

    def retry_held(self) -> None:
        """Try again what could not be applied here."""
        entries = [wire.decode_entry(record, 0, len(record))[0].entry for _, _, record in self._index.held()]
        if entries:
            self._apply(entries, 0)

    # --- ignore rules

    def _ignored(self, path: bytes, is_folder: bool) -> bool:
        return self._rules.ignored(path, is_folder)

    def is_ignored_folder(self, path: bytes) -> bool:
        """For the watcher: whether a folder need not be watched."""
        return self._rules.ignored(path, True)

    def _load_rules(self) -> bool:
        """Read the ignore file. Other rules than last time: everything is to be looked at again, here and there."""
        text = b""
        seen = self._folder.lstat(IGNORE_FILE)
        if seen is not None and seen.kind == FILE:
            descriptor = self._folder.open(IGNORE_FILE)
            text = self._folder.read_at(descriptor, MAX_IGNORE, 0)
            self._folder.close_file(descriptor)
        digest = hashlib.sha256(text).hexdigest()
        changed = digest != self._index.get_meta("rules", hashlib.sha256(b"").hexdigest())
        if changed:
            with self._index.transaction():
                self._index.set_meta("rules", digest)
                self._index.set_meta("cursor", 0)
            self.dirty.everything = True
        self._rules = IgnoreRules(text.decode("utf-8", "replace"))
        return changed

    # --- pulling

    def _pull(self) -> None:
        """Apply every page of the journal after the cursor."""
        while True:
            answer = wire.decode_pull(
                self._remote.pull(self._index.cursor, self._index.epoch, PAGE_ENTRIES, PAGE_BYTES)
            )
            if self._index.epoch != answer.epoch:
                self._index.set_meta("epoch", str(answer.epoch))
            self.report.head = answer.head
            entries = [self._complete(record) for record in answer.records()]
            if entries:
                self._apply(entries, answer.cursor)
            elif answer.cursor != self._index.cursor:
                self._index.set_meta("cursor", answer.cursor)
            if answer.cursor >= answer.head:
                return

    def _complete(self, record: wire.Record) -> Entry:
        """The entry with its chunk list, where it came as a splice of one that is known here."""
        entry = record.entry
        if record.form == wire.SPLICE:
            row = self._index.get(key_of(entry.path))
            if row is not None and row.entry.seq == record.base_seq:
                chunks = apply_splice(self._index.list_of(row), record.splice, MAX_CHUNKS)
                if content_id(chunks, entry.size) == entry.content:
                    entry.chunks, entry.listed = chunks, True
        return entry

    def _apply(self, entries: list[Entry], cursor: int) -> None:
        """Apply entries; those whose path changes under our hands are decided again, then held."""
        for _ in range(MAX_TRIES):
            entries = self._apply_once(entries, cursor)
            if not entries:
                return
        for entry in entries:
            self._hold(entry, "keeps changing while it is replaced")
        if cursor:
            self._index.set_meta("cursor", cursor)

    def _apply_once(self, entries: list[Entry], cursor: int) -> list[Entry]:
        seen: dict[bytes, Seen] = {}
        items = [item for item in (self._observe(entry, seen) for entry in entries) if item is not None]
        steps = plan(items, self._device_name)
        if self._mode == SEND_ONLY:
            steps = _leaving_files_alone(items, steps)
        self._keep(steps)
        targets = self._receiver.stage([(entry, seen.get(entry.path)) for entry in steps.stage])
        self._publisher.publish(steps, targets, seen, {item.remote.path: item.remote for item in items})
        again = self._publisher.again
        if again:
            cursor = 0
        self._publisher.commit(cursor)
        self.report.count("received", len(items) - len(steps.keep))
        self.report.count("conflicts", len(steps.aside))
        if any(item.remote.path == IGNORE_FILE for item in items):
            self._load_rules()
        return again

    def _observe(self, entry: Entry, seen: dict[bytes, Seen]) -> Item | None:
        """What base and local are for an entry of the journal; None when it is not for this device."""
        row = self._index.get(key_of(entry.path))
        if row is not None and row.entry.seq == entry.seq and row.entry.kind == entry.kind:
            return None
        if self._ignored(entry.path, entry.kind == FOLDER):
            return None
        found = self._folder.lstat(entry.path)
        if found is not None and found.kind == OTHER:
            self._hold(entry, found.reason)
            return None
        local = None
        if found is not None:
            seen[entry.path] = found
            if row is not None and row.signature == found.signature and row.entry.kind == found.kind:
                local = row.entry
            else:
                local = self._reader.entry(found, (entry.size, row.entry.size if row else -1))
        return Item(entry, row.entry if row is not None else None, local)

    def _keep(self, steps: Plan) -> None:
        """The local version wins: it is proposed as the successor of the journal's."""
        for entry in steps.keep:
            self._index.set_revision(key_of(entry.path), entry.seq)
            self.dirty.add(entry.path)

    def _hold(self, entry: Entry, reason: str) -> None:
        """Remember an entry that cannot be applied here; it is tried again at the next start or safety pull."""
        self._index.hold(key_of(entry.path), reason, record_of(entry))

    # --- pushing

    def _push(self) -> bool:
        """Propose what is dirty; whether to go round again."""
        if self._mode == RECEIVE_ONLY:
            self.dirty.clear()
            return False
        if not self.dirty:
            return False
        work = Dirty()
        work.merge(self.dirty)
        if (IGNORE_FILE in work.paths | work.trees or work.everything) and self._load_rules():
            return True
        self.dirty.clear()
        try:
            self._pusher.push(work.roots(), work.everything, self._index.epoch)
        except BaseException:
            self.dirty.merge(work)
            raise
        if self._pusher.behind:
            self._index.set_meta("cursor", self._pusher.behind - 1)
        self.report.head = max(self.report.head, self._index.cursor)
        return self._pusher.again

    def _drop_partials(self) -> None:
        """Nothing is being received: what is left of broken transfers is of no use."""
        for name in self._folder.stage_names():
            if name.startswith(PARTIAL):
                self._folder.stage_remove(name)


def _leaving_files_alone(items: list[Item], steps: Plan) -> Plan:
    """A send-only folder takes note of the journal's revisions; its own files stay, and replace them when changed."""
    kept = Plan()
    kept.adopt = [entry for entry in steps.adopt if entry.kind != DELETED]
    adopted = {entry.path for entry in kept.adopt}
    kept.keep = [item.remote for item in items if item.remote.path not in adopted]
    return kept
