"""Kernel calls that the standard library lacks. All raise OSError with errno and run without the GIL.

Paths are bytes. `dir_fd` is an open directory, or AT_FDCWD.
"""

import errno
import os
import stat
from typing import NamedTuple

from toastbox._native import ffi, lib
from toastbox.native.status import check

AT_FDCWD = -100
RENAME_NOREPLACE: int = lib.TBX_RENAME_NOREPLACE
RENAME_EXCHANGE: int = lib.TBX_RENAME_EXCHANGE

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
IN_DONT_FOLLOW = 0x2000000
IN_EXCL_UNLINK = 0x4000000
IN_MASK_CREATE = 0x10000000
IN_ISDIR = 0x40000000

# What kernels before 5.6, seccomp filters and qemu-user answer to openat2.
_NO_OPENAT2 = (errno.ENOSYS, errno.EPERM, errno.EINVAL)


class FileSystem(NamedTuple):
    """type: statfs f_type (0xEF53 ext4, 0x4D44 FAT). fsid: differs between file systems mounted at once."""

    type: int
    fsid: int


def renameat2(from_fd: int, from_path: bytes, to_fd: int, to_path: bytes, flags: int = 0) -> None:
    """renameat2(2). flags: 0 replaces, RENAME_NOREPLACE (EEXIST), RENAME_EXCHANGE.

    EINVAL: this file system does not know the flag (FAT knows no EXCHANGE).
    """
    check(lib.tbx_file_rename(from_fd, from_path, to_fd, to_path, flags), os.fsdecode(from_path))


def syncfs(fd: int) -> None:
    """syncfs(2): all of the file system that fd is on is on stable storage when this returns."""
    check(lib.tbx_filesystem_sync(fd))


def list_names(fd: int) -> list[str]:
    """Names in the folder open at fd, those too that were made since it was opened: btrfs shows them from the
    beginning only, and Python's own listing goes there after it has read.
    """
    rewind(fd)
    return os.listdir(fd)


def rewind(fd: int) -> None:
    """Go to a folder's beginning, so that what reads it next finds what is in it by now."""
    os.lseek(fd, 0, os.SEEK_SET)


def write_back(fd: int) -> None:
    """sync_file_range(2): begin to write out what is dirty of a file, so that a later flush finds little left.

    Promises nothing, not even that anything is written; a file system that cannot is left to its own pace.
    """
    lib.tbx_file_write_back(fd)


def set_time(fd: int, name: bytes, time_ns: int) -> None:
    """utimensat(2) of a name in the folder open at fd, or of fd itself when it is b"". Follows no link.

    os.utime of a 32-bit Python cannot name times beyond 2038. The file system takes the nearest it has.
    """
    seconds, nanoseconds = divmod(time_ns, 10**9)
    check(lib.tbx_file_set_time(fd, name, seconds, nanoseconds), os.fsdecode(name))


def statfs(fd: int) -> FileSystem:
    """fstatfs(2), the identity of the file system that fd is on."""
    out = ffi.new("tbx_filesystem *")
    check(lib.tbx_filesystem_read(fd, out))
    return FileSystem(out.type, out.fsid)


def open_beneath(dir_fd: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Opens path below dir_fd, following no symbolic link anywhere on the way nor at its end.

    path: relative, components joined by single slashes, none of them `.` or `..` (EINVAL otherwise: SPEC
    paths have none); or `.` alone, which opens dir_fd anew. mode counts with O_CREAT or O_TMPFILE only.
    O_CLOEXEC is implied. EXDEV: something is mounted on the way (not told where openat2 is missing). ELOOP: a
    component is a link (with O_PATH and O_NOFOLLOW the last may be one, and is opened itself).
    """
    names = _components(path)
    if not flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY):
        mode = 0  # openat2 refuses what openat ignores
    result = lib.tbx_file_open(dir_fd, path, flags, mode)
    if result == lib.TBX_ERR_SYSTEM and ffi.errno in _NO_OPENAT2:
        return _walk(dir_fd, names, flags, mode)
    return check(result, os.fsdecode(path))


def _components(path: bytes) -> list[bytes]:
    names = path.split(b"/")
    plain = all(name not in (b"", b".", b"..") for name in names)
    if b"\0" in path or not (plain or path == b"."):
        raise OSError(errno.EINVAL, "not a plain relative path", os.fsdecode(path))
    return names


def _walk(dir_fd: int, names: list[bytes], flags: int, mode: int) -> int:
    """open_beneath, one component at a time."""
    at = dir_fd
    try:
        for name in names[:-1]:
            below = _open_plain(at, name, os.O_PATH | os.O_DIRECTORY, 0)
            if at != dir_fd:
                os.close(at)
            at = below
        return _open_plain(at, names[-1], flags, mode)
    finally:
        if at != dir_fd:
            os.close(at)


def _open_plain(dir_fd: int, name: bytes, flags: int, mode: int) -> int:
    """open(2) of one name with O_NOFOLLOW; a link is ELOOP, also where the kernel says ENOTDIR."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=dir_fd)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(name)) from None
        raise


def inotify_init1() -> int:
    """inotify_init1(2): a descriptor, non-blocking, closed on exec. EMFILE: the user's limit of instances."""
    return check(lib.tbx_watch_open())


def inotify_add_watch(watch_fd: int, path: bytes, mask: int) -> int:
    """inotify_add_watch(2): the watch's number. ENOSPC: the user's limit of watches is reached."""
    return check(lib.tbx_watch_add(watch_fd, path, mask), os.fsdecode(path))


def inotify_rm_watch(watch_fd: int, watch: int) -> None:
    """inotify_rm_watch(2); IN_IGNORED follows."""
    check(lib.tbx_watch_remove(watch_fd, watch))


def malloc_trim() -> bool:
    """Gives free memory of malloc back to the kernel. False: none was free, or this libc (musl) cannot."""
    return lib.tbx_heap_trim() == 1


def malloc_arena_max(count: int) -> bool:
    """Bounds malloc's arenas, of which glibc makes eight a core. Before threads start. False: libc cannot."""
    return lib.tbx_heap_limit_arenas(count) == 1


def malloc_keep(size_bytes: int, total_bytes: int) -> bool:
    """Has malloc keep total_bytes that were freed, blocks of up to size_bytes (at most 512 KiB) among them.

    By itself glibc gives a block of 128 KiB back to the kernel each time, and has it filled with zeros the next time.
    Before threads start. False: libc cannot.
    """
    return lib.tbx_heap_keep(size_bytes, total_bytes) == 1


def make_way(size_bytes: int) -> None:
    """Takes so much memory for a moment: what the kernel had to let go for it, its own cache, is free afterwards."""
    lib.tbx_memory_make_way(size_bytes)


class Heap(NamedTuple):
    """malloc's heap: bytes handed out, and bytes it has from the kernel; zeros where libc does not tell."""

    in_use: int
    held: int


def malloc_figures() -> Heap:
    """mallinfo2(3)."""
    out = ffi.new("tbx_heap *")
    lib.tbx_heap_read(out)
    return Heap(out.in_use, out.held)


def sqlite_memory() -> int:
    """Bytes that SQLite has allocated in this process; 0 where it cannot be asked."""
    return max(lib.tbx_sqlite_memory(), 0)
