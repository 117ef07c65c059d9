"""The system calls that device/folder.py makes, on the disks of this simulation.

The real Folder runs on these, not a copy of it: `installed` puts this kernel in the place of `os`, `posix` and
`list_directory` in that one module. So every step between two system calls is a place where the power may go or a user
may come between, and a call that is not simulated is an AttributeError, not a surprise.

A disk's `step(call, changes)` runs before every call; it may change the disk (a user at work) and may raise.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from toastbox.device import folder as folder_module
from toastbox.device import stage as stage_module
from toastbox.native import posix
from toastbox.native.scan import Record, Taken
from toastbox.native.sums import Sum, name_sum, signed

from .disk import FILE, FOLDER, LINK, Disk, Inode

Name = bytes | str
CONSTANTS = ("O_RDONLY", "O_RDWR", "O_CREAT", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK")
DEVICE = 42  # st_dev
KINDS = {FILE: 1, FOLDER: 2, LINK: 3}


class Stat:
    """os.stat_result of an inode."""

    def __init__(self, inode: Inode) -> None:
        self.st_mode = inode.kind | inode.mode
        self.st_size = inode.size
        self.st_mtime_ns = inode.mtime_ns
        self.st_ctime_ns = inode.ctime_ns
        self.st_ino = inode.number
        self.st_dev = DEVICE
        self.st_nlink = inode.links


class Open:
    """An open file or folder."""

    __slots__ = ("disk", "inode", "offset")

    def __init__(self, disk: "Mounted", inode: Inode) -> None:
        self.disk = disk
        self.inode = inode
        self.offset = 0


class Mounted(Disk):
    """A disk that can be reached by system calls."""

    step: Callable[[str, bool], None] = staticmethod(lambda call, changes: None)
    names_in_listing = 1000
    plain = False  # knows no other rename than rename(2)


class Listing:
    """native.scan.Listing."""

    def __init__(self, records: list[Record], more: bool) -> None:
        self._records = records
        self.more = more

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def release(self) -> None:
        pass


class Kernel:
    """System calls by the names that `os`, `posix` and `native.scan` give them. Descriptors are this kernel's."""

    path = os.path
    fsencode = staticmethod(os.fsencode)
    fsdecode = staticmethod(os.fsdecode)
    strerror = staticmethod(os.strerror)
    stat_result = os.stat_result
    RENAME_NOREPLACE = posix.RENAME_NOREPLACE
    RENAME_EXCHANGE = posix.RENAME_EXCHANGE

    def __init__(self) -> None:
        self._roots: dict[bytes, Mounted] = {}
        self._open: dict[int, Open] = {}
        self._next = 1000
        for name in CONSTANTS:
            setattr(self, name, getattr(os, name))

    def mount(self, path: bytes, disk: Mounted) -> None:
        self._roots[path] = disk

    def close_all(self, disk: Mounted) -> None:
        """The process on this disk is dead."""
        self._open = {number: file for number, file in self._open.items() if file.disk is not disk}

    def opened(self, disk: Mounted) -> int:
        """Descriptors in use on a disk."""
        return sum(file.disk is disk for file in self._open.values())

    # --- ways to an inode

    def _add(self, disk: Mounted, inode: Inode) -> int:
        self._next += 1
        self._open[self._next] = Open(disk, inode)
        return self._next

    def _file(self, descriptor: int) -> Open:
        try:
            return self._open[descriptor]
        except KeyError:
            raise error(errno.EBADF, "") from None

    def _folder(self, descriptor: int) -> tuple[Mounted, Inode]:
        file = self._file(descriptor)
        if file.inode.kind != FOLDER:
            raise error(errno.ENOTDIR, "")
        return file.disk, file.inode

    def _absolute(self, path: Name) -> tuple[Mounted, Inode]:
        whole = os.fsencode(path)
        for root, disk in self._roots.items():
            if whole == root or whole.startswith(root + b"/"):
                inode = disk.root
                for name in whole[len(root) + 1 :].split(b"/") if whole != root else ():
                    inode = child(inode, name)
                return disk, inode
        raise error(errno.ENOENT, path)

    def _at(self, path: Name, dir_fd: int | None) -> tuple[Mounted, Inode]:
        if dir_fd is None:
            return self._absolute(path)
        disk, folder = self._folder(dir_fd)
        return disk, child(folder, os.fsencode(path))

    # --- opening, looking

    def open(self, path: Name, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None:
            self._file(dir_fd).disk.step(f"open {show(path)}", bool(flags & os.O_CREAT))
        try:
            disk, inode = self._at(path, dir_fd)
        except FileNotFoundError:
            if not flags & os.O_CREAT or dir_fd is None:
                raise
            disk, folder = self._folder(dir_fd)
            self._room(disk, path)
            check_alive(folder, path)
            inode = disk.create(folder, os.fsencode(path), FILE, mode)
        return self._opened(disk, inode, path, flags)

    def _opened(self, disk: Mounted, inode: Inode, path: Name, flags: int) -> int:
        if inode.kind == LINK:
            raise error(errno.ELOOP, path)
        if flags & os.O_DIRECTORY and inode.kind != FOLDER:
            raise error(errno.ENOTDIR, path)
        return self._add(disk, inode)

    def open_beneath(self, dir_fd: int, path: bytes, flags: int, mode: int = 0) -> int:
        disk, inode = self._folder(dir_fd)
        disk.step(f"open {show(path)}", False)
        names = path.split(b"/") if path != b"." else []
        for name in names:
            if inode.kind == LINK:
                raise error(errno.ELOOP, path)
            inode = child(inode, name)
        return self._opened(disk, inode, path, flags)

    def dup(self, descriptor: int) -> int:
        file = self._file(descriptor)
        return self._add(file.disk, file.inode)

    def close(self, descriptor: int) -> None:
        self._file(descriptor)
        del self._open[descriptor]

    def fstat(self, descriptor: int) -> Stat:
        file = self._file(descriptor)
        file.disk.step("fstat", False)
        return Stat(file.inode)

    def stat(self, path: Name, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Stat:
        disk, _ = self._folder(dir_fd) if dir_fd is not None else self._absolute(path)
        disk.step(f"stat {show(path)}", False)
        return Stat(self._at(path, dir_fd)[1])

    def look(self, fd: int, name: bytes = b"") -> Record:
        file = self._file(fd)
        file.disk.step(f"look {show(name)}", False)
        return record(name, child(file.inode, name) if name else file.inode)

    def fstatvfs(self, descriptor: int) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=0 if self._file(descriptor).disk.full else 1 << 20, f_frsize=4096)

    def readlink(self, path: bytes, *, dir_fd: int) -> bytes:
        disk, _ = self._folder(dir_fd)
        disk.step(f"readlink {show(path)}", False)
        inode = self._at(path, dir_fd)[1]
        if inode.kind != LINK:
            raise error(errno.EINVAL, path)
        return inode.target

    def list_names(self, descriptor: int) -> list[str]:
        disk, folder = self._folder(descriptor)
        disk.step("list_names", False)
        return [os.fsdecode(name) for name in folder.children]

    def list_directory(self, descriptor: int, arena: object, after: bytes = b"") -> Listing:
        disk, folder = self._folder(descriptor)
        disk.step("list", False)
        names = sorted(name for name in folder.children if name > after)
        few = names[: disk.names_in_listing]
        return Listing([record(name, folder.children[name]) for name in few], len(few) < len(names))

    def folder_sums(
        self, root_fd: int, device: int, paths: list[bytes], key: bytes, skip: bytes, way: int = 0
    ) -> list[Sum]:
        return [self._sum(root_fd, path, key, b"" if path else skip) for path in paths]

    def _sum(self, root_fd: int, path: bytes, key: bytes, skip: bytes) -> Sum:
        try:
            descriptor = self.open_beneath(root_fd, path or b".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError as failure:
            return Sum(0, 0, failure.errno or errno.EIO, False)
        children = {name: inode for name, inode in self._folder(descriptor)[1].children.items() if name != skip}
        self.close(descriptor)
        return Sum(signed(sum(hashed(key, name, inode) for name, inode in children.items())), len(children), 0, False)

    # --- reading and writing

    def readv(self, descriptor: int, buffers: list[memoryview]) -> int:
        file = self._file(descriptor)
        data = self.pread(descriptor, len(buffers[0]), file.offset)
        buffers[0][: len(data)] = data
        file.offset += len(data)
        return len(data)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        file = self._file(descriptor)
        file.disk.step("read", False)
        if file.inode.kind == FOLDER:
            raise error(errno.EISDIR, "")
        return file.inode.data[offset : offset + size]

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        file = self._file(descriptor)
        file.disk.step(f"write {len(data)} at {offset}", True)
        self._room(file.disk, "")
        file.disk.write(file.inode, bytes(data), offset)
        return len(data)

    def ftruncate(self, descriptor: int, size: int) -> None:
        file = self._file(descriptor)
        file.disk.step(f"truncate to {size}", True)
        file.disk.truncate(file.inode, size)

    def fchmod(self, descriptor: int, mode: int) -> None:
        file = self._file(descriptor)
        file.disk.step("fchmod", True)
        file.disk.set_attributes(file.inode, mode=mode)

    def set_time(self, fd: int, name: bytes, time_ns: int) -> None:
        file = self._file(fd)
        file.disk.step(f"set time {show(name)}", True)
        file.disk.set_attributes(child(file.inode, name) if name else file.inode, mtime_ns=time_ns)

    def make_file(self, fd: int, name: bytes, data: bytes | memoryview, time_ns: int, mode: int) -> Record:
        file = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, mode, dir_fd=fd)
        try:
            self.ftruncate(file, 0)
            self.pwrite(file, data, 0)
            self.set_time(file, b"", time_ns)
            if self.look(file).mode & 0o7777 != mode:
                self.fchmod(file, mode)
            return self.look(file)._replace(name=name)
        finally:
            self._open.pop(file, None)

    def move_file(self, from_fd: int, old: bytes, to_fd: int, new: bytes) -> Record | None:
        self.renameat2(from_fd, old, to_fd, new, self.RENAME_NOREPLACE)
        try:
            return self.look(to_fd, new)
        except FileNotFoundError:
            return None

    def move_files(
        self, from_fd: int, old: list[bytes], to_fd: int, new: list[bytes]
    ) -> list[tuple[bool, Record | None]]:
        moved: list[tuple[bool, Record | None]] = []
        for before, after in zip(old, new, strict=True):
            try:
                moved.append((True, self.move_file(from_fd, before, to_fd, after)))
            except OSError:
                moved.append((False, None))
        return moved

    def make_files(self, fd: int, files: list[tuple[bytes, int, int, int]], data: bytes) -> list[Record | None]:
        made: list[Record | None] = []
        for name, size, time_ns, mode in files:
            content, data = bytes(data[:size]), data[size:]
            try:
                made.append(self.make_file(fd, name, content, time_ns, mode))
            except OSError:
                made.append(None)
        return made

    def take_files(self, fd: int, names: list[bytes], buffer: memoryview, most: int) -> list[Taken]:
        taken, used = [], 0
        for name in names:
            if len(buffer) - used < most:
                break
            taken.append(self._take(fd, name, buffer[used : used + most]))
            used += taken[-1].size
        return taken

    def _take(self, fd: int, name: bytes, room: memoryview) -> Taken:
        try:
            file = self.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
        except OSError as failure:
            return Taken(0, None, failure.errno or errno.EIO)
        try:
            before = after = self.look(file)
            data = b""
            if self._file(file).inode.kind == FILE:
                data = self.pread(file, len(room), 0)
                room[: len(data)] = data
                after = self.look(file)
            return Taken(len(data), after._replace(name=name) if after == before else None, 0)
        finally:
            self._open.pop(file, None)

    def fsync(self, descriptor: int) -> None:
        file = self._file(descriptor)
        file.disk.step("fsync", True)
        file.disk.sync(file.inode)

    def write_back(self, descriptor: int) -> None:
        """Promises nothing."""

    def syncfs(self, descriptor: int) -> None:
        file = self._file(descriptor)
        file.disk.step("syncfs", True)
        file.disk.sync_all()

    # --- names

    def makedirs(self, path: bytes, mode: int, exist_ok: bool) -> None:
        """For the state folder and the stage, below a root."""
        for root, disk in self._roots.items():
            if path.startswith(root + b"/"):
                folder = disk.root
                for name in path[len(root) + 1 :].split(b"/"):
                    if name not in folder.children:
                        disk.create(folder, name, FOLDER, mode)
                    folder = child(folder, name)

    def umask(self, mask: int) -> int:
        return 0o022

    def mkdir(self, path: bytes, *, dir_fd: int) -> None:
        disk, folder = self._folder(dir_fd)
        disk.step(f"mkdir {show(path)}", True)
        check_alive(folder, path)
        if path in folder.children:
            raise error(errno.EEXIST, path)
        self._room(disk, path)
        disk.create(folder, path, FOLDER, 0o755)

    def symlink(self, target: bytes, path: Name, *, dir_fd: int) -> None:
        disk, folder = self._folder(dir_fd)
        disk.step(f"symlink {show(path)}", True)
        if os.fsencode(path) in folder.children:
            raise error(errno.EEXIST, path)
        self._room(disk, path)
        disk.create(folder, os.fsencode(path), LINK, 0o777, target)

    def rmdir(self, path: bytes, *, dir_fd: int) -> None:
        disk, folder = self._folder(dir_fd)
        disk.step(f"rmdir {show(path)}", True)
        inode = child(folder, path)
        if inode.kind != FOLDER:
            raise error(errno.ENOTDIR, path)
        if inode.children:
            raise error(errno.ENOTEMPTY, path)
        disk.unlink(folder, path)

    def unlink(self, path: Name, *, dir_fd: int) -> None:
        disk, folder = self._folder(dir_fd)
        disk.step(f"unlink {show(path)}", True)
        if child(folder, os.fsencode(path)).kind == FOLDER:
            raise error(errno.EISDIR, path)
        disk.unlink(folder, os.fsencode(path))

    def rename(self, old: Name, new: Name, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        self.renameat2(src_dir_fd, os.fsencode(old), dst_dir_fd, os.fsencode(new), 0)

    def renameat2(self, from_fd: int, old: bytes, to_fd: int, new: bytes, flags: int = 0) -> None:
        disk, source = self._folder(from_fd)
        verb = {0: "rename", self.RENAME_NOREPLACE: "rename new", self.RENAME_EXCHANGE: "exchange"}[flags]
        disk.step(f"{verb} {show(old)} {show(new)}", True)
        if flags and disk.plain:
            raise error(errno.EINVAL, new)
        target = self._folder(to_fd)[1]
        inode = child(source, old)
        check_alive(target, new)
        there = target.children.get(new)
        if flags == self.RENAME_EXCHANGE:
            check_not_inside(inode, target, new)
            check_not_inside(child(target, new), source, old)
            disk.exchange(source, old, target, new)
            return
        if there is not None and flags == self.RENAME_NOREPLACE:
            raise error(errno.EEXIST, new)
        check_not_inside(inode, target, new)
        if there is not None and there is not inode:
            check_replaceable(inode, there, new)
        disk.rename(source, old, target, new)

    def _room(self, disk: Mounted, path: Name) -> None:
        if disk.full:
            raise error(errno.ENOSPC, path)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While this lasts, device/folder.py and its stage run on this kernel."""
        fake: Any = self
        names = ("list_directory", "folder_sums", "look", "move_file", "move_files", "take_files")
        calls = {name: getattr(self, name) for name in names}
        of_stage = {"look": self.look, "make_file": self.make_file, "make_files": self.make_files}
        with (
            mock.patch.multiple(folder_module, os=fake, posix=fake, **calls),
            mock.patch.multiple(stage_module, os=fake, posix=fake, **of_stage),
        ):
            yield


def error(number: int, path: Name) -> OSError:
    return OSError(number, os.strerror(number), os.fsdecode(path))


def show(path: Name) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def child(folder: Inode, name: bytes) -> Inode:
    if folder.kind == LINK:
        raise error(errno.ELOOP, name)
    if folder.kind != FOLDER:
        raise error(errno.ENOTDIR, name)
    found = folder.children.get(name)
    if found is None:
        raise error(errno.ENOENT, name)
    return found


def check_alive(folder: Inode, name: Name) -> None:
    """Nothing is made in a folder that has been removed while it was open."""
    if folder.links == 0:
        raise error(errno.ENOENT, name)


def check_not_inside(inode: Inode, folder: Inode, name: bytes) -> None:
    """EINVAL: a folder cannot go into itself."""
    if inode.kind == FOLDER and contains(inode, folder):
        raise error(errno.EINVAL, name)


def contains(folder: Inode, inode: Inode) -> bool:
    below = (child for child in folder.children.values() if child.kind == FOLDER)
    return folder is inode or any(contains(child, inode) for child in below)


def check_replaceable(inode: Inode, there: Inode, name: bytes) -> None:
    """What rename(2) says of a target that exists."""
    if there.kind == FOLDER and inode.kind != FOLDER:
        raise error(errno.EISDIR, name)
    if there.kind != FOLDER and inode.kind == FOLDER:
        raise error(errno.ENOTDIR, name)
    if there.children:
        raise error(errno.ENOTEMPTY, name)


def hashed(key: bytes, name: bytes, inode: Inode) -> int:
    """What cnative/src/sum.c makes of a name."""
    kind = KINDS.get(inode.kind, 9)
    if inode.kind == FOLDER:
        return name_sum(key, name, kind, 0, 0, 0, 0)
    ctime_ns = inode.ctime_ns & ~1 | (inode.kind == FILE and bool(inode.mode & 0o100))
    return name_sum(key, name, kind, inode.number, inode.size, inode.mtime_ns, ctime_ns)


def record(name: bytes, inode: Inode) -> Record:
    kind = KINDS.get(inode.kind, 9)
    return Record(name, kind, inode.kind | inode.mode, inode.size, inode.mtime_ns, inode.ctime_ns, inode.number, DEVICE)
