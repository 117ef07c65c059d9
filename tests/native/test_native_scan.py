"""Directory listings: as lstat sees them, in byte order, in bounded memory."""

import errno
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toastbox.errors import ArenaFull
from toastbox.native import posix
from toastbox.native.arena import Arena
from toastbox.native.scan import (
    FILE,
    FOLDER,
    LINK,
    OTHER,
    Record,
    Taken,
    identify,
    list_directory,
    look,
    make_file,
    make_files,
    move_file,
    move_files,
    take_files,
)

PATIENCE_S = 20.0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def expected(fd: int, name: bytes, kind: int) -> Record:
    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    return Record(
        name,
        kind,
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
        found.st_dev,
    )


def test_records_are_what_lstat_says(tmp_path: Path, directory: int) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.utime(tmp_path / "file", ns=(5, -1_500_000_001))
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    kinds = {b"file": FILE, b"folder": FOLDER, b"link": LINK, b"pipe": OTHER, b"socket": OTHER}
    with list_directory(directory, Arena(1 << 16)) as listing:
        assert list(listing) == [expected(directory, name, kind) for name, kind in kinds.items()]
        assert listing[0].mtime_ns == -1_500_000_001
        assert len(listing) == 5 and not listing.more


def keeps(path: Path, second: int) -> bool:
    """Whether the file system has kept a time. A 32-bit Python cannot say most of them: then it has."""
    try:
        return os.stat(path).st_mtime_ns == second * 10**9
    except OSError as error:
        return error.errno == errno.EOVERFLOW


@pytest.mark.parametrize(
    ("second", "stamp_ns"),
    [
        (9_223_372_035, 9_223_372_035_000_000_000),
        (9_223_372_036, 9_223_372_035_999_999_999),
        (15_000_000_000, 9_223_372_035_999_999_999),  # the year 2445, about the last one of ext4
        (-9_223_372_037, -9_223_372_036_000_000_000),
    ],
)
def test_times_beyond_64_bits_of_nanoseconds_are_the_last_or_first(
    tmp_path: Path, directory: int, second: int, stamp_ns: int
) -> None:
    (tmp_path / "file").write_bytes(b"1")
    posix.set_time(directory, b"file", second * 10**9)
    record = list_directory(directory, Arena(1 << 16))[0]
    assert record.mtime_ns == (stamp_ns if keeps(tmp_path / "file", second) else os.stat(tmp_path / "file").st_mtime_ns)
    with open(tmp_path / "file") as file:
        assert record == look(directory, b"file") == look(file.fileno())._replace(name=b"file")


def test_look_follows_no_link_and_says_what_is_missing(tmp_path: Path, directory: int) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert look(directory, b"link").kind == LINK
    assert look(directory) == expected(directory, b".", FOLDER)._replace(name=b"")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        look(directory, b"nowhere")
    with pytest.raises(OSError, match="Bad file descriptor"):
        look(-1, b"")


@pytest.mark.parametrize("size", [0, 1, 200_000])
def test_file_is_made_in_one_call(tmp_path: Path, directory: int, size: int) -> None:
    content = random.Random(size).randbytes(size)
    (tmp_path / "x").write_bytes(bytes(300_000))
    old = os.umask(0o077)
    try:
        made = make_file(directory, b"x", memoryview(content), 1_234_567_890_123, 0o755)
        new = make_file(directory, b"y", content, 5, 0o644)
    finally:
        os.umask(old)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes() == content
    assert made == expected(directory, b"x", FILE) and new == expected(directory, b"y", FILE)
    assert (made.mtime_ns, made.mode & 0o7777, new.mode & 0o7777) == (1_234_567_890_123, 0o755, 0o644)


def test_file_is_made_through_no_link(tmp_path: Path, directory: int) -> None:
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "x").write_bytes(b"kept")
    with pytest.raises(OSError, match="link"):
        make_file(directory, b"link", b"1", 0, 0o644)
    assert take_files(directory, [b"link"], memoryview(bytearray(10)), 10) == [Taken(0, None, errno.ELOOP)]
    assert (tmp_path / "x").read_bytes() == b"kept"


