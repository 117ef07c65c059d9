"""Kernel calls: what they do, what they raise, and the walk that stands in for openat2."""

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toastbox.native import posix
from toastbox.native.arena import Arena
from toastbox.native.scan import list_directory

Forced = Callable[[], None]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_noreplace_keeps_what_is_there(tmp_path: Path, directory: int) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with pytest.raises(FileExistsError):
        posix.renameat2(directory, b"a", directory, b"b", posix.RENAME_NOREPLACE)
    assert (tmp_path / "b").read_text() == "b"
    posix.renameat2(directory, b"a", directory, b"c", posix.RENAME_NOREPLACE)
    assert sorted(os.listdir(tmp_path)) == ["b", "c"]


def test_exchange_swaps(tmp_path: Path, directory: int) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").mkdir()
    posix.renameat2(directory, b"a", directory, b"b", posix.RENAME_EXCHANGE)
    assert (tmp_path / "b").read_text() == "a" and (tmp_path / "a").is_dir()
    with pytest.raises(FileNotFoundError):
        posix.renameat2(directory, b"a", directory, b"none", posix.RENAME_EXCHANGE)


@pytest.mark.parametrize("time_ns", [-1, 0, 1_234_567_891, 2**31 * 10**9 - 1])
def test_time_is_set_of_a_name_a_link_and_a_descriptor(tmp_path: Path, directory: int, time_ns: int) -> None:
    (tmp_path / "x").write_bytes(b"1")
    (tmp_path / "link").symlink_to("x")
    posix.set_time(directory, b"link", 5)
    with open(tmp_path / "x") as file:
        posix.set_time(file.fileno(), b"", time_ns)
    assert os.stat(tmp_path / "x").st_mtime_ns == os.stat(tmp_path / "x").st_atime_ns == time_ns
    assert os.lstat(tmp_path / "link").st_mtime_ns == 5
    posix.set_time(directory, b"x", 7)
    assert os.stat(tmp_path / "x").st_mtime_ns == 7
    with pytest.raises(FileNotFoundError, match="missing"):
        posix.set_time(directory, b"missing", 0)


def test_plain_rename_replaces(tmp_path: Path, directory: int) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    posix.renameat2(directory, b"a", directory, b"b")
    assert os.listdir(tmp_path) == ["b"] and (tmp_path / "b").read_text() == "a"


def test_file_system_has_an_identity(tmp_path: Path, directory: int) -> None:
    with open("/proc/self/status", "rb") as other:
        assert posix.statfs(other.fileno()).type == 0x9FA0
        assert posix.statfs(other.fileno()) != posix.statfs(directory)
    (tmp_path / "below").mkdir()
    fd = os.open(tmp_path / "below", os.O_RDONLY)
    assert posix.statfs(fd) == posix.statfs(directory)
    posix.syncfs(fd)
    os.close(fd)
    for call in (posix.statfs, posix.syncfs):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call(fd)


class _NoOpenat2:
    """The extension's lib, with an openat2 that answers as an old kernel does."""

    def __init__(self, real: object, number: int) -> None:
        self._real = real
        self._number = number
        self.calls = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def tbx_file_open(self, *_: object) -> int:
        self.calls += 1
        posix.ffi.errno = self._number
        return posix.lib.TBX_ERR_SYSTEM


