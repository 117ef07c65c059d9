"""The folder on disk, and the only code that touches it.

Every path is relative to the folder and is reached from a descriptor of the root without following a symbolic link
(native.posix.open_beneath): whatever a peer or a local user puts in the way, nothing outside is read or written.

Writing goes through FOLDER/.toastbox/stage: a staged file is complete, flushed and named there before `publish` puts
it in place with one rename. Replacing exchanges the two names, so that what was replaced can still be looked at:
an edit made in the last microsecond is kept. See core/apply.py for what a power cut leaves behind.
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress

from toastbox.core.entry import FILE, FOLDER
from toastbox.core.names import parent_of
from toastbox.device.children import Children, Way
from toastbox.device.seen import Seen, gone_name, seen_of, unreadable, with_executable
from toastbox.device.spelling import Spelling, folded
from toastbox.device.stage import Stage
from toastbox.errors import ArenaFull, SafetyRefused
from toastbox.native import posix
from toastbox.native.arena import Arena, Region
from toastbox.native.scan import Listing, Record, list_directory, look, move_file, move_files, take_files
from toastbox.native.sums import Sum, folder_sums

STATE_NAME = b".toastbox"
STAGE_NAME = b".toastbox/stage"
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
KEPT_DESCRIPTORS = 16
SEEN_AT_ONCE = 64
SHORT_LISTING = 96 << 10  # bytes: about a thousand names


class Folder:
    """A folder and its stage. arena: where listings live while they are compared."""

    def __init__(self, root: str | bytes, arena: Arena | Region) -> None:
        self.root = os.fsencode(root)
        self._arena = arena
        self._fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.makedirs(os.path.join(self.root, STAGE_NAME), mode=0o700, exist_ok=True)
        self.stage = Stage(posix.open_beneath(self._fd, STAGE_NAME, OPEN_FOLDER))
        self._device = os.fstat(self._fd).st_dev
        self._spelling = self._look_how_names_are_kept()
        self._parents: OrderedDict[bytes, int] = OrderedDict()
        self._listings: list[Listing] = []  # in the order in which they were taken
        umask = os.umask(0)
        os.umask(umask)
        self.new_mode = 0o666 & ~umask
        self._early: Future[None] | None = None  # a flush that was begun and not waited for
        self.way_bytes = 0  # memory to be made free after what brings many inodes (device/memory.py, bytes_to_free)

    def close(self) -> None:
        self._forget_parents()
        self.stage.close()
        os.close(self._fd)

    def _look_how_names_are_kept(self) -> Spelling | None:
        """None where a name is what its bytes are."""
        with suppress(OSError):
            if look(self._fd, STATE_NAME.upper()).inode == (state := look(self._fd, STATE_NAME).inode):
                return Spelling(state, posix.list_names)
        return None

    def is_taken(self, path: bytes) -> bool:
        """Whether the disk has the path, or a folder above it, under another spelling."""
        try:
            parent, leaf = self._parent(path)
            return self.lstat(path) is None and bool(look(parent, leaf).inode)
        except OSError:
            above = parent_of(path)
            return bool(above) and self.is_taken(above)

    def check(self) -> None:
        """Raise SafetyRefused unless the root is still the folder that was opened."""
        try:
            now = os.stat(self.root)
            os.stat(os.path.join(self.root, STAGE_NAME))
        except OSError as error:
            raise SafetyRefused(f"the folder has vanished ({error.strerror}); nothing is deleted") from error
        opened = os.fstat(self._fd)
        if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
            raise SafetyRefused("another folder is mounted or has been put in the folder's place")

    # --- looking

    def lstat(self, path: bytes) -> Seen | None:
        """What is at path; None when nothing is (or a part of the way there is no folder)."""
        try:
            parent, leaf = self._parent(path)
            seen = self._stat(path, parent, leaf)
            return None if self._spelling and self._spelling.is_another(path, parent, seen.inode) else seen
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
                return None
            return unreadable(path, error)

    def _stat(self, path: bytes, parent: int, leaf: bytes) -> Seen:
        return self._seen(path, look(parent, leaf))

    def _seen(self, path: bytes, r: Record) -> Seen:
        return self._own(seen_of(path, r))

    def _own(self, seen: Seen) -> Seen:
        """What lies on another file system is not ours: if that is unmounted, nothing was deleted."""
        return seen if seen.device == self._device else seen.leave_alone("on another file system")

    def walk(self, below: bytes, enter: Callable[[Seen], bool]) -> Iterator[Seen]:
        """Everything below a folder in order of key; folders before their content. enter: whether to go into a folder.

        Never raises for one path. What cannot be listed, or lies on another file system, comes as kind OTHER with the
        reason: nothing below it has been seen, which is not the same as nothing being there.
        """
        way = Way()
        stack = [self._look_in(below, way)]
        while stack:
            for seen in stack[-1]:
                if seen.kind == FOLDER and enter(seen):
                    break
                yield seen
            else:
                stack.pop()
                continue
            self._make_room(stack[-1])
            children = self._look_in(seen.path, way)
            first = next(children, None)
            if first is not None and first.path == seen.path:
                yield first
                continue
            if first is not None:
                children.put_back(first)
                stack.append(children)
            yield seen

    def children(self, path: bytes) -> Iterator[Seen]:
        """What is in a folder, by name, one object at a time; like `walk` of a folder without folders.

        The caller may take other listings meanwhile, if he is done with them before he asks for the next name.
        """
        return self._look_in(path, Way())

    def sums(self, paths: list[bytes], key: bytes) -> list[Sum]:
        """What these folders show in all (native/sums.py); b"" is the folder itself, without its state."""
        return folder_sums(self._fd, self._device, paths, key, STATE_NAME, self.way_bytes)

    def _look_in(self, path: bytes, way: Way) -> Children:
        return Children(path, self._list, self._see_some, self._give_back, way)

    def _give_back(self, listing: Listing) -> None:
        """With those taken after it: when a walk is broken off, Python drops what it holds in any order."""
        while listing in self._listings:
            self._listings.pop().release()

    def end_looking(self) -> None:
        """Give back what a walk that was broken off still holds, in order; it must not be gone on with."""
        while self._listings:
            self._listings.pop().release()

    def _make_room(self, children: Children) -> None:
        """Listings lie in each other's way: one that takes much is taken anew after those of the folders below."""
        arena = self._arena.main if isinstance(self._arena, Arena) else self._arena
        if isinstance(arena, Region) and arena.is_half_full():
            children.let_go()

    def _see_some(self, before: bytes, records: Iterator[Record]) -> tuple[list[Seen], bytes]:
        """The next records of a listing, without our own state: see Children."""
        few: list[Seen] = []
        name = b""
        for name, _, mode, size, mtime_ns, ctime_ns, inode, device in records:
            if before or name != STATE_NAME:
                few.append(self._own(Seen(before + name, mode, size, mtime_ns, ctime_ns, inode, device)))
                if few[-1].kind == FOLDER or len(few) == SEEN_AT_ONCE:
                    break
        return few, name

    def _list(self, path: bytes, after: bytes) -> Listing:
        """As many names of a folder as the arena holds, those behind `after`."""
        descriptor = posix.open_beneath(self._fd, path or b".", OPEN_FOLDER)
        try:
            listing = self._names(descriptor, after)
        except ArenaFull as error:
            raise OSError(errno.ENOMEM, "not one name fits in the arena") from error
        finally:
            os.close(descriptor)
        self._listings.append(listing)
        return listing

    def _names(self, descriptor: int, after: bytes) -> Listing:
        """A listing; a small one, with room made for the inodes it brings, where memory is short."""
        if not self.way_bytes:
            return list_directory(descriptor, self._arena, after)
        posix.make_way(self.way_bytes)
        return list_directory(descriptor, self._arena, after, SHORT_LISTING)

    def open(self, path: bytes) -> int:
        """A descriptor of a regular file for reading, closed by the caller. Raises OSError."""
        parent, leaf = self._parent(path)
        return os.open(leaf, OPEN_FILE, dir_fd=parent)

    def fstat(self, descriptor: int, path: bytes) -> Seen:
        return self._seen(path, look(descriptor))

    def readlink(self, path: bytes) -> bytes:
        parent, leaf = self._parent(path)
        return os.readlink(leaf, dir_fd=parent)

    def take_files(self, looked: Sequence[Seen], buffer: memoryview, most: int) -> list[tuple[int, Seen | None, int]]:
        """Read files of one folder, one behind the other into a buffer, of each at most `most` bytes.

        (bytes, how it looked before and after or None where these differ, errno) of each, or of the first ones if the
        buffer has less than `most` bytes left for the rest.
        """
        try:
            parent, leaf = self._parent(looked[0].path)
        except OSError as error:
            return [(0, None, error.errno or errno.EIO)] * len(looked)
        cut = len(looked[0].path) - len(leaf)
        found = take_files(parent, [seen.path[cut:] for seen in looked], buffer, most)
        return [
            (size, r and (seen if seen.shows(r) else self._seen(seen.path, r)), error)
            for seen, (size, r, error) in zip(looked, found, strict=False)
        ]

    # --- reading and writing by descriptor (methods, so that a simulated folder can stand in)

    def read_into(self, descriptor: int, buffer: memoryview) -> int:
        return os.readv(descriptor, [buffer])

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)

    def write_back(self, descriptor: int) -> None:
        """Have the kernel begin to write a file out; promises nothing."""
        posix.write_back(descriptor)

    def size_of(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def close_file(self, descriptor: int) -> None:
        os.close(descriptor)

    # --- flushing

    def begin_flush(self, submit: Callable[[Callable[[], None]], "Future[None]"]) -> None:
        """Have it begun beside the caller what `flush_all` will have to do: that then finds little left."""
        if self._early is None:
            self._early = submit(lambda: posix.syncfs(self._fd))

    @property
    def is_flushing(self) -> bool:
        """Whether what was begun is still on its way."""
        return self._early is not None and not self._early.done()

    def flush_all(self) -> None:
        """When this returns, all that was written or renamed before is on stable storage.

        The kernel tells of a failed write once: what the flush begun before was told is raised here.
        """
        early, self._early = self._early, None
        if early is not None:
            early.result()
        posix.syncfs(self._fd)
        if self.way_bytes:
            posix.make_way(self.way_bytes)

    # --- publishing

    def publish(self, name: str, path: bytes, replaces: Seen | None) -> tuple[bool, Seen | None]:
        """Put a staged file or link at path in one step; whether that was done, and what is there then.

        replaces: what is expected there now (None: nothing). It is not done, and both stay as they are, when something
        else is there. A file replaced after an unseen edit is put back. Raises OSError.
        """
        parent, leaf = self._parent(path)
        try:
            if replaces is None:
                record = move_file(self.stage.fd, os.fsencode(name), parent, leaf)
                self._made(path)
                return True, self._seen(path, record) if record else None
            done = self._replace(name, parent, leaf, replaces)
        except FileExistsError:
            return False, None
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS) and (replaces is None or error.errno != errno.ENOENT):
                raise
            done = self._replace_checked(name, path, parent, leaf, replaces)
            if done:
                self._made(path)
        return done, self.lstat(path) if done else None

    def publish_new(
        self, names: list[str], staged: list[Seen | None], paths: list[bytes]
    ) -> list[tuple[bool, Seen | None]]:
        """Put staged files at paths of one folder with nothing there, as `publish` would; what it would say of each.

        staged: how they looked in the stage; what looks the same at its path is taken on as that. Not done: to be
        tried by itself, which says why.
        """
        try:
            parent = self._parent(paths[0])[0] if not self._spelling else -1
        except OSError:
            parent = -1
        if parent < 0:
            return [(False, None)] * len(names)
        leaves = [path.rpartition(b"/")[2] for path in paths]
        moved = move_files(self.stage.fd, [name.encode() for name in names], parent, leaves)
        return [
            (done, self._seen_again(before, path, record) if record else None)
            for before, path, (done, record) in zip(staged, paths, moved, strict=True)
        ]

    def _seen_again(self, before: Seen | None, path: bytes, r: Record) -> Seen:
        same = before is not None and before.device == self._device and before.moved(path, r)
        return before if before is not None and same else self._seen(path, r)

    def _made(self, path: bytes) -> None:
        if self._spelling:
            self._spelling.made(path)

    def _replace(self, name: str, parent: int, leaf: bytes, replaces: Seen) -> bool:
        posix.renameat2(self.stage.fd, os.fsencode(name), parent, leaf, posix.RENAME_EXCHANGE)
        displaced = self.stage.look(name)
        if displaced is not None and displaced.same_file(replaces):
            os.unlink(name, dir_fd=self.stage.fd)
            return True
        self._move_back(name, parent, leaf)
        return False

    def _move_back(self, name: str, parent: int, leaf: bytes) -> None:
        """Undo an exchange. If our file has been taken away meanwhile, what was displaced just goes back."""
        try:
            posix.renameat2(self.stage.fd, os.fsencode(name), parent, leaf, posix.RENAME_EXCHANGE)
        except FileNotFoundError:
            self._move_in(name, parent, leaf)

    def exchange(self, name: str, path: bytes) -> None:
        """Swap a staged file or link with what is at path, in one step. Raises OSError: EINVAL where it cannot be."""
        parent, leaf = self._parent(path)
        posix.renameat2(self.stage.fd, os.fsencode(name), parent, leaf, posix.RENAME_EXCHANGE)

    def _move_in(self, name: str, parent: int, leaf: bytes) -> bool:
        try:
            posix.renameat2(self.stage.fd, os.fsencode(name), parent, leaf, posix.RENAME_NOREPLACE)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            return self._replace_checked(name, b"", parent, leaf, None)
        return True

    def _replace_checked(self, name: str, path: bytes, parent: int, leaf: bytes, replaces: Seen | None) -> bool:
        """For file systems that cannot exchange names: look, then rename."""
        try:
            now: Seen | None = self._stat(path, parent, leaf)
        except FileNotFoundError:
            now = None
        if (now is None) != (replaces is None) or (now and replaces and not now.same_file(replaces)):
            return False
        os.rename(name, leaf, src_dir_fd=self.stage.fd, dst_dir_fd=parent)
        return True

    def restore_displaced(self, name: str, path: bytes) -> bool:
        """Move a staged name to path if nothing is there."""
        parent, leaf = self._parent(path)
        return self._move_in(name, parent, leaf)

    def make_folder(self, path: bytes) -> None:
        """Make a folder and those above it; one that is there already is fine. Raises OSError."""
        try:
            parent, leaf = self._parent(path)
            os.mkdir(leaf, dir_fd=parent)
        except FileExistsError:
            found = self.lstat(path)
            if found is None or found.kind != FOLDER:
                raise
        except FileNotFoundError:
            above = parent_of(path)
            if not above:
                raise
            self._forget_parents()  # a folder that has been removed while it was open takes nothing in
            self.make_folder(above)
            self.make_folder(path)

    def remove_folder(self, path: bytes) -> bool:
        """Remove an empty folder. False when it is not empty; True when it is gone, or never was."""
        self._forget_parents()
        try:
            parent, leaf = self._parent(path)
            os.rmdir(leaf, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def remove(self, path: bytes, expected: Seen) -> bool:
        """Remove a file or link if it is still what was expected; False, and it stays, when not."""
        name = gone_name(expected.inode)
        try:
            parent, leaf = self._parent(path)
            os.rename(leaf, name, src_dir_fd=parent, dst_dir_fd=self.stage.fd)
        except (FileNotFoundError, NotADirectoryError):
            return True
        gone = self.stage.look(name)
        if gone is not None and gone.same_file(expected):
            os.unlink(name, dir_fd=self.stage.fd)
            return True
        self.restore_displaced(name, path)
        return False

    def move(self, old: bytes, new: bytes) -> bool:
        """Rename within the folder. False when something is at the new path already. Raises OSError."""
        self._forget_parents()
        parent, leaf = self._parent(old)
        source = os.dup(parent)
        try:
            parent, new_leaf = self._parent(new)
            return self._move_between(source, leaf, parent, new_leaf)
        finally:
            os.close(source)

    def _move_between(self, source: int, leaf: bytes, target: int, new_leaf: bytes) -> bool:
        try:
            posix.renameat2(source, leaf, target, new_leaf, posix.RENAME_NOREPLACE)
        except FileExistsError:
            if not self._is_itself(source, leaf, target, new_leaf):
                return False
            os.rename(leaf, new_leaf, src_dir_fd=source, dst_dir_fd=target)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            with suppress(FileNotFoundError):
                os.stat(new_leaf, dir_fd=target, follow_symlinks=False)
                if not self._is_itself(source, leaf, target, new_leaf):
                    return False
            os.rename(leaf, new_leaf, src_dir_fd=source, dst_dir_fd=target)
        return True

    def _is_itself(self, source: int, leaf: bytes, target: int, new_leaf: bytes) -> bool:
        """Whether two names are one to the disk: then the file is in its own way."""
        one_name = self._spelling is not None and folded(leaf) == folded(new_leaf)
        return one_name and look(source, leaf).inode == look(target, new_leaf).inode

    def set_meta(self, path: bytes, mtime_ns: int, executable: bool) -> None:
        """Set time and executable bit of a file, time of a link. Raises OSError."""
        parent, leaf = self._parent(path)
        seen = self._stat(path, parent, leaf)
        if seen.kind == FILE and bool(seen.mode & 0o100) != executable:
            descriptor = os.open(leaf, OPEN_FILE, dir_fd=parent)
            try:
                os.fchmod(descriptor, with_executable(seen.mode, executable))
            finally:
                os.close(descriptor)
        posix.set_time(parent, leaf, mtime_ns)

    # --- descriptors of folders

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """(descriptor of the folder above, last name). The descriptors used last are kept open."""
        above, _, leaf = path.rpartition(b"/")
        descriptor = self._fd if not above else self._parents.get(above)
        if descriptor is None:
            if self._spelling and self.lstat(above) is None:
                raise OSError(errno.ENOENT, "no folder of exactly this name", os.fsdecode(above))
            descriptor = posix.open_beneath(self._fd, above, OPEN_FOLDER)
            if len(self._parents) >= KEPT_DESCRIPTORS:
                os.close(self._parents.popitem(last=False)[1])
            self._parents[above] = descriptor
        return descriptor, leaf

    def _forget_parents(self) -> None:
        """Folders may move: descriptors are kept within one batch only."""
        for descriptor in self._parents.values():
            os.close(descriptor)
        self._parents.clear()
        if self._spelling:
            self._spelling.forget()

    def forget(self) -> None:
        """To be called between batches: what was opened by path before may be elsewhere now."""
        self._forget_parents()
