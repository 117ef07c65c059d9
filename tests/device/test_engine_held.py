"""What cannot be had or may not go yet: held back, said, tried again, on real folders."""

import errno
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from local import Trio, contents, failing, full_disk, held, look, settle
from toastbox.device import engine
from toastbox.device.index import Index
from toastbox.device.stage import RESERVE_BYTES
from toastbox.errors import DeviceFailing, DeviceFull, HubUnreachable


def test_reasons_go_with_what_they_were_about(trio: Trio) -> None:
    _, a, _ = trio
    os.mkfifo(a.root / "pipe")
    (a.root / "d").mkdir()
    strange = os.fsencode(a.root) + b"/d/bad\xff"
    Path(os.fsdecode(strange)).write_bytes(b"1")
    a.sync()
    assert sorted(held(a)) == [b"d/bad\xff", b"pipe"]
    (a.root / "pipe").unlink()
    shutil.rmtree(a.root / "d")
    assert look(a, b"pipe", b"d", b"never-there") and held(a) == {}
    os.mkfifo(a.root / "pipe")
    look(a, b"pipe")
    (a.root / "pipe").unlink()
    a.write("pipe", b"a file now")
    assert look(a, b"pipe") and held(a) == {}


def test_new_folder_that_cannot_be_listed_is_said(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("locked/x", b"1")
    a.write("open/x", b"1")
    listing = a.folder._list

    def refuse(path: bytes, after: bytes) -> object:
        if path == b"locked":
            raise OSError(errno.EACCES, "Permission denied")
        return listing(path, after)

    monkeypatch.setattr(a.folder, "_list", refuse)
    for _ in range(2):
        a.sync()
        assert held(a) == {b"locked": "cannot be listed: Permission denied"}
    monkeypatch.undo()
    settle(a, b)
    assert held(a) == {} and a.tree() == b.tree() and "locked/x" in b.tree()


def test_what_was_in_the_way_of_an_entry_goes(trio: Trio) -> None:
    _, a, b = trio
    a.sync()
    os.mkfifo(b.root / "x")
    a.write("x", b"content")
    settle(a, b)
    assert held(b) == {b"x": "neither file, folder nor link"}
    (b.root / "x").unlink()
    assert look(b, b"x") and held(b) == {}
    assert a.tree() == b.tree()


def test_edit_by_one_name_of_a_hard_link_is_one_of_the_other(trio: Trio) -> None:
    _, a, b = trio
    a.write("x", b"before")
    os.link(a.root / "x", a.root / "y")
    settle(a, b)
    time.sleep(0.05)
    a.engine.confirm()
    with (a.root / "x").open("ab") as file:
        file.write(b" and after")
    assert look(a, b"x")
    settle(b)
    assert (b.root / "y").read_bytes() == b"before and after"
    assert a.tree() == b.tree()


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_held_back_stays_so_while_the_hub_is_out_of_reach(trio: Trio, killed: bool) -> None:
    _, a, b = trio
    a.write("x", b"content")
    a.sync()
    with full_disk(b):
        b.sync()
    assert held(b) == {b"x": "no room on this device"}
    with failing(b.remote, "fetch", HubUnreachable("gone")), pytest.raises(HubUnreachable):
        b.engine.retry_held()
    if killed:
        b.restart()
    b.engine.retry_held()
    assert b.sync() and held(b) == {}
    assert a.tree() == b.tree()


def test_everything_held_back_is_tried_again(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    monkeypatch.setattr(engine, "RETRIED", 7)
    for number in range(40):
        a.write(f"{number}", b"content %d" % number)
    a.sync()
    with full_disk(b):
        b.sync()
    assert len(held(b)) == 40
    b.engine.retry_held()
    assert b.sync() and held(b) == {}
    assert a.tree() == b.tree()


def test_what_does_not_fit_is_not_fetched_again(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("x", b"content")
    a.sync()
    with full_disk(b):
        b.sync()
    fetched = b.remote.fetched
    monkeypatch.setattr(b.folder.stage, "free_bytes", lambda: 1000)
    b.engine.retry_held()
    assert b.sync() and held(b) == {b"x": "no room on this device"}
    assert b.remote.fetched == fetched


def test_small_files_leave_room_to_delete(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is filled to the brim takes no row of a deletion either, and could never be made free again."""
    _, a, b = trio
    a.write("empty", b"")
    a.write("fits", bytes(100))
    a.write("not", bytes(101))
    a.sync()
    monkeypatch.setattr(b.folder.stage, "free_bytes", lambda: RESERVE_BYTES + 100)
    assert b.sync()
    assert set(contents(b)) == {"empty", "fits"} and held(b) == {b"not": "no room on this device"}
    monkeypatch.undo()
    b.engine.retry_held()
    assert b.sync() and contents(b) == contents(a) and held(b) == {}


def test_deletions_held_by_the_hub_are_proposed_again(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, a, b = trio
    for number in range(100):
        a.write(f"{number}", b"content %d" % number)
    settle(a, b)
    for first, last in ((0, 40), (40, 60)):
        for number in range(first, last):
            (a.root / f"{number}").unlink()
        assert a.sync()
    settle(b)
    assert a.engine.holds_deletes and a.engine.report.held_deletes == 20
    assert len(b.tree()) == 60
    later = time.monotonic() + 61
    monkeypatch.setattr(hub.service._judge._guard, "_monotonic", lambda: later)
    a.engine.retry_deletes()
    assert a.engine.cycle() and not a.engine.holds_deletes
    assert a.engine.report.held_deletes == 0
    settle(b)
    assert a.tree() == b.tree() and len(b.tree()) == 40


def test_full_disk_of_the_index_undoes_and_goes_on_later(trio: Trio) -> None:
    _, a, b = trio
    a.write("x", b"1")
    b.write("y", b"2")
    settle(a, b)
    for number in range(300):
        a.write(f"from-a/{number}", b"content %d" % number)
        b.write(f"from-b/{number}", b"content %d" % number)
    a.sync()
    pages = b.index._db.execute("PRAGMA page_count").fetchone()[0]
    b.index._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(3):
        with pytest.raises(DeviceFull):
            b.sync()
    assert len(b.index) == b.index._db.execute("SELECT count(*) FROM entry").fetchone()[0]
    b.index._db.execute("PRAGMA max_page_count = 1000000")
    settle(b, a)
    assert a.tree() == b.tree() and len(b.tree()) == 604


class ReadOnly:
    """A database whose disk has become read-only."""

    in_transaction = False

    def __init__(self, database: sqlite3.Connection) -> None:
        self.close = database.close

    def execute(self, statement: str, *values: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")


def test_failing_disk_at_the_end_hides_nothing_of_what_it_said_before(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index.db"))
    index.watched_by(ReadOnly)
    with pytest.raises(DeviceFailing, match="read-only"), index.guarded():
        index.set_meta("cursor", 1)
    index.close()


def test_damaged_index_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(DeviceFailing, match="compares everything anew"):
        Index(str(path))


@pytest.mark.parametrize("kept", [b"", b"edited"])
def test_file_that_became_a_folder_which_is_ignored_here_is_not_proposed_for_ever(trio: Trio, kept: bytes) -> None:
    """The rule is there before the folder comes, and has not reached the device that makes it."""
    _, a, b = trio
    a.write("d", b"1")
    settle(a, b)
    (a.root / "d").unlink()
    a.write("d/f", b"2")
    a.sync()
    b.write(".toastboxignore", b"d/\n")
    b.restart()
    (b.root / "d").unlink()
    if kept:
        b.write("d", kept)
    settle(b)
    assert held(b) == ({b"d": "what the hub has by this name is ignored here"} if kept else {})
    settle(a, b)
    assert contents(a)["d/f"] == b"2" and contents(b).get("d", b"") == kept