@pytest.fixture(params=["kernel", errno.ENOSYS, errno.EPERM, errno.EINVAL])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs a test with openat2 and with every answer that makes the walk stand in."""
    if request.param == "kernel":
        yield
        return
    forced = _NoOpenat2(posix.lib, request.param)
    monkeypatch.setattr(posix, "lib", forced)
    yield
    assert forced.calls > 0


def open_and_close(directory: int, path: bytes, flags: int = os.O_RDONLY, mode: int = 0) -> None:
    os.close(posix.open_beneath(directory, path, flags, mode))


@pytest.mark.usefixtures("way")
def test_opens_files_and_folders_below(tmp_path: Path, directory: int) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    (tmp_path / "one" / "two" / "file").write_text("deep")
    fd = posix.open_beneath(directory, b"one/two/file", os.O_RDONLY)
    assert os.read(fd, 10) == b"deep" and not os.get_inheritable(fd)
    os.close(fd)
    fd = posix.open_beneath(directory, b".", os.O_RDONLY | os.O_DIRECTORY)
    assert os.listdir(fd) == ["one"]
    os.close(fd)


@pytest.mark.usefixtures("way")
def test_creates_with_mode(tmp_path: Path, directory: int) -> None:
    open_and_close(directory, b"new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    with pytest.raises(FileExistsError):
        open_and_close(directory, b"new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    open_and_close(directory, b"new", os.O_RDONLY, 0o777)


@pytest.mark.usefixtures("way")
def test_follows_no_link_anywhere(tmp_path: Path, directory: int) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    (tmp_path / "leaf").symlink_to("real/file")
    (tmp_path / "parent").symlink_to("real")
    (tmp_path / "out").symlink_to("/etc")
    for path in (b"leaf", b"parent/file", b"out/passwd", b"parent", b"out"):
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECTORY, os.O_CREAT | os.O_WRONLY):
            with pytest.raises(OSError) as caught:
                open_and_close(directory, path, flags, 0o600)
            assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR), path
    fd = posix.open_beneath(directory, b"leaf", os.O_PATH | os.O_NOFOLLOW)
    assert os.readlink(b"", dir_fd=fd) == b"real/file"
    os.close(fd)


@pytest.mark.usefixtures("way")
def test_missing_and_wrong_kinds_are_told_apart(tmp_path: Path, directory: int) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        open_and_close(directory, b"none/below")
    with pytest.raises(NotADirectoryError):
        open_and_close(directory, b"file/below")


@pytest.mark.usefixtures("way")
def test_walk_leaks_no_descriptor(tmp_path: Path, directory: int) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    open_and_close(directory, b"a/b/c")
    before = len(os.listdir("/proc/self/fd"))
    open_and_close(directory, b"a/b/c")
    with pytest.raises(FileNotFoundError):
        open_and_close(directory, b"a/b/none/d")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("path", [b"", b"/etc", b"..", b"a/../b", b"a//b", b"a/", b"./a", b"a/.", b"a\0b"])
def test_paths_that_are_not_plain_are_refused(directory: int, path: bytes) -> None:
    with pytest.raises(OSError) as caught:
        posix.open_beneath(directory, path, os.O_RDONLY)
    assert caught.value.errno == errno.EINVAL


def test_inotify_tells_of_a_new_file(tmp_path: Path) -> None:
    fd = posix.inotify_init1()
    watch = posix.inotify_add_watch(fd, os.fsencode(tmp_path), posix.IN_CREATE | posix.IN_ONLYDIR)
    with pytest.raises(BlockingIOError):
        os.read(fd, 4096)
    (tmp_path / "new").touch()
    event = os.read(fd, 4096)
    assert event[:4] == watch.to_bytes(4, "little") and event[16:].rstrip(b"\0") == b"new"
    posix.inotify_rm_watch(fd, watch)
    with pytest.raises(OSError, match="Invalid argument"):
        posix.inotify_rm_watch(fd, watch)
    with pytest.raises(FileNotFoundError):
        posix.inotify_add_watch(fd, b"/none", posix.IN_CREATE)
    os.close(fd)


def test_freed_blocks_are_kept_for_the_next_malloc() -> None:
    """In a process of its own, as the setting stays."""
    program = """
from toastbox.native import posix
from toastbox.native.arena import Arena
from toastbox.native.scan import list_directory
kept = posix.malloc_keep(512 << 10, 8 << 20)
before = posix.malloc_figures().held
blocks = [bytes(256 << 10) for _ in range(16)]
blocks.clear()
print(int(kept), posix.malloc_figures().held - before)
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    has_keep = hasattr(ctypes.CDLL(None), "malloc_trim")
    assert told[0] == str(int(has_keep))
    assert not has_keep or int(told[1]) > 3 << 20


def test_heap_helpers_tell_whether_libc_has_them() -> None:
    has_trim = hasattr(ctypes.CDLL(None), "malloc_trim")
    assert posix.malloc_arena_max(2) == has_trim
    assert posix.malloc_trim() in ((True, False) if has_trim else (False,))


def test_names_are_listed_from_a_folders_beginning_however_far_it_was_read(tmp_path: Path, directory: int) -> None:
    """On btrfs it must be so even of one not read yet, for names made since it was opened."""
    (tmp_path / "name").touch()
    list_directory(directory, Arena(1 << 20)).release()
    assert os.listdir(directory) == []  # as Python lists: from where it was read to
    list_directory(directory, Arena(1 << 20)).release()
    assert posix.list_names(directory) == ["name"]
