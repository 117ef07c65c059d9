"""The watcher against the real kernel; time is ours, so nothing depends on how fast the machine is."""

import errno
import os
import select
import socket
import threading
from pathlib import Path

import pytest

from manual import ManualClock
from toastbox.device import watch
from toastbox.device.seen import seen_of
from toastbox.device.settle import QUIET_S, SETTLE_S
from toastbox.device.watch import Watcher
from toastbox.native import posix
from toastbox.native.scan import look


class Watched:
    """A folder, its watcher and the clock between them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = ManualClock()
        self.skipped: set[bytes] = set()
        self.watcher = Watcher(str(root), self.clock, self.skipped.__contains__)

    def changes(self, after_s: float = SETTLE_S) -> dict[bytes, bool]:
        """What the watcher reports when after_s have passed."""
        self.watcher.read()
        self.clock.now_s += after_s
        batch = self.watcher.take()
        assert not batch.everything
        return batch.paths

    def everything(self) -> bool:
        self.watcher.read()
        self.clock.now_s += SETTLE_S
        return self.watcher.take().everything


@pytest.fixture
def watched(tmp_path):
    for name in ("a/b", ".toastbox/stage"):
        (tmp_path / name).mkdir(parents=True)
    made = Watched(tmp_path)
    yield made
    made.watcher.close()


def test_saved_file_is_reported_once_settled(watched):
    (watched.root / "a/b/file").write_bytes(b"x")
    assert watched.changes(0) == {}
    assert watched.changes() == {b"a/b/file": False}
    assert watched.changes(60) == {}


def test_idle_watcher_has_nothing_due_and_nothing_to_read(watched):
    assert watched.watcher.due_s() is None
    assert select.select([watched.watcher.fd], [], [], 0)[0] == []


def test_file_kept_open_waits_for_quiet(watched):
    with open(watched.root / "log", "ab", buffering=0) as file:
        file.write(b"line")
        assert watched.changes() == {}
        assert watched.changes(QUIET_S) == {b"log": False}
        file.write(b"line")
        assert watched.changes() == {}
    assert watched.changes() == {b"log": False}


def test_new_name_of_a_complete_thing_does_not_wait(watched):
    (watched.root / "file").write_bytes(b"x")
    assert watched.changes() == {b"file": False}
    os.link(watched.root / "file", watched.root / "hard")
    os.symlink("file", watched.root / "soft")
    os.mkfifo(watched.root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(watched.root / "socket"))
    paths = watched.changes()
    assert {b"hard", b"soft", b"pipe", b"socket"} <= paths.keys()


def test_rename_reports_both_names(watched):
    (watched.root / "old").write_bytes(b"x")
    watched.changes()
    (watched.root / "old").rename(watched.root / "a/new")
    assert watched.changes() == {b"old": False, b"a/new": False}


def test_deletion_and_mode_are_reported(watched):
    (watched.root / "one").write_bytes(b"x")
    (watched.root / "two").write_bytes(b"x")
    watched.changes()
    (watched.root / "one").unlink()
    (watched.root / "two").chmod(0o755)
    assert watched.changes() == {b"one": False, b"two": False}


def test_content_of_a_new_folder_made_before_its_watch_is_covered(watched):
    os.makedirs(watched.root / "new/deep")
    (watched.root / "new/deep/file").write_bytes(b"x")
    assert watched.changes()[b"new"] is True
    (watched.root / "new/deep/later").write_bytes(b"x")
    assert watched.changes() == {b"new/deep/later": False}


def test_folder_moved_in_is_watched_below(watched, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "tree"
    (outside / "deep").mkdir(parents=True)
    outside.rename(watched.root / "tree")
    assert watched.changes() == {b"tree": True}
    (watched.root / "tree/deep/file").write_bytes(b"x")
    assert watched.changes() == {b"tree/deep/file": False}


def test_folder_moved_within_reports_its_new_path(watched):
    (watched.root / "a").rename(watched.root / "z")
    assert watched.changes() == {b"a": True, b"z": True}
    (watched.root / "z/b/file").write_bytes(b"x")
    assert watched.changes() == {b"z/b/file": False}
    assert len(watched.watcher) == 3


def test_folder_moved_out_is_no_longer_watched(watched, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "gone"
    (watched.root / "a").rename(outside)
    assert watched.changes() == {b"a": True}
    (outside / "b/file").write_bytes(b"x")
    assert watched.changes() == {}
    assert len(watched.watcher) == 1


def test_removed_folders_leave_the_table(watched):
    (watched.root / "a/b").rmdir()
    (watched.root / "a").rmdir()
    assert watched.changes() == {b"a": True, b"a/b": True}
    assert len(watched.watcher) == 1


def test_state_folder_is_never_watched(watched):
    (watched.root / ".toastbox/stage/file").write_bytes(b"x")
    (watched.root / ".toastbox/index.db").write_bytes(b"x")
    os.rename(watched.root / ".toastbox/stage/file", watched.root / ".toastbox/file")
    assert watched.changes() == {}
    (watched.root / ".toastbox/stage").rmdir()
    (watched.root / "a/.toastbox").write_bytes(b"an ordinary name in a folder below")
    assert watched.changes() == {b"a/.toastbox": False}


def test_links_are_not_followed(watched, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (watched.root / "link").symlink_to(outside, target_is_directory=True)
    assert watched.changes() == {b"link": False}
    watched.watcher.rewatch()
    (outside / "file").write_bytes(b"x")
    assert watched.changes() == {}


def test_skipped_folders_cost_no_watch(watched):
    watched.skipped.add(b"node_modules")
    (watched.root / "node_modules/deep").mkdir(parents=True)
    before = len(watched.watcher)
    assert watched.changes() == {b"node_modules": True}
    assert len(watched.watcher) == before


def test_names_are_bytes(watched):
    name = b"\xff\xfe \n\xc3\xa9"
    with open(os.path.join(os.fsencode(watched.root), name), "wb"):
        pass
    assert watched.changes() == {name: False}


def test_overflow_asks_for_everything_and_watches_what_was_missed(watched):
    os.makedirs(watched.root / "missed/deep")
    event = watch._EVENT.pack(-1, posix.IN_Q_OVERFLOW, 0, 0)
    while watched.watcher._read():
        pass
    watched.watcher._read = iter([event, b""]).__next__
    assert watched.everything()
    del watched.watcher._read
    (watched.root / "missed/deep/file").write_bytes(b"x")
    assert watched.changes() == {b"missed/deep/file": False}


def test_kernel_queue_really_overflows_into_everything(watched):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 2 + 2):
        path = watched.root / f"file{number % 100}"
        path.touch()
        path.unlink()
    assert watched.everything()


def test_root_that_moves_away_asks_for_everything(watched):
    watched.root.rename(watched.root.with_name("elsewhere"))
    assert watched.everything()


def test_watch_limit_is_reported_with_the_number_needed(tmp_path, monkeypatch):
    for name in ("a/b/c", "d"):
        (tmp_path / name).mkdir(parents=True)
    add, added = posix.inotify_add_watch, []

    def add_three(fd, path, mask):
        if len(added) == 3:
            raise OSError(errno.ENOSPC, "no space")
        added.append(path)
        return add(fd, path, mask)

    monkeypatch.setattr(posix, "inotify_add_watch", add_three)
    watched = Watched(tmp_path)
    assert f"max_user_watches to at least {watch.watch_limit() + 2}" in watched.watcher.trouble
    monkeypatch.setattr(posix, "inotify_add_watch", add)
    watched.watcher.rewatch()
    assert (watched.watcher.trouble, len(watched.watcher)) == ("", 5)
    watched.watcher.close()


def test_no_instance_left_degrades_to_scanning(tmp_path, monkeypatch):
    def refuse():
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(posix, "inotify_init1", refuse)
    watched = Watched(tmp_path)
    assert "max_user_instances" in watched.watcher.trouble
    (tmp_path / "file").touch()
    watched.watcher.rewatch()
    assert watched.changes() == {}
    watched.watcher.close()


# --- our own publishing


def publish(watched, path, data=b"x"):
    """As device/folder.py does it: a staged file renamed into place."""
    staged = watched.root / ".toastbox/stage/1"
    staged.write_bytes(data)
    found = staged.stat()
    watched.watcher.expect(path, found.st_ino, found.st_size, found.st_mtime_ns)
    staged.rename(watched.root / os.fsdecode(path))


def test_own_publishing_is_no_news(watched):
    (watched.root / "gone").touch()
    watched.changes()
    publish(watched, b"a/file")
    watched.watcher.expect(b"gone")
    (watched.root / "gone").unlink()
    watched.watcher.published()
    assert watched.changes() == {}


def test_of_files_published_together_only_what_differs_is_news(watched):
    paths = [b"a/%d" % number for number in range(5)]
    staged = [watched.root / ".toastbox/stage" / str(number) for number in range(5)]
    for file in staged:
        file.write_bytes(b"x")
    looks = [seen_of(b"", look(posix.AT_FDCWD, os.fsencode(file))) for file in staged]
    watched.watcher.expect_files(zip(paths, looks, strict=True))
    for path, file in zip(paths, staged, strict=True):
        file.rename(watched.root / os.fsdecode(path))
    (watched.root / "a/3").unlink()
    (watched.root / "a/3").write_bytes(b"its owner's")
    watched.watcher.published()
    assert watched.changes() == {b"a/3": False}


def test_edit_right_after_our_publishing_is_news(watched):
    publish(watched, b"replaced")
    publish(watched, b"edited")
    publish(watched, b"removed")
    (watched.root / "other").write_bytes(b"x")
    (watched.root / "other").rename(watched.root / "replaced")
    with open(watched.root / "edited", "r+b") as file:
        file.write(b"y")
    (watched.root / "removed").unlink()
    watched.watcher.published()
    assert {b"replaced", b"edited", b"removed"} <= watched.changes().keys()


def test_expectation_ends_with_its_events(watched):
    publish(watched, b"file")
    watched.watcher.published()
    watched.watcher.read()
    (watched.root / "file").rename(watched.root / "aside")
    (watched.root / "aside").rename(watched.root / "file")
    assert b"file" in watched.changes()


def test_expectation_outlives_reading_until_the_batch_is_done(watched):
    (watched.root / "gone").touch()
    watched.changes()
    watched.watcher.expect(b"gone")
    watched.watcher.read()
    (watched.root / "gone").unlink()
    assert watched.changes() == {}


def test_own_folder_is_watched_and_others_files_in_it_are_found(watched):
    new = watched.root / "new"
    new.mkdir()
    watched.watcher.expect_folder(b"new")
    publish(watched, b"new/ours")
    (new / "theirs").mkdir()
    watched.watcher.published()
    assert watched.changes() == {b"new/theirs": True}
    (new / "theirs/file").touch()
    assert watched.changes() == {b"new/theirs/file": False}


def test_tree_too_deep_to_be_named_is_left_alone_and_the_rest_is_told(watched):
    (watched.root / "deep").mkdir()
    watched.changes()
    descriptor = os.open(watched.root / "deep", os.O_RDONLY)
    for _ in range(18):
        os.mkdir("d" * 250, dir_fd=descriptor)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    (watched.root / "file").write_bytes(b"x")
    changes = watched.changes()
    assert b"file" in changes and b"deep/" + b"d" * 250 in changes
    assert len(watched.watcher) < 2 + 3 + 18


def test_folder_that_is_opened_to_us_is_looked_at_and_watched(watched, monkeypatch):
    opens = posix.open_beneath

    def refuse(root: int, path: bytes, flags: int) -> int:
        if path == b"locked":
            raise OSError(errno.EACCES, "locked")
        return opens(root, path, flags)

    monkeypatch.setattr(posix, "open_beneath", refuse)
    (watched.root / "locked").mkdir()
    assert watched.changes() == {b"locked": True}
    (watched.root / "a").chmod(0o700)
    assert watched.changes() == {}
    monkeypatch.undo()
    (watched.root / "locked").chmod(0o700)
    assert watched.changes() == {b"locked": True}
    (watched.root / "locked/file").write_bytes(b"x")
    assert watched.changes() == {b"locked/file": False}


def test_publishing_goes_on_while_the_watcher_forgets(watched) -> None:
    """In a thread of its own, that may get its turn anywhere: nothing breaks, and what is expected then stays so."""
    publishers = []

    class Generation(int):
        def __ge__(self, oldest: int) -> bool:
            publishers.append(threading.Thread(target=watched.watcher.expect, args=(b"late", 1, 1, 1)))
            publishers[-1].start()
            publishers[-1].join(0.1)
            return int(self) >= oldest

    watched.watcher._expected = {b"%d" % number: ((1, 1, 1), Generation(0)) for number in range(3)}
    watched.watcher.published()
    watched.watcher.read()
    for publisher in publishers:
        publisher.join()
    assert len(publishers) == 3 and list(watched.watcher._expected) == [b"late"]


def test_what_is_expected_is_bounded_when_no_events_come(tmp_path: Path) -> None:
    watcher = Watcher(str(tmp_path), ManualClock(), lambda path: False)
    for batch in range(30):
        for number in range(1000):
            watcher.expect(b"%d/%d" % (batch, number), 1, 1, 1)
        watcher.published()
    assert len(watcher._expected) <= 10_000
    assert b"29/999" in watcher._expected
    watcher.close()
