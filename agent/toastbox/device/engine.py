"""The device's loop: pull what the journal has, push what changed here, until nothing is left.

One thread, one call at a time; everything it touches is given to it (folder, index, hub, buffers), so that the
simulator can run it on fakes and stop it anywhere. Decisions are core's; this file asks for them and has them done.

    cycle:  pull pages after the cursor -> observe each path -> plan (core) -> stage -> publish -> cursor
            then scan what is dirty -> classify (core) -> propose -> note what the hub accepted
            a stale answer means: pull again, decide again
"""

import hashlib
from collections.abc import Callable, Sequence

from toastbox.core import wire
from toastbox.core.entry import FILE, Entry
from toastbox.core.ignore import IgnoreRules
from toastbox.core.names import path_of
from toastbox.device.aftermath import Aftermath
from toastbox.device.ahead import Ahead
from toastbox.device.dirty import Dirty
from toastbox.device.echo import Echo
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Clock, PeerSource, Remote
from toastbox.device.mend import Mender
from toastbox.device.publish import Publisher
from toastbox.device.pull import Puller
from toastbox.device.push import Pusher
from toastbox.device.reading import Reader
from toastbox.device.receive import PARTIAL, Receiver
from toastbox.device.recovery import Recovery
from toastbox.device.report import Report
from toastbox.device.send import Background, Proposal, Sender
from toastbox.device.storage import write_errors
from toastbox.errors import AccessDenied, DamagedData, EpochChanged, HostilePeer, HubRefused, HubUnreachable

MAX_ROUNDS = 12
IGNORE_FILE = b".toastboxignore"
MAX_IGNORE = 256 << 10
RETRIED = 512  # entries that were held back, in one batch

TWO_WAY, RECEIVE_ONLY, SEND_ONLY = "two-way", "receive-only", "send-only"


