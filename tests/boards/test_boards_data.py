"""Boards are data: the files that are shipped, and what is said of one that is wrong."""

import json
from pathlib import Path

import pytest

from toastbox import boards
from toastbox.boards.schema import parse
from toastbox.cli import main
from toastbox.cli.device import settings_of
from toastbox.config import AgentSettings
from toastbox.device.parts import make_arena, processors, take_buffers
from toastbox.device.state import Store
from toastbox.errors import WrongUse

KNOWN = {"pi-zero-w", "pi-1", "pi-2", "pi-3", "pi-zero-2-w", "pi-4", "pi-5", "virt-armhf", "virt-arm64"}
TOASTERS = {"pico-w", "pico-2-w", "esp32", "esp32-s3"}

TOASTER_9 = """
product = "Toaster 9"
tier = "linux"
memory = "96MiB"
links = ["ethernet"]
serial = ["ttyS0"]

[agent]
arena = "4MiB"
window = "1MiB"

[system]
architecture = "armhf"
kernel = "linux-image-armmp"

[flash]
how = "card"
next = "push the lever down"
"""


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a person's own boards, with one in it."""
    folder = tmp_path / "boards"
    folder.mkdir()
    (folder / "toaster-9.toml").write_text(TOASTER_9)
    monkeypatch.setenv("TOASTBOX_BOARDS", str(folder))
    return folder


def test_every_board_that_is_shipped_is_valid() -> None:
    found = {board.name: board for board in boards.every()}
    assert set(found) >= KNOWN | TOASTERS
    assert {name for name, board in found.items() if board.tier == "mcu"} == TOASTERS
    assert all(found[name].system and found[name].agent for name in KNOWN)


def test_the_processor_of_each_raspberry_gets_debians_right_architecture() -> None:
    found = {board.name: board.system.architecture for board in boards.every() if board.system}
    assert found["pi-zero-w"] == found["pi-1"] == "armel"
    assert found["pi-2"] == found["virt-armhf"] == "armhf"
    assert {found[name] for name in ("pi-3", "pi-4", "pi-5", "pi-zero-2-w", "virt-arm64")} == {"arm64"}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_agent_can_work_with_the_memory_of_the_board(name: str) -> None:
    """Not only within its settings' limits: the arena really holds the windows and what lies beside them."""
    settings = AgentSettings(**boards.load(name).agent)
    assert len(take_buffers(make_arena(settings, processors()), settings)) >= 3


def test_list_in_a_pipe_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == boards.names()
    assert main(["boards", "--json"]) == 0
    said = {board["name"]: board for board in json.loads(capsys.readouterr().out)}
    assert said["pi-zero-w"]["system"]["kernel"] == "linux-image-rpi"
    assert said["pico-w"]["system"] is None


@pytest.mark.usefixtures("made_up")
def test_a_new_file_is_a_new_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards"]) == 0
    assert "toaster-9\tlinux\t96.0 MiB\tethernet\tarmhf\t-\tToaster 9" in capsys.readouterr().out
    board = boards.load("toaster-9")
    assert board.agent == {"arena": 4 << 20, "window": 1 << 20}
    assert board.system and not board.system.watchdog


@pytest.mark.usefixtures("made_up")
def test_agent_takes_its_memory_from_the_board(tmp_path: Path) -> None:
    with Store.create(tmp_path / "folder") as store:
        settings = settings_of(store, "toaster-9")
        assert (settings.arena, settings.window, settings.board) == (4 << 20, 1 << 20, "toaster-9")
        assert settings.sqlite_cache == settings_of(store).sqlite_cache
        assert settings_of(store).board == ""


@pytest.mark.usefixtures("made_up")
def test_settings_of_the_folder_come_before_those_of_the_board(tmp_path: Path) -> None:
    with Store.create(tmp_path / "folder") as store:
        (store.folder / ".toastbox" / "config.toml").write_text('board = "toaster-9"\nwindow = "512KiB"\n')
        settings = settings_of(store)
        assert (settings.arena, settings.window, settings.board) == (4 << 20, 512 << 10, "toaster-9")


def test_board_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with Store.create(tmp_path / "folder") as store, pytest.raises(WrongUse, match=r"did you mean pi-zero-w\?"):
        settings_of(store, "pi-zero")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "/", "pi zero", "."])
def test_name_of_a_board_is_no_path(name: str) -> None:
    with pytest.raises(WrongUse):
        boards.load(name)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('tier = "linux"', 'tier = "toaster"', 'tier must be one of "linux", "mcu", not \'toaster\''),
        ('product = "Toaster 9"\n', "", "product is missing"),
        ('product = "Toaster 9"', 'colour = "red"', "no key 'colour'; the keys are product, tier"),
        ('"96MiB"', '"12kB"', "memory must be 64.0 KiB to 1.0 TiB"),
        ('["ethernet"]', '["token-ring"]', 'links must be a list, in which each is one of "ethernet", "wifi", "usb"'),
        ('["ttyS0"]', '"ttyS0"', "serial must be a list"),
        ('["ttyS0"]', '["tty S0; rm"]', "serial must be a list, in which each is one word"),
        ('"4MiB"', '"2GiB"', "agent.arena must be 0 B to 1.0 GiB"),
        ('"4MiB"', '"2MiB"', "agent.arena must hold two windows"),
        ("arena =", "arenas =", "no key agent.arenas; the keys are arena, window, sqlite_cache"),
        ('"armhf"', '"riscv64"', 'system.architecture must be one of "armel", "armhf", "arm64"'),
        ('kernel = "linux-image-armmp"', "", "system.kernel is missing"),
        ('kernel = "linux-image-armmp"', 'kernel = "a b"', "system.kernel must be one word"),
        ("[flash]", "[flesh]", "no key 'flesh'"),
        ('[flash]\nhow = "card"\nnext = "push the lever down"\n', "", "[flash] is missing"),
        ('how = "card"', 'how = "hammer"', 'flash.how must be one of "card"'),
        ("[system]", '[firmware]\nport = "rp2"\nbuild = "X"\n[system]', "[firmware] must not be there"),
        ("[system]", "[system", "line"),
        ('[agent]\narena = "4MiB"\nwindow = "1MiB"\n', "", "[agent] is missing"),
    ],
)
def test_errors_name_file_key_and_what_it_may_be(made_up: Path, old: str, new: str, words: str) -> None:
    path = made_up / "toaster-9.toml"
    assert TOASTER_9.count(old) == 1
    path.write_text(TOASTER_9.replace(old, new))
    with pytest.raises(WrongUse) as caught:
        boards.load("toaster-9")
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_table_that_is_no_table() -> None:
    without = TOASTER_9.replace('[agent]\narena = "4MiB"\nwindow = "1MiB"\n', "")
    with pytest.raises(ValueError, match=r"agent must be a table, \[agent\], not 3"):
        parse("toaster-9", "agent = 3\n" + without)


def test_file_that_cannot_be_a_board(made_up: Path) -> None:
    (made_up / "huge.toml").write_bytes(b"#" * (65 << 10))
    (made_up / "latin.toml").write_bytes(b'product = "\xff"')
    for name in ("huge", "latin"):
        with pytest.raises(WrongUse, match=f"{name}.toml: "):
            boards.load(name)
