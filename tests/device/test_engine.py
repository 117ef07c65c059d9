"""The device's loop on real folders, against the real hub service."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from local import LocalDevice, LocalHub, LocalRemote, Trio, contents, settle
from manual import ManualClock
from toastbox.device.settle import SETTLE_S
from toastbox.device.watch import Watcher
from toastbox.errors import SafetyRefused
from toastbox.native import posix
from toastbox.native.sums import Sum


def test_every_kind_arrives(trio: Trio) -> None:
    _, a, b = trio
    a.write("x.txt", b"hello")
    a.write("d/e/large.bin", os.urandom(3_000_000), 0o755)
    a.write("empty")
    (a.root / "void").mkdir()
    (a.root / "link").symlink_to("x.txt")
    (a.root / "dangling").symlink_to("/nowhere/at/all")
    a.write("naïve/ファイル \\ : ?.txt", b"utf-8")
    settle(a, b)
    assert a.tree() == b.tree()
    assert len(b.tree()) == 10


def test_second_run_does_nothing(trio: Trio) -> None:
    _, a, b = trio
    a.write("d/x", b"1")
    settle(a, b)
    commits = (a.remote.calls.get("commit"), b.remote.calls.get("commit"))
    assert a.sync() and b.sync()
    assert (a.remote.calls.get("commit"), b.remote.calls.get("commit")) == commits


def test_large_rename_moves_no_content(trio: Trio) -> None:
    _, a, b = trio
    a.write("d/large", os.urandom(2_000_000))
    settle(a, b)
    inode = (b.root / "d/large").stat().st_ino
    sent, fetched = a.remote.sent, b.remote.fetched
    (a.root / "d/large").rename(a.root / "moved")
    settle(a, b)
    assert a.tree() == b.tree()
    assert (a.remote.sent, b.remote.fetched) == (sent, fetched)
    assert (b.root / "moved").stat().st_ino == inode


def test_in_a_folder_that_is_not_there_nothing_is_looked_for(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    for number in range(100):
        a.write(f"d/{number}", b"%d" % number)
    a.write("z", b"1")
    assert a.sync()
    looks: list[bytes] = []
    lstat = b.folder.lstat
    monkeypatch.setattr(b.folder, "lstat", lambda path: looks.append(path) or lstat(path))
    assert b.sync()
    assert a.tree() == b.tree()
    assert looks.count(b"d/7") == 0  # how it looks when published comes with the rename
    assert looks.count(b"z") == 1


def test_renamed_folder_moves_its_files(trio: Trio) -> None:
    _, a, b = trio
    for number in range(20):
        a.write(f"old/{number}", os.urandom(1000))
    settle(a, b)
    fetched = b.remote.fetched
    (a.root / "old").rename(a.root / "new")
    settle(a, b)
    assert a.tree() == b.tree() and "new/7" in b.tree() and "old" not in b.tree()
    assert b.remote.fetched == fetched


def test_large_folder_that_is_renamed_is_not_taken_for_deleted(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files than a scan remembers as gone, and more than half of all."""
    _, a, b = trio
    monkeypatch.setattr("toastbox.device.push.MANY_GONE", 10)
    for number in range(60):
        a.write(f"d/{number}", b"content %d" % number)
    settle(a, b)
    os.rename(a.root / "d", a.root / "e")
    a.sync()
    assert a.engine.report.held_deletes == 0
    settle(a, b)
    assert a.tree() == b.tree() and len(b.tree()) == 61
    shutil.rmtree(a.root / "e")
    a.sync()
    assert a.engine.report.held_deletes == 61


def test_copy_of_a_file_is_not_fetched_again(trio: Trio) -> None:
    _, a, b = trio
    a.write("one", os.urandom(700_000))
    settle(a, b)
    fetched = b.remote.fetched
    shutil.copy2(a.root / "one", a.root / "two")
    settle(a, b)
    assert a.tree() == b.tree()
    assert b.remote.fetched == fetched


def test_one_inserted_byte_costs_one_chunk(trio: Trio) -> None:
    _, a, b = trio
    data = os.urandom(4_000_000)
    a.write("large", data)
    settle(a, b)
    sent, fetched = a.remote.sent, b.remote.fetched
    a.write("large", data[:1000] + b"!" + data[1000:])
    settle(a, b)
    assert a.tree() == b.tree()
    assert a.remote.sent - sent < 600_000 and b.remote.fetched - fetched < 600_000


def test_sparse_file_stays_sparse(trio: Trio) -> None:
    _, a, b = trio
    with (a.root / "sparse").open("wb") as file:
        file.seek(20 << 20)
        file.write(b"end")
    settle(a, b)
    assert a.tree() == b.tree()
    assert (b.root / "sparse").stat().st_blocks * 512 < 2 << 20


