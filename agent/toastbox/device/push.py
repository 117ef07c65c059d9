"""From a look at the folder to proposals: what changed here since the last agreement with the hub.

A folder that shows the sum that its rows have (native/sums.py) is unchanged: of a million unchanged files none comes
to Python. Of the others the rows and the names come in the same order and are merged. A folder that is new is walked
with all below it. A path that could not be looked at, is ignored or is held back hides everything below it, which is
never taken for a deletion. Deletions go last, after they have been counted: a folder that has emptied itself is not
believed (core/guard.py).
"""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator

from toastbox.core import diff
from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, PAIR, Entry
from toastbox.core.guard import too_many_deletes
from toastbox.core.names import key_of, parent_of, path_of, why_bad
from toastbox.device.answers import Answers
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Clock
from toastbox.device.reading import Reader
from toastbox.device.report import Report
from toastbox.device.row import UNSEEN, Row
from toastbox.device.seen import OTHER, Seen, freshness_ns
from toastbox.device.send import CHUNK_MAX, SMALL, FileChanged, Proposal, Sender
from toastbox.errors import SafetyRefused
from toastbox.native.sums import Sum

_log = logging.getLogger(__name__)
MAX_TARGET = 4095
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
ANOTHER_NOW = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EINVAL)  # its owner was at it
MANY_GONE = 20_000  # deletions remembered from one scan; more are found by looking again
LARGE = 2 * CHUNK_MAX  # may be read in more than one piece: one too fresh to be trusted is waited for, or it is torn
MANY_SMALL = 128
MANY_RACY = 1_000


