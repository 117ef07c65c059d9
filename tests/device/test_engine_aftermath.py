"""A file was saved and sent, nothing of it was flushed, and the power went. The tests put on disk what that leaves."""

import errno
import os
import time

import pytest

from local import Inline, LocalDevice, Trio, contents, settle
from toastbox.device import unsettled
from toastbox.device.folder import Folder
from toastbox.device.worker import CONFIRM_AFTER_S
from toastbox.native import posix


def saved(a: LocalDevice, b: LocalDevice) -> None:
    """A version that is on stable storage and one that is not, both with the hub and on b."""
    a.write("f", b"old version")
    settle(a, b)
    a.engine.settle()
    a.write("f", b"new version!")
    settle(a, b)


@pytest.mark.parametrize("left", [None, b"", b"old version", b"new version!"])
def test_what_the_cut_left_does_not_travel(trio: Trio, left: bytes | None) -> None:
    _, a, b = trio
    saved(a, b)
    (a.root / "f").unlink()
    if left is not None:
        a.write("f", left)
    a.reboot()
    a.engine.cycle()
    b.sync()
    assert contents(a) == contents(b) == {"f": b"new version!"}
    settle(a, b)
    assert contents(a) == contents(b) == {"f": b"new version!"}


@pytest.mark.parametrize("left", [b"new ver", bytes(12), b"old version"])
def test_file_that_shows_no_later_time_is_what_the_cut_left(trio: Trio, left: bytes) -> None:
    _, a, b = trio
    saved(a, b)
    os.utime(a.root / "f", (5, 5))
    settle(a, b)
    time.sleep(CONFIRM_AFTER_S)
    a.engine.confirm()
    (a.root / "f").write_bytes(left)
    os.utime(a.root / "f", (5, 5))
    a.reboot()
    settle(a, b)
    assert contents(a) == contents(b) == {"f": b"new version!"}


def test_edit_after_the_reboot_is_kept_beside(trio: Trio) -> None:
    _, a, b = trio
    saved(a, b)
    a.write("f", b"edited before the agent ran")
    a.reboot()
    settle(a, b)
    assert contents(a) == contents(b)
    assert sorted(map(str, contents(a).values())) == [str(b"edited before the agent ran"), str(b"new version!")]
    assert contents(b)["f"] == b"new version!"


def forget_deletion(a: LocalDevice, b: LocalDevice) -> None:
    """A deletion of f that both know of, and that a's disk has forgotten at the next start."""
    saved(a, b)
    a.engine.settle()
    (a.root / "f").unlink()
    settle(a, b)
    a.write("f", b"new version!")
    a.reboot()
    settle(a, b)


def test_deletion_that_the_disk_forgot_is_done_again(trio: Trio) -> None:
    _, a, b = trio
    forget_deletion(a, b)
    assert contents(a) == contents(b) == {}


def test_new_folder_that_the_disk_forgot_comes_again(trio: Trio) -> None:
    _, a, b = trio
    a.write("d/f", b"content")
    settle(a, b)
    (a.root / "d/f").unlink()
    (a.root / "d").rmdir()
    a.reboot()
    settle(a, b)
    assert contents(a) == contents(b) == {"d": None, "d/f": b"content"}


def test_newer_version_from_elsewhere_replaces_what_the_cut_left(trio: Trio) -> None:
    _, a, b = trio
    saved(a, b)
    b.write("f", b"newer, from b")
    b.sync()
    a.write("f", b"")
    a.reboot()
    settle(a, b)
    assert contents(a) == contents(b) == {"f": b"newer, from b"}


def test_index_older_than_the_disk_loses_nothing(trio: Trio) -> None:
    _, a, b = trio
    a.write("f", b"old version")
    settle(a, b)
    a.engine.settle()
    a.index.sync()
    a.index._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (a.root / ".toastbox/index.db").read_bytes()
    a.write("f", b"new version!")
    settle(a, b)
    a.index.close()
    (a.root / ".toastbox/index.db").write_bytes(before)
    a.write("f", b"new ver")
    a.reboot()
    settle(a, b)
    assert contents(a) == contents(b)
    assert contents(b)["f"] == b"new version!"


@pytest.mark.parametrize("flushed", [False, True])
def test_what_its_owner_did_travels(trio: Trio, flushed: bool) -> None:
    """After a kill without a power cut, and when all had been flushed before the cut."""
    _, a, b = trio
    saved(a, b)
    if flushed:
        a.engine.settle()
    a.write("f", b"")
    a.write("g", b"x")
    if flushed:
        a.reboot()
    else:
        a.restart()
    settle(a, b)
    assert contents(a) == contents(b) == {"f": b"", "g": b"x"}


def test_folder_that_only_sends_tells_nobody_of_what_it_lost(trio: Trio) -> None:
    hub, _, b = trio
    a = LocalDevice(hub, b.root.parent / "sender", "send-only")
    saved(a, b)
    a.write("f", b"")
    a.reboot()
    settle(a, b)
    assert contents(b) == {"f": b"new version!"}


def test_folder_that_only_sends_does_not_bring_a_forgotten_deletion_back(trio: Trio) -> None:
    hub, _, b = trio
    a = LocalDevice(hub, b.root.parent / "sender", "send-only")
    forget_deletion(a, b)
    a.write(".toastboxignore", b"x\n")  # everything is asked for again
    settle(a, b)
    assert "f" not in contents(b) and contents(a)["f"] == b"new version!"
    a.write("f", b"meant, as it is edited")
    settle(a, b)
    assert contents(b)["f"] == b"meant, as it is edited"
    (a.root / "f").unlink()
    settle(a, b)
    assert "f" not in contents(b)


def test_many_changes_are_flushed_before_they_are_recorded(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, _ = trio
    flushes: list[bool] = []
    monkeypatch.setattr(a.index.unsettled, "flush", lambda: flushes.append(a.index._db.in_transaction))
    for number in range(unsettled.MOST):
        a.write(f"{number}", b"%d" % number)
    a.sync()
    assert flushes == [] and a.engine.unsettled
    for number in range(unsettled.MOST + 1):
        a.write(f"more{number}", b"%d" % number)
    a.sync()
    assert flushes and all(flushes) and not a.engine.unsettled


def test_flush_is_begun_before_it_is_waited_for(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, _ = trio
    calls: list[str] = []
    monkeypatch.setattr(Folder, "begin_flush", lambda self, submit: calls.append("begin"))
    monkeypatch.setattr(a.index.unsettled, "flush", lambda: calls.append("flush"))
    for number in range(unsettled.MOST + 100):
        a.write(f"{number}", b"%d" % number)
    a.sync()
    assert calls == ["begin", "flush"]


def test_what_the_kernel_told_a_flush_that_was_begun_is_not_lost(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells of a failed write once."""
    _, a, _ = trio
    told = iter([OSError(errno.EIO, "Input/output error")])

    def syncfs(fd: int) -> None:
        for error in told:
            raise error

    monkeypatch.setattr(posix, "syncfs", syncfs)
    a.folder.begin_flush(Inline().submit)
    with pytest.raises(OSError, match="Input/output"):
        a.folder.flush_all()
    a.folder.flush_all()


def test_renames_of_a_killed_agent_are_flushed_before_their_intents_are_forgotten(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, a, b = trio
    a.write("f", b"content")
    settle(a, b)
    left = len(b.index.intents())
    flushed: list[int] = []
    monkeypatch.setattr(Folder, "flush_all", lambda self: flushed.append(len(b.index.intents())))
    b.restart()
    assert flushed == [left] and left and not b.index.intents()