def test_full_disk_is_said() -> None:
    fd = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match="No space left"):
            make_file(fd, b"full", b"1", 0, 0o666)
    finally:
        os.close(fd)


def test_files_are_read_one_behind_the_other_each_as_far_as_it_may_take(tmp_path: Path, directory: int) -> None:
    contents = {b"%d" % size: random.Random(size).randbytes(size) for size in (0, 1, 99, 100, 101, 5000)}
    for name, content in contents.items():
        (tmp_path / name.decode()).write_bytes(content)
    buffer = memoryview(bytearray(600))
    taken = take_files(directory, list(contents), buffer, 100)
    at = 0
    for (name, content), found in zip(contents.items(), taken, strict=True):
        assert (found.size, found.error) == (min(len(content), 100), 0)
        assert found.seen == expected(directory, name, FILE)
        assert bytes(buffer[at : at + found.size]) == content[:100]
        at += found.size
    assert not any(buffer[at:])


@pytest.mark.parametrize(("room", "count"), [(9, 0), (10, 1), (14, 1), (15, 2), (19, 2), (20, 3), (100, 3)])
def test_files_are_left_out_from_the_first_for_which_there_may_be_no_room(
    tmp_path: Path, directory: int, room: int, count: int
) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"12345")
    buffer = memoryview(bytearray(room))
    taken = take_files(directory, [b"a", b"b", b"c"], buffer, 10)
    assert [found.size for found in taken] == [5] * count
    assert bytes(buffer[: 5 * count]) == b"12345" * count and not any(buffer[5 * count :])


def test_what_cannot_be_read_takes_no_room_and_stops_nothing(tmp_path: Path, directory: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "x").write_bytes(b"content")
    buffer = memoryview(bytearray(20))
    missing, pipe, folder, link, x = take_files(directory, [b"missing", b"pipe", b"folder", b"link", b"x"], buffer, 10)
    assert missing == Taken(0, None, errno.ENOENT) and link == Taken(0, None, errno.ELOOP)
    assert [(each.size, each.error, each.seen and each.seen.kind) for each in (pipe, folder)] == [
        (0, 0, OTHER),
        (0, 0, FOLDER),
    ]
    assert (x.size, bytes(buffer[:7])) == (7, b"content") and not any(buffer[7:])


