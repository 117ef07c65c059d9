"""When a new epoch begins: every way in which a journal can go back in time."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hubkit import add_device, commit, file, folder, put
from toastbox.errors import SafetyRefused
from toastbox.hub import machine
from toastbox.hub.home import Home
from toastbox.hub.journal.schema import STEPS

LOST = 1 << 32


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one entry, closed."""
    home = Home(str(tmp_path / "hub"))
    device = add_device(home.service)
    put(home.service, device, b"one")
    commit(home.service, device, file("x", b"one"))
    home.close()
    return tmp_path / "hub"


def look(data: Path, restored: bool = False) -> tuple[int, int]:
    """(epoch, head) of a hub that is started and ended."""
    home = Home(str(data), restored=restored)
    try:
        return home.service.epoch, home.service.journal.folders()[0].head
    finally:
        home.close()


def add_entry(data: Path, name: str) -> None:
    home = Home(str(data))
    [device] = home.service.journal.devices()
    commit(home.service, device, folder(name))
    home.close()


def copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode = DELETE")


def test_epoch_stays_over_restarts(data: Path) -> None:
    before = look(data)
    assert look(data) == before and before[0] != 0
    add_entry(data, "d")
    assert look(data) == (before[0], 2)


def test_older_database_put_back_is_noticed(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    copy_database(data / "journal.db", backup)
    epoch, _ = look(data)
    for name in ("a", "b", "c"):
        add_entry(data, name)
    shutil.copy(backup, data / "journal.db")
    for suffix in ("-wal", "-shm"):
        (data / f"journal.db{suffix}").unlink(missing_ok=True)
    restored, head = look(data)
    assert restored != epoch
    assert head == LOST + 4, "numbers that were given out are not given again"
    assert look(data) == (restored, head)


def test_same_database_put_back_goes_on(data: Path, tmp_path: Path) -> None:
    before = look(data)
    copy_database(data / "journal.db", tmp_path / "backup.db")
    shutil.copy(tmp_path / "backup.db", data / "journal.db")
    assert look(data) == before


def test_copy_of_the_whole_folder_is_noticed(data: Path, tmp_path: Path) -> None:
    epoch, _ = look(data)
    shutil.copytree(data, tmp_path / "copy")
    copied, head = look(tmp_path / "copy")
    assert copied != epoch and head == LOST + 1
    assert look(data) == (epoch, 1)


def test_copied_card_in_another_machine_is_noticed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole card: every byte and every inode number is the same, and only the network's hardware is another."""

    def in_a_machine_with(*addresses: str) -> int:
        monkeypatch.setattr(machine, "hardware_addresses", lambda: list(addresses))
        return look(data)[0]

    first = in_a_machine_with("b8:27:eb:00:00:01", "b8:27:eb:00:00:02")
    assert in_a_machine_with("00:e0:4c:00:00:03", "b8:27:eb:00:00:02") == first, "one more card, one less"
    assert in_a_machine_with() == first, "a container does not tell"
    second = in_a_machine_with("dc:a6:32:00:00:04")
    assert second != first
    assert in_a_machine_with("dc:a6:32:00:00:04") == second


def test_hardware_tells_its_addresses(tmp_path: Path) -> None:
    for name, address, kind, is_hardware in (
        ("eth0", "b8:27:eb:00:00:01", "0", True),
        ("wlan0", "02:11:22:33:44:55", "3", True),
        ("usb0", "0e:11:22:33:44:55", "1", True),
        ("lo", "00:00:00:00:00:00", "0", True),
        ("br0", "b8:27:eb:00:00:09", "0", False),
        ("dead", "", "", True),
    ):
        (tmp_path / name / "device").mkdir(parents=True) if is_hardware else (tmp_path / name).mkdir()
        if address:
            (tmp_path / name / "address").write_text(address + "\n")
            (tmp_path / name / "addr_assign_type").write_text(kind + "\n")
    assert machine.hardware_addresses(tmp_path) == ["b8:27:eb:00:00:01"]
    assert machine.hardware_addresses(tmp_path / "none") == []


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: path.write_text("{"), lambda path: path.write_text("[]")],
    ids=["missing", "torn", "other"],
)
def test_head_file_that_cannot_be_trusted(data: Path, damage: Callable[[Path], object]) -> None:
    epoch, _ = look(data)
    damage(data / "head")
    renewed, head = look(data)
    assert renewed != epoch and head == LOST + 1


def test_owner_can_say_so(data: Path) -> None:
    epoch, _ = look(data)
    renewed, head = look(data, restored=True)
    assert renewed != epoch and head == LOST + 1, "what devices have seen since the snapshot is not known"


def test_head_file_behind_the_journal_is_fine(data: Path) -> None:
    """A power cut may take the last writes of the head file back, never those of the journal."""
    home = Home(str(data))
    [device] = home.service.journal.devices()
    commit(home.service, device, folder("a"))
    text = (data / "head").read_text()
    commit(home.service, device, folder("b"))
    epoch = home.service.epoch
    home.close()
    (data / "head").write_text(text)
    assert look(data) == (epoch, 3)


def test_journal_of_a_newer_program_is_refused(data: Path) -> None:
    with closing(sqlite3.connect(data / "journal.db")) as journal:
        journal.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    with pytest.raises(SafetyRefused, match="install a newer toastbox"):
        Home(str(data))


def test_journal_that_is_gone_is_not_begun_anew(data: Path) -> None:
    (data / "journal.db").unlink()
    for _ in range(2):
        with pytest.raises(SafetyRefused, match="backup"):
            Home(str(data))


def test_private_files_are_private(data: Path) -> None:
    assert data.stat().st_mode & 0o777 == 0o700
    for path in data.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
