"""The folder, watched by inotify: no timer and no thread, one descriptor to wait on.

One watch a folder (device/watches.py has the table); files cost nothing. Folders are opened without following
links and watched through their descriptor, so that a link put in the way is not watched either.

    folder appears      it is watched first and then reported with all below: what was put into it before the
                        watch was set is found by that look, what comes after by the watch
    folder leaves       the watches below are removed at once; if it came back elsewhere, it appears there
    queue overflows     everything is to be looked at, and the table of watches is made anew from a walk
    no watches left     what can be watched still is; `trouble` says which setting to raise to what, and the
                        caller looks at everything now and then
    our own publishing  told beforehand by `expect`: a rename, creation or deletion that leaves exactly the
                        expected file is no news. Writes are never expected, so that an edit is never taken
                        for ours.

Everything here is a hint: a look at the folder decides. A lost hint costs time until the next full look, no
data.
"""

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice

from toastbox.device.interfaces import Clock
from toastbox.device.seen import Seen
from toastbox.device.settle import Batch, Settle
from toastbox.device.watches import NO_WATCH, Watches
from toastbox.errors import DeviceFailing
from toastbox.native import posix
from toastbox.native.scan import FOLDER, identify

STATE_NAME = b".toastbox"
READ_SIZE = 64 * 1024
MOST_LOCKED = 1000
MOST_EXPECTED = 8192  # beyond that, what was expected longest ago is forgotten: a look too many finds nothing
KEPT_GENERATIONS = 4
ANY_FOLDER = -1  # in place of an inode: which one it gets, only the disk knows
LISTED_AT_ONCE = 1000
READS_AT_ONCE = 16  # a folder that changes without pause does not hold the caller's loop up
_EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of the padded name: inotify(7)

_APPEARS = posix.IN_CREATE | posix.IN_MOVED_TO
_LEAVES = posix.IN_DELETE | posix.IN_MOVED_FROM
_WRITES = posix.IN_MODIFY | posix.IN_CLOSE_WRITE | posix.IN_ATTRIB
_FOLDER_MASK = _APPEARS | _LEAVES | _WRITES | posix.IN_EXCL_UNLINK
_ONE_NAME = _APPEARS | _LEAVES
_ROOT_MASK = _FOLDER_MASK | posix.IN_DELETE_SELF | posix.IN_MOVE_SELF
_ROOT_ENDS = posix.IN_DELETE_SELF | posix.IN_MOVE_SELF | posix.IN_UNMOUNT
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NOT_OURS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
_NONE_LEFT = (errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE)

Event = tuple[int, int, bytes]  # watch, mask, name
Expected = tuple[tuple[int, int, int], int]  # inode, size, mtime_ns as `identify` has them; the generation


