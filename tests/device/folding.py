"""A disk to which names that differ in case are one, made of an ordinary one: no FAT can be mounted everywhere.

Stands between device/folder.py and the kernel. Like FAT it keeps a name as it was first written, and finds it under any
other spelling.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from toastbox.device import folder as folder_module
from toastbox.device import stage as stage_module
from toastbox.native import posix
from toastbox.native.scan import Record, Taken, look, make_file, take_files


class Folding:
    """The calls of device/folder.py, for descriptors below root; all others go by."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)

    def spelled(self, fd: int, name: bytes | str) -> bytes:
        """The name as it is kept in the folder open at fd."""
        wanted = os.fsencode(name)
        place = os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))
        if wanted and (place + b"/").startswith(self._root + b"/"):
            names = {os.fsencode(each).decode("utf-8", "replace").casefold(): each for each in sorted(os.listdir(fd))}
            return os.fsencode(names.get(wanted.decode("utf-8", "replace").casefold(), wanted))
        return wanted

    def is_there(self, fd: int, name: bytes | str) -> bool:
        return os.path.lexists(b"/proc/self/fd/%d/%s" % (fd, self.spelled(fd, name)))

    def open_beneath(self, fd: int, path: bytes, flags: int, mode: int = 0) -> int:
        at = os.dup(fd)
        *above, last = path.split(b"/")
        for name in above:
            below = posix.open_beneath(at, self.spelled(at, name), os.O_RDONLY | os.O_DIRECTORY)
            os.close(at)
            at = below
        try:
            return posix.open_beneath(at, self.spelled(at, last), flags, mode)
        finally:
            os.close(at)

    def renameat2(self, source: int, old: bytes, target: int, new: bytes, flags: int = 0) -> None:
        if flags == posix.RENAME_NOREPLACE and self.is_there(target, new):
            raise OSError(errno.EEXIST, "File exists")
        if flags == posix.RENAME_EXCHANGE:
            raise OSError(errno.EINVAL, "Invalid argument")
        self.rename(old, new, src_dir_fd=source, dst_dir_fd=target)

    def move_file(self, source: int, old: bytes, target: int, new: bytes) -> Record | None:
        self.renameat2(source, old, target, new, posix.RENAME_NOREPLACE)
        return look(target, self.spelled(target, new))

    def rename(self, old: Any, new: Any, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        old, there = self.spelled(src_dir_fd, old), self.spelled(dst_dir_fd, new)
        itself = self.is_there(dst_dir_fd, new) and look(src_dir_fd, old).inode == look(dst_dir_fd, there).inode
        os.rename(old, os.fsencode(new) if itself else there, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return os.open(path if dir_fd is None else self.spelled(dir_fd, path), flags, mode, dir_fd=dir_fd)

    def in_folder(self, call: Any) -> Any:
        """A call of `os` that takes a name and dir_fd."""
        return lambda name, *more, dir_fd=None, **others: call(
            name if dir_fd is None else self.spelled(dir_fd, name), *more, dir_fd=dir_fd, **others
        )

    def symlink(self, target: bytes, path: Any, *, dir_fd: int) -> None:
        os.symlink(target, self.spelled(dir_fd, path), dir_fd=dir_fd)

    def by_name(self, call: Any) -> Any:
        """A call that takes a descriptor and a name in it, b"" for the descriptor itself."""
        return lambda fd, name=b"", *more: call(fd, self.spelled(fd, name) if name else b"", *more)

    def take_files(self, fd: int, names: Sequence[bytes], buffer: memoryview, most: int) -> list[Taken]:
        return take_files(fd, [self.spelled(fd, name) for name in names], buffer, most)

    @contextmanager
    def installed(self) -> Iterator[None]:
        stand_in = {
            name: self.in_folder(getattr(os, name)) for name in ("mkdir", "rmdir", "unlink", "stat", "readlink")
        }
        kernel = SimpleNamespace(**{**vars(os), **stand_in, "open": self.open, "rename": self.rename})
        kernel.symlink = self.symlink
        calls = SimpleNamespace(**vars(posix))
        calls.open_beneath, calls.renameat2 = self.open_beneath, self.renameat2
        calls.set_time = self.by_name(posix.set_time)
        shared: Any = {"os": kernel, "posix": calls, "look": self.by_name(look)}
        named: Any = {"take_files": self.take_files, "move_file": self.move_file}
        with (
            mock.patch.multiple(folder_module, **shared, **named),
            mock.patch.multiple(stage_module, **shared, make_file=self.by_name(make_file)),
        ):
            yield
