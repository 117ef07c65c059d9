"""FOLDER/.toastbox: modes, links, locks, and what survives."""

import errno
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from toastbox import config
from toastbox.device.interfaces import Credentials
from toastbox.device.state import Store
from toastbox.errors import DeviceFailing, SafetyRefused, WrongUse

CREDENTIALS = Credentials(
    url="https://hub:8269",
    device=7,
    name="porch",
    folder="ab" * 16,
    folder_name="main",
    key="cd" * 32,
    ca="CA",
    certificate="CERTIFICATE",
    private_key="KEY",
)


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """A folder that was joined."""
    folder = tmp_path / "folder"
    with Store.create(folder) as store:
        store.accept(CREDENTIALS)
        store.remember_root()
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_joined_folder_gives_back_its_credentials(joined: Path) -> None:
    with Store.open(joined) as store:
        assert store.credentials() == CREDENTIALS


@pytest.mark.parametrize("text", ["", "{", '{"url": 1}', "\0" * 400])
def test_damaged_credentials_do_not_keep_a_folder_from_being_joined_again(joined: Path, text: str) -> None:
    """The index goes: nobody knows what folder it was of."""
    (joined / ".toastbox/credentials.json").write_text(text)
    (joined / ".toastbox/index.db").touch()
    with Store.create(joined) as store:
        with pytest.raises(WrongUse, match="--again"):
            store.credentials()
        store.accept(CREDENTIALS)
        assert store.credentials() == CREDENTIALS
    assert not (joined / ".toastbox/index.db").exists()


def test_only_the_owner_may_read_the_state(joined: Path) -> None:
    assert mode(joined / ".toastbox") == 0o700
    for name in ("credentials.json", "root.json", "config.toml"):
        assert mode(joined / ".toastbox" / name) == 0o600
    assert not list((joined / ".toastbox").glob("*.new"))


def test_modes_hold_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Store.create(tmp_path / "folder") as store:
            store.accept(CREDENTIALS)
    finally:
        os.umask(before)
    assert mode(tmp_path / "folder" / ".toastbox") == 0o700
    assert mode(tmp_path / "folder" / ".toastbox" / "credentials.json") == 0o600


def test_state_opened_to_others_is_closed_again(joined: Path) -> None:
    (joined / ".toastbox").chmod(0o755)
    Store.open(joined).close()
    assert mode(joined / ".toastbox") == 0o700


def test_state_of_another_user_is_refused(joined: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = joined.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SafetyRefused, match=f"run this as user number {owner}"):
        Store.open(joined)


@pytest.mark.parametrize("what", ["nothing", "empty", "no credentials"])
def test_folder_without_state_is_refused_for_safety(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if what != "nothing":
        folder.mkdir()
    if what == "no credentials":
        Store.create(folder).close()
    with pytest.raises(SafetyRefused, match="not joined here, or its disk is not mounted") as caught:
        Store.open(folder)
    assert caught.value.exit_code == 3


def test_state_folder_that_is_a_link_is_refused(joined: Path, tmp_path: Path) -> None:
    (joined / ".toastbox").rename(tmp_path / "elsewhere")
    (joined / ".toastbox").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SafetyRefused):
        Store.open(joined)
    with pytest.raises(SafetyRefused):
        Store.create(joined)


def test_credentials_that_are_a_link_are_no_credentials(joined: Path, tmp_path: Path) -> None:
    (joined / ".toastbox" / "credentials.json").rename(tmp_path / "credentials.json")
    (joined / ".toastbox" / "credentials.json").symlink_to(tmp_path / "credentials.json")
    with pytest.raises(SafetyRefused, match="not joined"):
        Store.open(joined)


def test_writing_replaces_a_link_and_not_what_it_points_to(joined: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    (joined / ".toastbox" / "credentials.json").unlink()
    for name in ("credentials.json", "credentials.json.new"):
        (joined / ".toastbox" / name).symlink_to(outside)
    with Store.create(joined) as store:
        store.accept(CREDENTIALS)
    assert outside.read_text() == "untouched"
    assert not (joined / ".toastbox" / "credentials.json").is_symlink()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"url": 1}', "\x00"])
def test_damaged_credentials_are_wrong_use(text: str, joined: Path) -> None:
    (joined / ".toastbox" / "credentials.json").write_text(text)
    with Store.open(joined) as store, pytest.raises(WrongUse, match="--again"):
        store.credentials()


def test_read_only_disk_is_said(joined: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system", "lock")

    with Store.open(joined) as store:
        monkeypatch.setattr(store, "_lock_file", refuse)
        with (
            pytest.raises(DeviceFailing, match="toastbox/lock cannot be opened for writing: Read-only"),
            store.locked(),
        ):
            pass


def test_second_agent_is_refused_and_a_dead_one_holds_nothing(joined: Path) -> None:
    script = f"""
import sys
from toastbox.device.state import Store
with Store.open({str(joined)!r}) as store, store.locked():
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with Store.open(joined) as store:
            assert store.is_locked()
            with pytest.raises(SafetyRefused, match="already"), store.locked():
                pass
        other.kill()
    with Store.open(joined) as store:
        assert not store.is_locked()
        with store.locked():
            assert Store.open(joined).is_locked()


def test_lost_answer_is_asked_for_with_the_same_key(tmp_path: Path) -> None:
    with Store.create(tmp_path / "folder") as store:
        key = store.pairing_key("CODE")
    with Store.create(tmp_path / "folder") as store:
        assert store.pairing_key("CODE") == key
        assert store.pairing_key("ANOTHER") != key
        store.accept(CREDENTIALS)
        assert store.pairing_key("CODE") != key


@pytest.mark.parametrize(
    ("changes", "kept"), [({"device": 8}, True), ({"folder": "00" * 16}, False), ({"ca": "B"}, False)]
)
def test_index_is_kept_for_the_same_folder_only(changes: dict[str, object], kept: bool, joined: Path) -> None:
    index = joined / ".toastbox" / "index.db"
    index.write_text("index")
    with Store.open(joined) as store:
        store.accept(replace(CREDENTIALS, **changes))  # type: ignore[arg-type]
    assert index.exists() is kept


def test_root_is_known_again_and_another_is_not(joined: Path) -> None:
    with Store.open(joined) as store:
        known, seen = store.known_root(), store.seen_root()
        assert known is not None
        assert seen is not None
        assert (known.file_system, known.inode) == (seen.file_system, seen.inode)
        other = joined.parent / "other"
        other.mkdir()
        joined.rename(joined.parent / "away")
        assert store.seen_root() is None
        other.rename(joined)
        found = store.seen_root()
        assert found is not None
        assert found.inode != known.inode


def test_pause_holds_over_restarts(joined: Path) -> None:
    for paused in (True, True, False, False):
        with Store.open(joined) as store:
            store.paused = paused
        with Store.open(joined) as store:
            assert store.paused is paused


def test_settings_file_is_written_once(joined: Path) -> None:
    path = joined / ".toastbox" / "config.toml"
    assert path.read_text() == config.example(config.AgentSettings)
    path.write_text('mode = "send-only"\n')
    with Store.create(joined) as store:
        assert store.settings().mode == "send-only"


def test_file_in_the_folders_place_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongUse, match="cannot be made or used"):
        Store.create(tmp_path / "file")
    with pytest.raises(WrongUse, match="No such file"):
        Store.create(tmp_path / "missing" / "folder")