class Engine:
    """Keeps one folder in step with the hub. device_name: for conflict copies.

    buffers: three or more writable buffers of at least twice the largest chunk: windows to send, the last one to read.
    lanes: the hub on further connections, on which windows are sent beside the first. ahead_bytes: see device/ahead.py.
    hashers: threads that may hash one large file. boot: another word after each start of the machine. flusher: for
    what is flushed beside all else; without one, the background.
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
        lanes: Sequence[Remote] = (),
        ahead_bytes: int = 0,
        hashers: int = 1,
        boot: str = "",
        flusher: Background | None = None,
    ) -> None:
        self._folder = folder
        self._index = index
        self._mode = mode
        self.report = Report()
        self.rules_changed: Callable[[], None] = lambda: None
        self.dirty = Dirty(everything=True)
        self._rules = IgnoreRules("")
        changed = self.dirty.add
        self._ahead = Ahead(folder, index, remote, clock.monotonic_s, ahead_bytes if mode != SEND_ONLY else 0)
        self._mender = Mender(folder, index, remote)
        reader = Reader(folder, buffers[-1], hashers)
        publisher = Publisher(folder, index, device_name, self._hold, changed, self._doubt, clock)
        self._publisher = publisher
        index.unsettled.flush = self._flush_saves
        beside = flusher or background
        index.unsettled.begin_flush = lambda: folder.begin_flush(beside.submit)
        self._started = False
        self._aftermath = Aftermath(folder, index, reader, boot, mode == SEND_ONLY)
        self._recovery = Recovery(folder, index, publisher, reader, device_name, changed)
        self._puller = Puller(
            folder,
            index,
            remote,
            reader,
            Receiver(folder, index, remote, peers, self._ahead),
            publisher,
            background,
            self.report,
            self.dirty,
            device_name,
            clock,
            mode == SEND_ONLY,
            self._ignored,
        )
        sender = Sender(folder, [remote, *lanes], buffers[:-1], background, self._answered)
        self._pusher = Pusher(folder, index, sender, reader, clock, self.report, self._ignored, changed)

    def _hold(self, entry: Entry, reason: str) -> None:
        self._puller.hold(entry, reason)

    def _doubt(self, path: bytes) -> None:
        self._pusher.doubt(path)

    def _answered(self, proposals: list[Proposal]) -> None:
        self._pusher.answers.note(proposals)

    # --- what the agent calls

    def watched_by(self, echo: Echo) -> None:
        """Tell a watcher of what is about to be published."""
        self._publisher.echo = echo

    def start(self) -> None:
        """Take up what a crash left. Raises SafetyRefused, DeviceFailing."""
        with self._index.guarded():
            self._folder.check()
            self._recovery.run()
            self._aftermath.run()
            self._started = True
            self._load_rules()
            self._tell()

    def cycle(self, accept_deletes: bool = False) -> bool:
        """Pull and push until nothing is left, or MAX_ROUNDS. True when in step.

        Raises HubUnreachable, AccessDenied, HostilePeer, SafetyRefused, DeviceFull, DeviceFailing; what was dirty
        stays dirty then.
        """
        self._pusher.accept_deletes = accept_deletes
        with self._index.guarded():
            self._go_round()
            self._mender.mend()
            if self.in_step:
                self._drop_partials()
            self._ahead.expire()
            self._tell()
        return self.in_step

    def _go_round(self) -> None:
        for _ in range(MAX_ROUNDS):
            self._folder.forget()
            try:
                self._puller.pull()
                self._load_rules()
                again = self._push()
                if self._pusher.freed:
                    self._pusher.freed = False
                    self.retry_held()
                elif not again:
                    break
            except EpochChanged as changed:
                self._index.forget_revisions(changed.epoch)
                self.dirty.everything = True

    def _tell(self) -> None:
        """Bring the report up to date with the index."""
        report = self.report
        report.cursor, report.epoch, report.entries = self._index.cursor, self._index.epoch, len(self._index)
        report.not_applied({path_of(key): reason for key, reason, _ in self._index.held()})

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
        with self._index.guarded():
            self._pusher.confirm()

    @property
    def unsettled(self) -> bool:
        """Whether `settle` should be called some seconds after the last change."""
        return self._started and len(self._index.unsettled) > 0

    def settle(self) -> None:
        """Put on stable storage what was recorded: a power cut cannot undo it any more."""
        if self.unsettled:
            with self._index.guarded():
                self._folder.flush_all()
                with self._index.transaction():
                    self._index.unsettled.clear()

    def _flush_saves(self) -> None:
        """Before rows of what the owner saved go into the index: wherever that happens, it is about no one file."""
        with write_errors():
            self._folder.flush_all()

    @property
    def holds_deletes(self) -> bool:
        """Whether `retry_deletes` should be called in some DELETES_RETRY_S."""
        return bool(self._pusher.answers.held_back)

    def retry_deletes(self) -> None:
        """Have the deletions looked at again that the hub held for being too many in one go."""
        held = self._pusher.answers.held_back
        left = 0 if held.everything else self.report.held_deletes - len(held.paths)
        self.report.held_deletes = max(left, 0)  # those that are held again are counted again
        self.dirty.merge(held)
        self._pusher.answers.held_back.clear()

    def fetch_ahead(self) -> bool:
        """Fetch a little of what others are still uploading; whether there may be more. Nothing depends on it."""
        try:
            with self._index.guarded():
                return self._ahead.fetch()
        except (HubUnreachable, HubRefused, HostilePeer, AccessDenied, DamagedData):
            return False

    def retry_held(self) -> None:
        """Try again what could not be applied here, some at a time."""
        with self._index.guarded():
            held = self._index.held(b"", RETRIED)
            while held:
                entries = [wire.decode_entry(record, 0, len(record))[0].entry for _, _, record in held]
                self._puller.apply([entry for entry in entries if self._folder.stage.has_room(entry.size)])
                held = self._index.held(held[-1][0], RETRIED)

    # --- ignore rules

    def _ignored(self, path: bytes, is_folder: bool) -> bool:
        return self._rules.ignored(path, is_folder)

    def is_ignored_folder(self, path: bytes) -> bool:
        """For the watcher: whether a folder need not be watched."""
        return self._rules.ignored(path, True)

    def _read_rules(self) -> bytes:
        seen = self._folder.lstat(IGNORE_FILE)
        if seen is None or seen.kind != FILE:
            return b""
        descriptor = self._folder.open(IGNORE_FILE)
        try:
            return self._folder.read_at(descriptor, MAX_IGNORE, 0)
        finally:
            self._folder.close_file(descriptor)

    def _load_rules(self) -> bool:
        """Read the ignore file. Other rules than last time: everything is to be looked at again, here and there."""
        try:
            text = self._read_rules()
        except OSError:  # it is just being replaced, or cannot be read: the rules stay as they are
            self.dirty.add(IGNORE_FILE)
            return False
        digest = hashlib.sha256(text).hexdigest()
        changed = digest != self._index.get_meta("rules", hashlib.sha256(b"").hexdigest())
        if changed:
            with self._index.transaction():
                self._index.set_meta("rules", digest)
                self._index.set_meta("cursor", 0)
            self.dirty.everything = True
        self._rules = IgnoreRules(text.decode("utf-8", "replace"))
        if changed:
            self.rules_changed()
        return changed

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
        if self._pusher.answers.behind:
            self._index.set_meta("cursor", min(self._index.cursor, self._pusher.answers.behind - 1))  # never onwards
        self.report.head = max(self.report.head, self._index.cursor)
        return self._pusher.answers.again

    def _drop_partials(self) -> None:
        """Nothing is being received: what is left of broken transfers is of no use."""
        for name in self._folder.stage.names():
            if name.startswith(PARTIAL):
                self._folder.stage.remove(name)
