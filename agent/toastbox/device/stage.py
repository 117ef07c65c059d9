"""The stage: where content is made whole before it gets its name in the folder.

FOLDER/.toastbox/stage is on the folder's own file system, so that what is staged is published with one rename. Names
are the caller's; nothing follows a link.
"""

import errno
import os
from contextlib import suppress

from toastbox.device.seen import Seen, seen_of
from toastbox.native import posix
from toastbox.native.scan import look, make_file, make_files

OPEN_STAGED = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
RESERVE_BYTES = 2 << 20


class Stage:
    """Staged files and links, on the directory open at fd, which is closed with it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)

    def open(self, name: str, mode: int) -> int:
        """A staged file for reading and writing, made with this mode when it is not there. Closed by the caller."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, mode, dir_fd=self.fd)

    def finish(self, descriptor: int, mtime_ns: int, mode: int) -> Seen:
        """Give a staged file its time and permission bits; how it looks then."""
        posix.set_time(descriptor, b"", mtime_ns)
        seen = seen_of(b"", look(descriptor))
        if seen.mode == mode:
            return seen
        with suppress(PermissionError):  # FAT has one mode for all files
            os.fchmod(descriptor, mode)
        return seen_of(b"", look(descriptor))

    def make(self, name: str, data: bytes | memoryview, mtime_ns: int, mode: int) -> Seen:
        """Stage a file in one call; how it looks. OSError: it may be there in part."""
        return seen_of(b"", make_file(self.fd, os.fsencode(name), data, mtime_ns, mode))

    def make_all(self, files: list[tuple[bytes, int, int, int]], data: bytearray) -> list[Seen | None]:
        """`make` for many: (name, size, mtime_ns, mode), and their contents one after the other. None: it failed."""
        return [seen_of(b"", record) if record else None for record in make_files(self.fd, files, data)]

    def link(self, name: str, target: bytes, mtime_ns: int) -> Seen:
        """Stage a symbolic link; how it looks."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)
        os.symlink(target, os.fsencode(name), dir_fd=self.fd)
        posix.set_time(self.fd, os.fsencode(name), mtime_ns)
        return seen_of(b"", look(self.fd, os.fsencode(name)))

    def look(self, name: str) -> Seen | None:
        try:
            return seen_of(os.fsencode(name), look(self.fd, os.fsencode(name)))
        except FileNotFoundError:
            return None

    def free_bytes(self) -> int:
        """Room left on the file system for this user."""
        found = os.fstatvfs(self.fd)
        return found.f_bavail * found.f_frsize

    def room(self) -> int:
        """Bytes for content: what is free but for RESERVE_BYTES, which the index needs. May be below 0."""
        return self.free_bytes() - RESERVE_BYTES

    def has_room(self, size: int) -> bool:
        """Whether a new file of this size fits."""
        return size <= max(self.room(), 0)

    def names(self) -> list[str]:
        return posix.list_names(self.fd)

    def rename(self, name: str, new_name: str) -> None:
        os.rename(name, new_name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def flush(self, names: list[str]) -> None:
        """When this returns, these staged files are on stable storage under their staged names."""
        for name in names:
            try:
                descriptor = os.open(name, OPEN_STAGED, dir_fd=self.fd)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                os.fsync(self.fd)  # a link has no content to flush
                continue
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