def test_file_that_changes_while_it_is_read_is_told_from_one_that_does_not(tmp_path: Path, directory: int) -> None:
    """Somebody writes to it without a rest, as fast as it is read."""
    (tmp_path / "x").write_bytes(bytes(1 << 20))
    (tmp_path / "still").write_bytes(bytes(1 << 20))
    buffer, over = memoryview(bytearray(2 << 20)), threading.Event()

    def write() -> None:
        with (tmp_path / "x").open("r+b", buffering=0) as file:
            number = 0
            while not over.is_set():
                number += 1
                os.utime(file.fileno(), ns=(number, number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        changed = 0
        until = time.monotonic() + PATIENCE_S
        while not changed and time.monotonic() < until:
            x, still = take_files(directory, [b"x", b"still"], buffer, 1 << 20)
            changed += x.seen is None
            assert (x.size, x.error, still.size, still.error) == (1 << 20, 0, 1 << 20, 0) and still.seen is not None
    finally:
        over.set()
        writer.join()
    assert changed


def test_names_of_any_bytes_come_in_byte_order(tmp_path: Path, directory: int) -> None:
    names = [b"a", b"a\x01", b"B", b"\xff\xfe", b"\n", b"...", b".x", b"x" * 255, "é".encode(), b"aa"]
    for name in names:
        os.close(os.open(name, os.O_CREAT, dir_fd=directory))
    listing = list_directory(directory, Arena(1 << 16))
    assert [record.name for record in listing] == sorted(names)


def test_empty_directory_takes_no_memory(directory: int) -> None:
    arena = Arena(4096)
    with list_directory(directory, arena) as listing:
        assert list(listing) == [] and not listing.more
        assert arena.stats()[0].in_use_bytes == 0


def in_passes(fd: int, arena: Arena, max_bytes: int = 0) -> tuple[list[bytes], int]:
    """All names, and the number of listings it took."""
    names: list[bytes] = []
    passes, more = 0, True
    while more:
        with list_directory(fd, arena, names[-1] if names else b"", max_bytes) as listing:
            found = [record.name for record in listing]
            assert found and (not names or names[-1] < found[0])
            names += found
            more = listing.more
        passes += 1
    return names, passes


@pytest.mark.parametrize(("arena_bytes", "max_bytes"), [(8192, 0), (2048, 0), (1 << 20, 5000)])
def test_3000_names_in_a_tiny_arena(tmp_path: Path, directory: int, arena_bytes: int, max_bytes: int) -> None:
    source = random.Random(3000)
    names = {f"{source.getrandbits(40):x}{'y' * source.randrange(60)}".encode() for _ in range(3000)}
    for name in names:
        os.close(os.open(name, os.O_CREAT, dir_fd=directory))
    arena = Arena(arena_bytes)
    found, passes = in_passes(directory, arena, max_bytes)
    assert found == sorted(names)
    # Three quarters of the memory at least is filled in every pass, at most 120 bytes a record.
    assert 10 < passes <= 3000 / ((max_bytes or arena_bytes) * 3 // 4 // 120) + 1
    assert arena.stats()[0].in_use_bytes == 0
    assert arena.stats()[0].peak_bytes <= (max_bytes or arena_bytes)


def test_listing_in_ample_memory_is_one_pass_of_under_100_bytes_a_name(directory: int) -> None:
    for number in range(1000):
        os.close(os.open(b"photo-%08d.jpg" % number, os.O_CREAT, dir_fd=directory))
    arena = Arena(1 << 20)
    with list_directory(directory, arena) as listing:
        assert len(listing) == 1000 and not listing.more
        assert arena.stats()[0].in_use_bytes < 100 * 1000
        assert arena.stats()[0].peak_bytes < 100 * 1000


def test_after_leaves_out_names_up_to_it(directory: int) -> None:
    for name in (b"a", b"b", b"ba", b"c"):
        os.close(os.open(name, os.O_CREAT, dir_fd=directory))
    arena = Arena(1 << 16)
    assert [record.name for record in list_directory(directory, arena, b"b")] == [b"ba", b"c"]
    assert list(list_directory(directory, arena, b"c")) == []


def test_refused_only_when_not_one_record_fits(directory: int) -> None:
    os.close(os.open(b"n" * 255, os.O_CREAT, dir_fd=directory))
    small, enough = Arena(288), Arena(320)
    with pytest.raises(ArenaFull):
        list_directory(directory, small)
    assert small.stats()[0].refusals == 1
    assert len(list_directory(directory, enough)) == 1


def test_walk_into_depth_keeps_the_listings_above(tmp_path: Path, directory: int) -> None:
    for number in range(40):
        (tmp_path / f"top{number}").mkdir()
        (tmp_path / f"top{number}" / "below").mkdir()
    arena = Arena(1 << 16)
    above = list_directory(directory, arena)
    for record in above:
        fd = os.open(record.name, os.O_RDONLY, dir_fd=directory)
        with list_directory(fd, arena) as below:
            assert [inner.name for inner in below] == [b"below"]
        os.close(fd)
    assert len(above) == 40
    above.release()
    above.release()
    assert len(above) == 0 and arena.stats()[0].in_use_bytes == 0


def test_names_that_vanish_while_listing_are_left_out(tmp_path: Path, directory: int) -> None:
    """A thread makes and removes files all the time: the call runs without the GIL, so it may go on meanwhile."""
    for number in range(200):
        (tmp_path / f"stays{number}").touch()
    ended = threading.Event()

    def churn() -> None:
        while not ended.is_set():
            for number in range(50):
                (tmp_path / f"goes{number}").touch()
            for number in range(50):
                (tmp_path / f"goes{number}").unlink()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        arena = Arena(1 << 16)
        counts = set()
        for _ in range(400):
            with list_directory(directory, arena) as listing:
                names = [record.name for record in listing]
            counts.add(len(names))
            assert sum(name.startswith(b"stays") for name in names) == 200
    finally:
        ended.set()
        thread.join()
    assert len(counts) > 1


def test_errors_carry_errno(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with pytest.raises(NotADirectoryError):
        list_directory(fd, Arena(4096))
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        list_directory(fd, Arena(4096))


def test_many_names_are_looked_at_at_once(tmp_path: Path, directory: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"123")
    (tmp_path / "link").symlink_to("folder")
    names = [b"folder/file", b"missing", b"link", b"folder", b"folder/file/below", b""]
    file, missing, link, folder, below, itself = identify(directory, names)
    assert missing == below == ((0, 0, 0), 0)
    shown = (tmp_path / "folder" / "file").stat()
    assert file == ((shown.st_ino, 3, shown.st_mtime_ns), FILE)
    assert [kind for _, kind in (link, folder, itself)] == [LINK, FOLDER, FOLDER]
    for name, (is_there, _) in ((b"link", link), (b"", itself)):
        record = look(directory, name)
        assert is_there == (record.inode, record.size, record.mtime_ns)
    assert identify(directory, []) == []


def test_file_is_moved_and_looked_at_in_one_call(tmp_path: Path, directory: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "staged").write_bytes(b"new")
    (tmp_path / "folder" / "taken").write_bytes(b"kept")
    target = os.open(tmp_path / "folder", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            move_file(directory, b"staged", target, b"taken")
        with pytest.raises(FileNotFoundError):
            move_file(directory, b"missing", target, b"x")
        assert move_file(directory, b"staged", target, b"name") == look(target, b"name")
    finally:
        os.close(target)
    assert (tmp_path / "folder" / "name").read_bytes() == b"new" and not (tmp_path / "staged").exists()
    assert (tmp_path / "folder" / "taken").read_bytes() == b"kept"


def test_many_files_are_moved_and_what_cannot_be_stays(tmp_path: Path, directory: int) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("1", "2", "3"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "folder" / "b").write_bytes(b"kept")
    target = os.open(tmp_path / "folder", os.O_RDONLY | os.O_DIRECTORY)
    try:
        moved = move_files(directory, [b"1", b"2", b"missing", b"3"], target, [b"a", b"b", b"c", b"d"])
        assert moved == [(True, look(target, b"a")), (False, None), (False, None), (True, look(target, b"d"))]
        assert move_files(directory, [], target, []) == []
    finally:
        os.close(target)
    assert [(tmp_path / "folder" / name).read_bytes() for name in "abd"] == [b"1", b"kept", b"3"]
    assert (tmp_path / "2").read_bytes() == b"2"


def test_many_files_are_made_and_one_that_cannot_be_does_not_hold_up_the_rest(tmp_path: Path, directory: int) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "old").write_bytes(b"longer than what comes")
    files = [
        (b"empty", 0, 7, 0o600),
        (b"taken", 3, 7, 0o600),
        (b"old", 4, -(10**9) - 1, 0o755),
        (b"link", 1, 7, 0o600),
        (b"new", 2, 3 * 10**9 + 5, 0o640),
    ]
    empty, taken, old, link, new = make_files(directory, files, bytearray(b"xxxold.lnn"))
    assert taken is None and link is None and not (tmp_path / "elsewhere").exists()
    assert (empty, old, new) == (look(directory, b"empty"), look(directory, b"old"), look(directory, b"new"))
    assert [(tmp_path / name).read_bytes() for name in ("empty", "old", "new")] == [b"", b"old.", b"nn"]
    assert old is not None and (old.mtime_ns, old.mode & 0o7777) == (-(10**9) - 1, 0o755)
    assert new is not None and (new.mtime_ns, new.mode & 0o7777) == (3 * 10**9 + 5, 0o640)
    assert make_files(directory, [], b"") == []