class Watcher:
    """Watches root and all folders in it. skip(path): folders not to be watched (the ignore rules).

    Wait until `fd` is readable or until `due_s`, call `read`, then `take`.
    """

    def __init__(self, root: str | bytes, clock: Clock, skip: Callable[[bytes], bool]) -> None:
        self.root = os.fsencode(root)
        self.trouble = ""
        self._clock = clock
        self._skip = skip
        self._settle = Settle()
        self._watches = Watches()
        self._found: set[int] | None = None  # while all is watched anew: what was met
        self._unwatched = 0
        self._forgotten = -1
        self._locked: set[bytes] = set()  # folders that could not be opened
        self._expected: dict[bytes, Expected] = {}
        self._expecting = threading.Lock()  # who publishes does so in a thread of its own
        self._looked: dict[bytes, bool] = {}  # whether what is expected is there, while events are handled
        self._generation = 0
        self._root_fd = os.open(self.root, _OPEN_FOLDER | os.O_CLOEXEC)
        self.fd = self._open()
        if self.fd >= 0:
            self._watch_tree(b"", NO_WATCH, report=False)

    def close(self) -> None:
        """Idempotent."""
        for name in ("fd", "_root_fd"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    def __len__(self) -> int:
        """Folders watched."""
        return len(self._watches)

    # --- for the caller's loop

    def read(self) -> None:
        """Take in what the kernel has to tell; never waits."""
        generation = self._generation
        for _ in range(READS_AT_ONCE):
            data = self._read()
            if not data:
                self._forget_expected(generation)
                return
            now_s = self._clock.monotonic_s()
            for watch, mask, name in self._news(parse_events(data)):
                self._handle(watch, mask, name, now_s)

    def due_s(self) -> float | None:
        """On the clock's monotonic time: when `take` will have something; None: not before the next event."""
        return self._settle.due_s()

    def take(self) -> Batch:
        """The paths that have settled."""
        return self._settle.take(self._clock.monotonic_s())

    def rewatch(self) -> None:
        """Walk the folder and watch all of it: after an overflow, new ignore rules, a raised limit."""
        if self.fd < 0:
            return
        self.trouble, self._unwatched = "", 0
        self._found = set()  # a second table beside the first would be as large
        self._watch_tree(b"", NO_WATCH, report=False)
        for watch in [watch for watch in self._watches if watch not in self._found]:
            self._remove(watch)
        self._found = None

    # --- our own changes

    def expect(self, path: bytes, inode: int = 0, size: int = 0, mtime_ns: int = 0) -> None:
        """The caller is about to put a file there, or to remove what is there (inode 0)."""
        with self._expecting:
            self._expected[path] = ((inode, size, mtime_ns), self._generation)

    def expect_files(self, files: Iterable[tuple[bytes, Seen]]) -> None:
        """The caller is about to put a file at each path."""
        generation = self._generation
        expected = {path: ((seen.inode, seen.size, seen.mtime_ns), generation) for path, seen in files}
        with self._expecting:
            self._expected.update(expected)

    def expect_folder(self, path: bytes) -> None:
        """The caller is about to make a folder there. If its owner was quicker, nothing is missed: what is in it is
        looked at name by name.
        """
        self.expect(path, ANY_FOLDER)

    def published(self) -> None:
        """What was expected so far has been done; it is forgotten once its events are through."""
        self._generation += 1
        if len(self._expected) > MOST_EXPECTED:  # their events do not come: not all folders are watched
            self._keep_expected(self._generation - KEPT_GENERATIONS)

    def _forget_expected(self, generation: int) -> None:
        if self._expected and generation != self._forgotten:  # else there is nothing new to be forgotten
            self._forgotten = generation
            self._keep_expected(generation)

    def _keep_expected(self, oldest: int) -> None:
        """Even list(dict.items()) is not one step: it makes tuples, for which garbage may be collected, and what is
        finalized then may let another thread run.
        """
        with self._expecting:
            self._expected = {path: each for path, each in self._expected.items() if each[1] >= oldest}

    def _news(self, events: list[Event]) -> list[Event]:
        """The events, but for those of files that are as expected: thousands of them follow a batch of ours."""
        self._looked.clear()
        if not self._expected:
            return events
        paths = [self._expected_path(watch, name) if mask & _ONE_NAME else b"" for watch, mask, name in events]
        self._look_at_expected(path for path in paths if path)
        ours = self._looked.get
        return [event for event, path in zip(events, paths, strict=True) if event[1] & posix.IN_ISDIR or not ours(path)]

    def _expected_path(self, watch: int, name: bytes) -> bytes:
        """The path, if something is expected there, else b"": all of a deep tree would be megabytes."""
        path = _below(self._watches.path(watch) or b"", name)
        return path if path in self._expected else b""

    def _look_at_expected(self, paths: Iterable[bytes]) -> None:
        """Look with one call at those of the paths at which something is expected."""
        known = self._expected.get
        expected = {path: each[0] for path in paths if (each := known(path))}
        found = identify(self._root_fd, list(expected))
        self._looked.update(
            (path, is_there == file if file[0] != ANY_FOLDER else kind == FOLDER)
            for (path, file), (is_there, kind) in zip(expected.items(), found, strict=True)
        )

    def _is_ours(self, path: bytes) -> bool:
        """Whether what is at the path is what was expected there."""
        if path not in self._looked:
            if path not in self._expected:
                return False
            self._look_at_expected([path])
        return self._looked.get(path, False)

    # --- events

    def _open(self) -> int:
        try:
            return posix.inotify_init1()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self.trouble = "no inotify instance left: raise fs.inotify.max_user_instances; scanning instead"
            return -1

    def _read(self) -> bytes:
        if self.fd < 0:
            return b""
        try:
            return os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return b""

    def _handle(self, watch: int, mask: int, name: bytes, now_s: float) -> None:
        if mask & posix.IN_Q_OVERFLOW:
            self._settle.everything(now_s)
            self.rewatch()
            return
        folder = self._watches.path(watch)
        if folder is None:
            if mask & posix.IN_IGNORED:
                self._watches.drop(watch)
            return
        if not name:
            self._handle_self(watch, folder, mask, now_s)
            return
        path = _below(folder, name)
        if path != STATE_NAME:
            self._handle_name(path, mask, now_s, watch)

    def _handle_self(self, watch: int, folder: bytes, mask: int, now_s: float) -> None:
        if mask & posix.IN_IGNORED:
            self._watches.drop(watch)
        elif mask & _ROOT_ENDS:
            self._settle.complete(folder, True, now_s) if folder else self._settle.everything(now_s)

    def _handle_name(self, path: bytes, mask: int, now_s: float, parent: int) -> None:
        if mask & posix.IN_ISDIR:
            self._handle_folder(path, mask, now_s, parent)
        elif mask & (_LEAVES | posix.IN_MOVED_TO | posix.IN_CREATE) and self._is_ours(path):
            return
        elif mask & posix.IN_MODIFY or (mask & posix.IN_CREATE and self._will_be_written(path)):
            self._settle.writing(path, now_s)
        elif mask & posix.IN_ATTRIB:
            self._settle.attributes(path, now_s)
        else:
            self._settle.complete(path, False, now_s)

    def _handle_folder(self, path: bytes, mask: int, now_s: float, parent: int) -> None:
        """Attributes of folders are not synced: those events are dropped, unless they may open one."""
        if mask & _LEAVES:
            if mask & posix.IN_MOVED_FROM:  # a deleted one was empty, and its watch ends by itself
                self._unwatch_tree(path)
            if not self._is_ours(path):
                self._settle.complete(path, True, now_s)
        elif mask & _APPEARS:
            ours = self._is_ours(path)
            if not self._skip(path):
                self._watch_tree(path, parent, report=ours)
            if not ours:
                self._settle.complete(path, True, now_s)
        elif path in self._locked:
            self._locked.discard(path)
            self._watch_tree(path, parent, report=False)
            self._settle.complete(path, True, now_s)

    def _will_be_written(self, path: bytes) -> bool:
        """Whether a new name is a file that somebody has open: links, pipes and sockets are complete."""
        try:
            found = os.lstat(os.path.join(self.root, path))
        except OSError:
            return False
        return found.st_mode & 0o170000 == 0o100000 and found.st_nlink == 1

    # --- watches

    def _watch_tree(self, top: bytes, above: int, report: bool) -> None:
        """Watch top and the folders below. report: tell of what is found there and is not our own doing.

        above: the watch of the folder in which top is.
        """
        waiting = [(top, above)]
        while waiting:
            path, parent = waiting.pop()
            try:
                fd = posix.open_beneath(self._root_fd, path or b".", _OPEN_FOLDER)
            except OSError as error:
                if error.errno in _NOT_OURS:  # gone, or the look at the folder says why it is left alone
                    if error.errno == errno.EACCES and len(self._locked) < MOST_LOCKED:
                        self._locked.add(path)
                    continue
                if error.errno in _NONE_LEFT:
                    self._unwatched += 1
                    continue
                raise DeviceFailing(f"cannot look at {os.fsdecode(path)!r}: {error.strerror}") from error
            try:
                watch = self._add(path, parent, fd)
                waiting.extend((found, watch) for found in self._look(path, fd, report))
            finally:
                os.close(fd)
        if self._unwatched:
            self._explain()

    def _look(self, folder: bytes, fd: int, report: bool) -> Iterator[bytes]:
        """Folders in the folder open at fd that are to be watched."""
        posix.rewind(fd)  # the watch was added since it was opened
        with os.scandir(fd) as entries:
            told = entries if report else filter(_is_folder, entries)  # of files nothing is to be done then
            while found := [
                (_below(folder, os.fsencode(entry.name)), _is_folder(entry)) for entry in islice(told, LISTED_AT_ONCE)
            ]:
                if report:
                    self._look_at_expected(path for path, _ in found)
                yield from self._judge(found, report)

    def _judge(self, found: list[tuple[bytes, bool]], report: bool) -> Iterator[bytes]:
        for path, is_folder in found:
            if path == STATE_NAME:
                continue
            if report and not self._is_ours(path):
                self._settle.complete(path, is_folder, self._clock.monotonic_s())
            if is_folder and not self._skip(path):
                yield path

    def _add(self, path: bytes, parent: int, fd: int) -> int:
        """The new watch, NO_WATCH when none is left."""
        try:
            mask = _FOLDER_MASK if path else _ROOT_MASK
            watch = posix.inotify_add_watch(self.fd, b"/proc/self/fd/%d" % fd, mask)
        except OSError as error:
            if error.errno not in _NONE_LEFT:
                raise
            self._unwatched += 1
            return NO_WATCH
        self._watches.put(watch, path, parent)
        if self._found is not None:
            self._found.add(watch)
        return watch

    def _unwatch_tree(self, top: bytes) -> None:
        for watch in self._watches.below(top):
            self._remove(watch)

    def _remove(self, watch: int) -> None:
        self._watches.drop(watch)
        with suppress(OSError):  # EINVAL: the folder is gone and its watch with it
            posix.inotify_rm_watch(self.fd, watch)

    def _explain(self) -> None:
        limit = watch_limit()
        needed = f"at least {limit + self._unwatched}" if limit else "more"
        self.trouble = (
            f"{self._unwatched} folders cannot be watched: set fs.inotify.max_user_watches to {needed}; "
            "until then they are scanned"
        )


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir(follow_symlinks=False)


def _below(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def parse_events(data: bytes) -> list[Event]:
    """Each event in what read(2) of an inotify descriptor gave."""
    events = []
    at, end = 0, len(data)
    while at < end:
        watch, mask, _, size = _EVENT.unpack_from(data, at)
        start = at + _EVENT.size
        at = start + size
        events.append((watch, mask, data[start:at].rstrip(b"\0")))
    return events


def watch_limit() -> int:
    """The user's limit of watches; 0: the kernel does not tell."""
    try:
        with open("/proc/sys/fs/inotify/max_user_watches", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