class Pusher:
    """Scans and proposes. ignored(path, is_folder): the rules in force. changed(path): to be looked at again."""

    def __init__(
        self,
        folder: Folder,
        index: Index,
        sender: Sender,
        reader: Reader,
        clock: Clock,
        report: Report,
        ignored: Callable[[bytes, bool], bool],
        changed: Callable[[bytes], None],
    ) -> None:
        self._folder = folder
        self._index = index
        self._sender = sender
        self._reader = reader
        self._clock = clock
        self._report = report
        self._ignored = ignored
        self._changed = changed
        self._gone: list[bytes] = []
        self._gone_count = 0
        self._hidden: bytes | None = None
        self._unlisted: bytes | None = None  # all that begins with this is in a folder that cannot be listed
        self._seen_any = False
        self._was_filled = False  # this run has seen something in the folder: it can only have been emptied since
        self.racy: dict[bytes, None] = {}
        self._small: list[Proposal] = []  # small files of one folder, to be read together
        self._small_in = b""
        self._looked_ns = 0  # the wall clock before that
        self.answers = Answers(folder, index, report, changed)
        self.freed = False
        self.accept_deletes = False

    def push(self, roots: Iterable[tuple[bytes, bool]], everything: bool, epoch: int) -> None:
        """Propose what changed at these paths; `answers` says what became of it.

        freed: what was in the way of something that is held back is gone.
        Raises SafetyRefused (nothing was deleted), DeviceFailing, and what the hub raises.
        """
        self._folder.check()
        self._gone, self._gone_count, self._hidden = [], 0, None
        self.freed = False
        self.answers.begin()
        self._small.clear()
        self._sender.epoch = epoch
        self._sender.flags = int(self.accept_deletes)
        try:
            if everything:
                self._scan_all()
            else:
                for path, tree in roots:
                    self._scan_one(path, tree)
            self._read_small()
            self._sender.finish()
            if self._gone_count:
                self._delete(everything)
        except BaseException:
            self._sender.abandon()
            raise
        finally:
            self._folder.end_looking()
            self.answers.settle()

    # --- scanning

    def _scan_all(self) -> None:
        self._report.count("scans")
        self._report.forget_reasons()
        self._report.held_deletes = 0
        self._was_filled, self._seen_any = self._was_filled or self._seen_any, False
        self._scan_tree(b"")
        if not self._seen_any and not self._was_filled and len(self._index) and not self.accept_deletes:
            raise SafetyRefused(
                "the folder is empty but was not: nothing is deleted; if you emptied it, use --accept-deletes"
            )

    def _scan_one(self, path: bytes, tree: bool) -> None:
        self._hidden = None
        if self._is_hidden(path):
            return
        row, seen = self._index.get(key_of(path)), self._folder.lstat(path)
        if seen is None:
            self._report.release_below(path)
            self.freed = self.freed or bool(self._index.why_held(key_of(path)))
            if row is None:
                return
        else:
            self._scan_parents(path)
        self._visit(row, seen)
        was_folder = row is not None and row.entry.kind == FOLDER
        is_folder = seen is not None and seen.kind == FOLDER
        if (tree or not (was_folder and is_folder)) and (was_folder or is_folder) and self._hidden is None:
            if was_folder and is_folder:
                self._scan_tree(key_of(path))
            else:
                walk = self._folder.walk(path, self._enter) if is_folder else iter(())
                self._compare(self._index.rows(key_of(path)), walk)

    def _scan_tree(self, top: bytes) -> None:
        """Look at a folder that is known, and at all known ones below it."""
        self._unlisted = None
        for folders in self._index.folders(top):
            found = self._folder.sums([path_of(key) for key, _ in folders], self._index.sum_key)
            for (key, known), now in zip(folders, found, strict=True):
                if now.total == known and not now.error and not now.foreign:
                    self._seen_any = self._seen_any or now.names > 0
                elif not self._is_unlisted(key) and not self._is_hidden(path_of(key) + b"/"):
                    self._scan_folder(key, now)

    def _scan_folder(self, folder: bytes, now: Sum) -> None:
        """Look at everything in one folder, and at all below those that are new."""
        path = path_of(folder)
        there = self._folder.lstat(path) if folder and now.error in NOT_THERE else None
        if now.foreign or (there is not None and there.kind == OTHER):
            self._unlisted = folder + b"\0"
            self._report.hold(path, there.reason if there is not None else "on another file system")
            return
        gone = now.error in NOT_THERE and (there is None or there.kind != FOLDER)
        self._hidden, known = None, False
        for row, seen in diff.merge(self._index.children(folder), iter(()) if gone else self._folder.children(path)):
            known = True
            self._visit(row, seen)
            is_new = seen is not None and seen.kind == FOLDER and (row is None or row.entry.kind != FOLDER)
            if is_new and seen is not None and self._hidden is None:
                self._compare(self._index.rows(seen.key), self._folder.walk(seen.path, self._enter))
        if self._hidden == folder + b"\0":
            self._unlisted = self._hidden
        elif gone and not known:
            self._index.forget_folder(folder)

    def _is_unlisted(self, key: bytes) -> bool:
        """Whether a folder above could not be listed: what is below it may be there all the same."""
        return self._unlisted is not None and key.startswith(self._unlisted)

    def _scan_parents(self, path: bytes) -> None:
        """The journal wants folders before what is in them."""
        parent = parent_of(path)
        if parent and self._index.get(key_of(parent)) is None:
            self._scan_parents(parent)
            self._visit(None, self._folder.lstat(parent))

    def _is_hidden(self, path: bytes) -> bool:
        """Whether a folder above the path is ignored or cannot be synced."""
        parent = parent_of(path)
        while parent:
            if self._ignored(parent, True) or why_bad(parent):
                return True
            parent = parent_of(parent)
        return False

    def _enter(self, seen: Seen) -> bool:
        return not self._ignored(seen.path, True) and not why_bad(seen.path)

    def _compare(self, rows: Iterator[Row], walk: Iterator[Seen]) -> None:
        for row, seen in diff.merge(rows, walk):
            self._visit(row, seen)

    def _visit(self, row: Row | None, seen: Seen | None) -> None:
        key = row.key if row is not None else seen.key if seen is not None else b""
        if self._hidden is not None and key.startswith(self._hidden):
            return
        self._hidden = None
        path = seen.path if seen is not None else path_of(key)
        self._seen_any = self._seen_any or seen is not None
        reason = self._why_not(path, seen)
        if reason is not None:
            self._hidden = key + b"\0"
            if reason:
                self._report.hold(path, reason)
        elif seen is None:
            self._note_gone(key)
        else:
            self._report.release(path)
            self._propose(row, seen)

    def _why_not(self, path: bytes, seen: Seen | None) -> str | None:
        """Why a path is left alone ("" when it is ignored), or None."""
        if seen is not None and seen.kind == OTHER:
            return seen.reason
        if self._ignored(path, seen is not None and seen.kind == FOLDER):
            return ""
        return why_bad(path) or None

    # --- proposing

    def _propose(self, row: Row | None, seen: Seen) -> None:
        code = diff.classify(row, seen)
        if code == diff.UNCHANGED:
            return
        held = self._index.why_held(seen.key)
        if held:
            self._report.hold(seen.path, held)
            return
        if code == diff.KIND_CHANGED and row is not None and row.entry.kind == FOLDER:
            self._propose_deletions(self._index.keys_descending(row.key))
        replaced = max(row.entry.seq, 0) if row is not None else 0
        proposal = Proposal(Entry(seen.path, seen.kind, seen.flags, replaced), seen, row)
        try:
            self._propose_change(proposal, seen)
        except (FileChanged, OSError) as error:
            self._not_read(proposal, error)

    def _not_read(self, proposal: Proposal, error: Exception) -> None:
        path = proposal.entry.path
        if not isinstance(error, OSError) or error.errno in ANOTHER_NOW:
            self._changed(path)
        else:
            self._report.hold(path, f"cannot be read: {error.strerror}")
            if error.errno == errno.EIO:
                _log.warning("%r cannot be read: check this device's disk", path.decode("utf-8", "backslashreplace"))

    def _propose_change(self, proposal: Proposal, seen: Seen) -> None:
        row = proposal.row
        if seen.kind == FILE and seen.size <= SMALL:
            self._collect(proposal)
        elif seen.kind == FOLDER:
            if row is None or row.entry.kind != FOLDER or row.entry.seq <= 0:
                self._add(proposal)
        elif seen.kind == LINK:
            self._propose_link(proposal, seen)
        elif not self._propose_rename(proposal, seen):
            self._propose_file(proposal, seen)

    def _add(self, proposal: Proposal) -> None:
        """Files that wait to be read go first: they may be in the folder that is deleted next."""
        self._read_small()
        self._sender.add(proposal)

    def _base_of(self, row: Row | None) -> bytes:
        """The chunk list that the hub has of the revision to be replaced, b"" for none."""
        if row is None or row.entry.kind != FILE or row.entry.seq <= 0 or row.entry.path in self.answers.in_full:
            return b""
        return self._index.list_of(row)

    def _propose_file(self, proposal: Proposal, seen: Seen) -> None:
        if seen.size > LARGE:
            self._clock.sleep(freshness_ns(seen.ctime_ns, self._clock.wall_ns()) / 1e9)
        proposal.base_chunks = self._base_of(proposal.row)
        self._looked_ns = self._clock.wall_ns()
        self._sender.add_file(proposal, self._is_wanted)

    def _is_wanted(self, proposal: Proposal) -> bool:
        """Of a file that was read."""
        if proposal.seen is not None:
            self._judge(proposal.seen, self._looked_ns)
        return proposal.row is None or self._is_news(proposal)

    def _propose_link(self, proposal: Proposal, seen: Seen) -> None:
        proposal.seen = seen = self._look_again(seen)
        entry = proposal.entry
        entry.content = self._folder.readlink(seen.path)
        entry.mtime_ns = seen.mtime_ns
        if not 0 < len(entry.content) <= MAX_TARGET:
            self._report.hold(seen.path, "the link's target is too long")
        elif self._is_news(proposal):
            self._add(proposal)

    # --- small files

    def _collect(self, proposal: Proposal) -> None:
        """Have a small file read with others of its folder."""
        parent = parent_of(proposal.entry.path)
        if parent != self._small_in:
            self._read_small()
            self._small_in = parent
        self._small.append(proposal)
        if len(self._small) >= MANY_SMALL:
            self._read_small()

    def _read_small(self) -> None:
        if not self._small:
            return
        small, self._small = self._small, []
        known = self._index.known_inodes([each.seen.inode for each in small if each.seen is not None])
        rest = [each for each in small if each.seen is None or each.seen.inode not in known or not self._renamed(each)]
        for each in rest:
            if each.row is not None:
                each.base_chunks = self._base_of(each.row)
        self._looked_ns = self._clock.wall_ns()
        self._sender.add_small(rest, self._is_wanted, self._not_read)

    def _renamed(self, proposal: Proposal) -> bool:
        """Whether there is nothing to be read of it."""
        try:
            return proposal.seen is not None and self._propose_rename(proposal, proposal.seen)
        except (FileChanged, OSError) as error:
            self._not_read(proposal, error)
            return True

    def _is_news(self, proposal: Proposal) -> bool:
        """Whether the hub would learn something; if not, only the signature is brought up to date."""
        row, entry, seen = proposal.row, proposal.entry, proposal.seen
        if row is None or seen is None or not row.entry.same_content(entry) or row.entry.seq <= 0:
            return True
        if row.entry.mtime_ns != entry.mtime_ns and row.signature.mtime_ns != entry.mtime_ns:
            return True
        with self._index.joined():
            self._index.unsettled.mark(row.key, row.entry.seq, self._index.get)
            self._index.set_signature(row.key, seen.proof)
        return False

    def _propose_rename(self, proposal: Proposal, seen: Seen) -> bool:
        """Whether the file is one that had another path: then nothing is read, and nothing sent twice."""
        for old in self._index.by_inode(seen.inode):
            known = old.signature
            if old.key == seen.key:
                continue
            now = self._folder.lstat(old.entry.path)
            if now is not None and now.inode == seen.inode and now.signature != known:
                self._changed(old.entry.path)  # another name of the same file: the watcher was told of one only
                self.answers.again = True
            same = known.size == seen.size and known.mtime_ns == seen.mtime_ns and old.entry.seq > 0
            if not same or now is not None:
                continue
            proposal.seen = self._look_again(seen)
            entry = proposal.entry
            entry.flags |= PAIR
            entry.mtime_ns, entry.size = old.entry.mtime_ns, old.entry.size
            entry.content, entry.chunks = old.entry.content, self._index.chunks_of(old.entry.content)
            self._add(proposal)
            self._sender.add(Proposal(Entry(old.entry.path, DELETED, seq=old.entry.seq), None))
            return True
        return False

    # --- deletions

    def _note_gone(self, key: bytes) -> None:
        self._gone_count += 1
        if len(self._gone) < MANY_GONE:
            self._gone.append(key)

    def _delete(self, everything: bool) -> None:
        """Propose the deletions, content before folders, unless they are too many to be believed."""
        if self._gone_count > len(self._gone):
            keys: Iterable[bytes] = self._index.keys_descending(b"")
        else:
            keys = sorted(self._gone, reverse=True)
        live, count = len(self._index), self._count_gone()
        if too_many_deletes(count, live) and not self.accept_deletes:
            self._report.held_deletes = max(self._report.held_deletes, count)
            return
        self._folder.check()
        self._propose_deletions(keys)
        self._sender.finish()

    def _count_gone(self) -> int:
        """How many of the paths found gone are to be deleted: those that were renamed have no row any more."""
        if self._gone_count == len(self._gone):
            return sum(1 for key in self._gone if self._index.get(key) is not None)
        keys = self._index.keys_descending(b"")
        return sum(
            1 for key in keys if not self._is_left_alone(path_of(key)) and self._folder.lstat(path_of(key)) is None
        )

    def _is_left_alone(self, path: bytes) -> bool:
        return self._is_hidden(path) or self._why_not(path, None) is not None

    def _propose_deletions(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            row = self._index.get(key)
            path = path_of(key)
            if row is None or self._is_left_alone(path):
                continue
            if self._folder.lstat(path) is None:
                if row.entry.seq > 0 and row.signature != UNSEEN:
                    self._add(Proposal(Entry(path, DELETED, seq=row.entry.seq), None))
                else:
                    self._index.delete(key)

    # --- signatures that prove nothing

    def doubt(self, path: bytes) -> None:
        """What a path holds is to be confirmed a moment later; beyond MANY_RACY, when it is looked at anyway."""
        if len(self.racy) < MANY_RACY:
            self.racy[path] = None

    def _judge(self, seen: Seen, looked_ns: int) -> None:
        """Doubt what was changed so lately, when we began to look, that another change could look the same."""
        if seen.kind != FOLDER and freshness_ns(seen.ctime_ns, looked_ns):
            seen.doubtful = True
            self.doubt(seen.path)

    def _look_again(self, seen: Seen) -> Seen:
        """The path now, judged. Raises FileChanged when it is something else."""
        looked_ns = self._clock.wall_ns()
        now = self._folder.lstat(seen.path)
        if now is None or now.signature != seen.signature:
            raise FileChanged
        self._judge(now, looked_ns)
        return now

    def confirm(self) -> None:
        """Read again what was too fresh to be trusted; call it a moment later. What still is stays unconfirmed."""
        racy, self.racy = self.racy, {}
        for path in racy:
            looked_ns = self._clock.wall_ns()
            row, seen = self._index.get(key_of(path)), self._folder.lstat(path)
            if row is None or seen is None or seen.kind != row.entry.kind or not row.racy:
                continue
            if freshness_ns(seen.ctime_ns, looked_ns):
                self.racy[path] = None
            else:
                self._confirm(row, seen)

    def _confirm(self, row: Row, seen: Seen) -> None:
        known_times = (row.entry.mtime_ns, row.signature.mtime_ns)
        if self._reader.entry(seen, (row.entry.size,)).same_content(row.entry) and seen.mtime_ns in known_times:
            self._index.set_signature(row.key, seen.signature)
        else:
            self._changed(seen.path)