def test_conflict_keeps_both_everywhere(trio: Trio) -> None:
    _, a, b = trio
    a.write("x.txt", b"base")
    settle(a, b)
    a.write("x.txt", b"from a")
    b.write("x.txt", b"from b")
    settle(a, b)
    assert a.tree() == b.tree()
    copies = [name for name in a.tree() if name.startswith("x (conflict b ")]
    assert len(copies) == 1
    assert (a.root / "x.txt").read_bytes() == b"from a"
    assert (a.root / copies[0]).read_bytes() == b"from b"


def test_losing_version_keeps_its_place_until_the_winner_takes_it(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("x.txt", b"base")
    settle(a, b)
    a.write("x.txt", b"from a")
    b.write("x.txt", b"from b")
    a.sync()
    rename, seen = posix.renameat2, []

    def watched(*arguments: object) -> None:
        rename(*arguments)  # type: ignore[arg-type]
        seen.append((b.root / "x.txt").read_bytes())

    monkeypatch.setattr(posix, "renameat2", watched)
    b.sync()
    assert seen[0] == b"from a" and set(seen) == {b"from a"}


def test_same_edit_on_both_sides_is_no_conflict(trio: Trio) -> None:
    _, a, b = trio
    for device in (a, b):
        device.write("x", b"the same")
    settle(a, b)
    assert a.tree() == b.tree() and list(a.tree()) == ["x"]


def test_delete_loses_to_edit(trio: Trio) -> None:
    _, a, b = trio
    a.write("x", b"base")
    settle(a, b)
    (a.root / "x").unlink()
    b.write("x", b"edited")
    settle(a, b)
    assert (a.root / "x").read_bytes() == b"edited"
    assert a.tree() == b.tree()


def test_file_becomes_folder_and_back(trio: Trio) -> None:
    _, a, b = trio
    a.write("x", b"file")
    a.write("d/e", b"below")
    settle(a, b)
    (a.root / "x").unlink()
    a.write("x/y", b"in folder")
    shutil.rmtree(a.root / "d")
    a.write("d", b"now a file")
    settle(a, b)
    assert a.tree() == b.tree() and b.tree()["x"][0] == "folder" and b.tree()["d"][0] == "file"
    shutil.rmtree(b.root / "x")
    b.write("x", b"a file again")
    settle(b, a)
    assert a.tree() == b.tree() and a.tree()["x"][0] == "file"


def test_executable_bit_and_time_travel_without_content(trio: Trio) -> None:
    _, a, b = trio
    a.write("x", os.urandom(300_000))
    settle(a, b)
    fetched = b.remote.fetched
    (a.root / "x").chmod(0o755)
    os.utime(a.root / "x", ns=(1, 86_400_000_000_007))
    settle(a, b)
    assert a.tree() == b.tree()
    assert (b.root / "x").stat().st_mtime_ns == 86_400_000_000_007
    assert b.remote.fetched == fetched


@pytest.mark.parametrize("second", [-(10**10), 0, 2**31, 9_223_372_036, 15_000_000_000])
def test_file_of_any_time_arrives(trio: Trio, second: int) -> None:
    _, a, b = trio
    a.write("x", b"1")
    a.write("y", b"2")
    posix.set_time(posix.AT_FDCWD, os.fsencode(a.root / "x"), second * 10**9)
    settle(a, b)
    assert (b.root / "x").read_bytes() == b"1" and (b.root / "y").exists()
    commits = a.remote.calls["commit"]
    assert a.sync() and b.sync() and a.remote.calls["commit"] == commits


def test_special_files_are_reported_and_left_alone(trio: Trio) -> None:
    _, a, b = trio
    os.mkfifo(a.root / "pipe")
    a.write("x", b"1")
    settle(a, b)
    assert list(b.tree()) == ["x"]
    assert a.engine.report.reasons() == [(b"pipe", "neither file, folder nor link")]


def test_name_that_is_not_utf8_is_reported(trio: Trio) -> None:
    _, a, b = trio
    with open(os.path.join(os.fsencode(a.root), b"bad\xff"), "wb"):
        pass
    settle(a, b)
    assert b.tree() == {}
    assert [path for path, _ in a.engine.report.reasons()] == [b"bad\xff"]


def test_hard_links_arrive_as_files(trio: Trio) -> None:
    _, a, b = trio
    a.write("x", b"linked")
    os.link(a.root / "x", a.root / "y")
    settle(a, b)
    assert a.tree() == b.tree() and len(b.tree()) == 2


def test_ignored_paths_stay_where_they_are(trio: Trio) -> None:
    _, a, b = trio
    a.write(".toastboxignore", b"*.tmp\nbuild/\n")
    a.write("x.tmp", b"1")
    a.write("build/out", b"2")
    a.write("x.txt", b"3")
    settle(a, b)
    assert sorted(b.tree()) == [".toastboxignore", "x.txt"]
    (a.root / ".toastboxignore").write_bytes(b"")
    settle(a, b)
    assert a.tree() == b.tree() and "build/out" in b.tree()


def test_ignoring_later_deletes_nothing(trio: Trio) -> None:
    _, a, b = trio
    a.write("x.log", b"1")
    settle(a, b)
    b.write(".toastboxignore", b"*.log\n")
    settle(a, b)
    (a.root / "x.log").unlink()
    settle(a, b)
    assert "x.log" in b.tree()


def test_mass_deletion_waits_for_the_owner(trio: Trio) -> None:
    _, a, b = trio
    for number in range(80):
        a.write(f"d/{number}", b"%d" % number)
    settle(a, b)
    for number in range(60):
        (a.root / f"d/{number}").unlink()
    a.sync()
    assert a.engine.report.held_deletes == 60
    b.sync()
    assert len(b.tree()) == 81
    assert a.sync(accept_deletes=True)
    settle(a, b)
    assert a.tree() == b.tree() and len(b.tree()) == 21


def test_emptied_folder_is_refused(trio: Trio) -> None:
    _, a, b = trio
    a.write("x", b"1")
    settle(a, b)
    (a.root / "x").unlink()
    a.restart()
    with pytest.raises(SafetyRefused, match="empty"):
        a.sync()
    settle(b)
    assert "x" in b.tree()


def test_vanished_folder_is_refused(trio: Trio) -> None:
    _, a, _ = trio
    a.write("x", b"1")
    a.sync()
    a.root.rename(a.root.parent / "elsewhere")
    with pytest.raises(SafetyRefused, match="vanished"):
        a.sync()


def test_unreadable_folder_is_not_a_deletion(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("d/x", b"1")
    a.write("y", b"2")
    settle(a, b)
    listing, sums = a.folder._list, a.folder.sums

    def no_sum(paths: list[bytes], key: bytes) -> list[Sum]:
        found = zip(paths, sums(paths, key), strict=True)
        return [Sum(0, 0, errno.EACCES, False) if path == b"d" else each for path, each in found]

    def refuse(path: bytes, after: bytes) -> object:
        if path == b"d":
            raise PermissionError(13, "Permission denied")
        return listing(path, after)

    monkeypatch.setattr(a.folder, "_list", refuse)
    monkeypatch.setattr(a.folder, "sums", no_sum)
    settle(a, b)
    assert "d/x" in b.tree()
    assert a.engine.report.reasons() == [(b"d", "cannot be listed: Permission denied")]


def test_receive_only_sends_nothing_and_loses_nothing(tmp_path: Path) -> None:
    hub = LocalHub(tmp_path / "hub")
    a, b = LocalDevice(hub, tmp_path / "a"), LocalDevice(hub, tmp_path / "b", "receive-only")
    a.write("x", b"1")
    settle(a, b)
    b.write("x", b"local")
    b.write("own", b"mine")
    settle(b, a)
    assert "own" not in a.tree()
    a.write("x", b"2")
    settle(a, b)
    assert (b.root / "x").read_bytes() == b"2"
    assert b"local" in [data[1][0] for data in b.tree().values() if data[0] == "file"]
    hub.close()


def test_send_only_deletes_no_edit_that_came_a_moment_before(tmp_path: Path) -> None:
    hub = LocalHub(tmp_path / "hub")
    a, b = LocalDevice(hub, tmp_path / "a", "send-only"), LocalDevice(hub, tmp_path / "b")
    a.write("x", b"1")
    settle(a, b)
    b.write("x", b"2")
    settle(b)
    a.engine._puller.pull()  # and now, before a looks at its own files
    (a.root / "x").unlink()
    settle(a, b)
    assert (b.root / "x").read_bytes() == b"2" and not (a.root / "x").exists()
    hub.close()


def test_send_only_keeps_its_files(tmp_path: Path) -> None:
    hub = LocalHub(tmp_path / "hub")
    a, b = LocalDevice(hub, tmp_path / "a", "send-only"), LocalDevice(hub, tmp_path / "b")
    a.write("x", b"1")
    a.write("y", b"1")
    settle(a, b)
    b.write("x", b"2")
    (b.root / "y").unlink()
    settle(b, a)
    assert (a.root / "x").read_bytes() == b"1"
    a.write("x", b"3")
    a.write("y", b"4")
    settle(a, b)
    assert (b.root / "x").read_bytes() == b"3" and (b.root / "y").read_bytes() == b"4"
    hub.close()


def test_deletion_where_files_are_only_sent_loses_to_an_edit(tmp_path: Path) -> None:
    hub = LocalHub(tmp_path / "hub")
    a, b = LocalDevice(hub, tmp_path / "a"), LocalDevice(hub, tmp_path / "b", "send-only")
    b.write("x", b"1")
    b.write("y", b"2")
    settle(b, a)
    a.write("x", b"an edit")
    (b.root / "x").unlink()
    (b.root / "y").unlink()
    settle(a, b)
    assert (a.root / "x").read_bytes() == b"an edit"
    assert not (a.root / "y").exists() and not (b.root / "x").exists()
    hub.close()


def test_folder_larger_than_the_listing_region(trio: Trio) -> None:
    _, a, b = trio
    for number in range(1500):
        a.write(f"d/{number:05}-with-a-name-of-some-length", b"")
    settle(a, b)
    assert len(b.tree()) == 1501
    (a.root / "d/00700-with-a-name-of-some-length").unlink()
    settle(a, b)
    assert len(b.tree()) == 1500


def test_symbolic_link_in_the_way_is_not_followed(trio: Trio, tmp_path: Path) -> None:
    _, a, b = trio
    outside = tmp_path / "outside"
    outside.mkdir()
    a.write("d/x", b"1")
    settle(a, b)
    shutil.rmtree(b.root / "d")
    (b.root / "d").symlink_to(outside)
    a.write("d/y", b"2")
    settle(a, b)
    assert list(outside.iterdir()) == []
    assert a.tree() == b.tree()


def test_restored_hub_loses_no_edit(trio: Trio, tmp_path: Path) -> None:
    hub, a, b = trio
    a.write("x", b"1")
    settle(a, b)
    a.write("x", b"2")
    a.write("new", b"n")
    settle(a, b)
    hub.service.renew_epoch("test")
    settle(a, b)
    assert a.tree() == b.tree()
    assert (a.root / "x").read_bytes() == b"2" and (a.root / "new").read_bytes() == b"n"


def test_edits_at_two_copies_of_a_hub_are_both_kept(tmp_path: Path) -> None:
    hub = LocalHub(tmp_path / "hub")
    a, b = LocalDevice(hub, tmp_path / "a"), LocalDevice(hub, tmp_path / "b")
    a.write("f", b"agreed")
    settle(a, b)
    hub.close()
    shutil.copytree(tmp_path / "hub", tmp_path / "copy")
    hub, copy = LocalHub(tmp_path / "hub"), LocalHub(tmp_path / "copy")
    for device, at in ((a, hub), (b, copy)):
        device.remote = LocalRemote(at, device.root.name)
        device.restart()
    for number in range(5):
        a.write(f"more{number}", b"x")  # so that numbers at the one are higher than at the other
    a.sync()
    a.write("f", b"at the hub")
    b.write("f", b"at the copy")
    assert a.sync() and b.sync()
    a.remote = LocalRemote(copy, "a")
    a.restart()
    settle(a, b)
    assert a.tree() == b.tree()
    assert sorted(value for path, value in contents(a).items() if path.startswith("f")) == [
        b"at the copy",
        b"at the hub",
    ]
    hub.close()
    copy.close()


def test_what_arrives_in_new_folders_is_no_news(trio: Trio) -> None:
    """Else a device looks through all that it has just received."""
    _, a, b = trio
    for number in range(60):
        a.write(f"d/{number % 3}/e/{number}", b"%d" % number)
    assert a.sync()
    clock = ManualClock()
    watcher = Watcher(str(b.root), clock, lambda path: False)
    try:
        b.engine.watched_by(watcher)
        assert b.sync()
        watcher.read()
        (b.root / "d/1/e/theirs").write_bytes(b"")
        watcher.read()
        clock.now_s += SETTLE_S
        assert watcher.take().paths == {b"d/1/e/theirs": False}
    finally:
        watcher.close()
    assert a.tree() == {name: what for name, what in b.tree().items() if name != "d/1/e/theirs"}


@pytest.mark.parametrize(("way_bytes", "entries"), [(0, 1024), (1, 256)])
def test_where_memory_is_short_less_is_on_its_way(
    trio: Trio, monkeypatch: pytest.MonkeyPatch, way_bytes: int, entries: int
) -> None:
    _, a, b = trio
    for number in range(300):
        a.write(f"d/{number}", b"%d" % number)
    assert a.sync()
    asked: list[int] = []
    pull = b.remote.pull
    monkeypatch.setattr(b.remote, "pull", lambda *which: asked.append(which[2]) or pull(*which))
    b.folder.way_bytes = way_bytes
    assert b.sync()
    assert a.tree() == b.tree()
    assert set(asked) == {entries} and len(asked) == 1 + (entries < 300)
