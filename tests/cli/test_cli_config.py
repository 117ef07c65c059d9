"""Settings: what is read, and what the message says when it is wrong."""

import dataclasses
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from toastbox import config, quantity
from toastbox.config import AgentSettings, HubSettings
from toastbox.errors import WrongUse

TABLES = (AgentSettings, HubSettings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512", 512),
        ("512 B", 512),
        ("8MiB", 8 << 20),
        ("8mib", 8 << 20),
        ("500kB", 500_000),
        ("1.5 GB", 1_500_000_000),
        ("0.5KiB", 512),
    ],
)
def test_bytes_are_read_with_their_unit(text: str, expected: int) -> None:
    assert quantity.parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "MiB", "8 potatoes", "-1", "1e9", "8MiBs", "0x10", "1..5MB", "9" * 19])
def test_bytes_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as|not negative"):
        quantity.parse_bytes(text)


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_seconds_are_read_with_their_unit(text: str, expected: int) -> None:
    assert quantity.parse_seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("hub.local:8269", ("hub.local", 8269)),
        ("[::1]:8269", ("::1", 8269)),
        (":0", ("", 0)),
        ("*:65535", ("", 65535)),
    ],
)
def test_addresses_are_read_and_shown(text: str, expected: tuple[str, int]) -> None:
    assert quantity.parse_address(text) == expected
    assert quantity.parse_address(quantity.show_address(*expected)) == expected


@pytest.mark.parametrize("text", ["", "8269", "host", "host:", "host:65536", "host:-1", "::1:8269", "host:٣"])
def test_addresses_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        quantity.parse_address(text)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (8 << 20, "8.0 MiB"),
        (3 << 40, "3.0 TiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_bytes_are_shown_in_three_figures(count: int, shown: str) -> None:
    assert quantity.show_bytes(count) == shown


@pytest.mark.parametrize("table", TABLES)
def test_no_file_means_defaults(table: type, tmp_path: Path) -> None:
    load = config.load_agent if table is AgentSettings else config.load_hub
    assert load(tmp_path / "config.toml") == table()


@pytest.mark.parametrize("table", TABLES)
def test_example_holds_every_setting_commented_out(table: type) -> None:
    text = config.example(table)
    assert tomllib.loads(text) == {}
    uncommented = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# ") and " = " in line)
    assert config.parse(table, uncommented) == table()
    assert set(tomllib.loads(uncommented)) == {field.name for field in dataclasses.fields(table)}


def test_settings_are_read() -> None:
    text = 'mode = "send-only"\nlimit_up = "500kB"\nsafety_pull_s = "1h"\narena = "16MiB"\nannounce = false\n'
    found = config.parse(AgentSettings, text)
    expected = dataclasses.replace(
        AgentSettings(), mode="send-only", limit_up=500_000, safety_pull_s=3600, arena=16 << 20, announce=False
    )
    assert found == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('mode = "both"', 'mode must be one of "two-way", "receive-only", "send-only", not \'both\''),
        ("mode = 3", "mode must be one of"),
        ("announce = 1", "announce must be true or false, not 1"),
        ("arena = true", "arena must be 0 B to 1.0 GiB, not True"),
        ('arena = "1MiB"', "it must be 3648KiB at least, or 2112KiB with a window of 512KiB"),
        ('arena = "lots"', "arena must be a number and a unit such as 8MiB"),
        ("arena = 8.5", "arena must be"),
        ('arena = "3MiB"', "arena must hold two windows and 1088KiB more: it must be 3648KiB at least"),
        ("safety_pull_s = 1", "safety_pull_s must be 10 s to 604800 s, not 1"),
        ('listen = "8269"', "listen must be HOST:PORT with a port of 0 to 65535, not '8269'"),
        ("listen = 8269", 'listen must be "HOST:PORT", not 8269'),
        ('name = "a\\nb"', "name must be text of at most 200 bytes"),
        ("colour = 1", "there is no setting 'colour'; the settings are name, board, mode"),
        ("mode = ", "Invalid value (at line 1, column 8)"),
    ],
)
def test_wrong_setting_is_named_with_what_it_may_be(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(line + "\n")
    with pytest.raises(WrongUse) as caught:
        config.load_agent(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_file_that_is_no_settings_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * (config.MAX_FILE + 1))
    with pytest.raises(WrongUse, match="it is no settings file"):
        config.load_hub(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(WrongUse, match=r"config\.toml: it is not text: mend it, or remove it"):
        config.load_hub(path)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "{a=" * 3000, "a = 1\na = 2", "a" + ".a" * 3000 + " = 1"]
)
@pytest.mark.parametrize("load", [config.load_agent, lambda path: config.with_board(AgentSettings(), path)])
def test_nonsense_that_is_toml_in_part_is_refused(text: str, load: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(WrongUse, match=r"config\.toml"):
        load(path)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("load", [config.load_agent, lambda path: config.with_board(AgentSettings(), path)])
def test_what_is_no_file_is_refused_at_once(
    make: Callable[[Path], None], load: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    make(path)
    with pytest.raises(WrongUse, match=r"config\.toml"):
        load(path)


def test_board_settings_that_do_not_fit_the_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text('arena = "4MiB"\n')
    settings = dataclasses.replace(AgentSettings(), arena=40 << 20, window=16 << 20)
    with pytest.raises(WrongUse, match="arena must hold two windows"):
        config.with_board(settings, path)
