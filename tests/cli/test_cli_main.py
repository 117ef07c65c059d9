"""The command line as a whole: what it accepts, what it refuses, and how it says so."""

import argparse
import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from toastbox import cli, errors
from toastbox.cli.parser import build_parser

ROOT = Path(__file__).resolve().parents[2]


def parsers(command: str = "") -> dict[str, argparse.ArgumentParser]:
    """The parser of every command, or of one."""
    subparsers = next(action for action in build_parser(command)._actions if action.choices)
    assert isinstance(subparsers.choices, dict)
    return subparsers.choices


COMMANDS = sorted(parsers())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_known_is_parsed_as_among_all(command: str) -> None:
    alone = parsers(command)
    assert list(alone) == [command]
    assert alone[command].format_help() == parsers()[command].format_help()
    assert alone[command].get_default("run") == parsers()[command].get_default("run")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if name != "TOASTBOX_DEBUG"}
    return subprocess.run(
        [sys.executable, "-m", "toastbox", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean | environment,
    )


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    try:
        code = cli.main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("\n")
    assert shown.err.count("\n") == 1
    return code, shown.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: toastbox {command}" in capsys.readouterr().out


def test_table_of_the_readme_is_the_command_line() -> None:
    rows = re.findall(r"^\| `(toastbox [^`]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    documented = {row.split()[1]: sorted(re.findall(r"--?[a-z][a-z-]*|[A-Z]+(?=[ \]]|$)", row)) for row in rows}
    assert documented == {command: sorted(words_of(command)) for command in COMMANDS}


def words_of(command: str) -> list[str]:
    """Options and names of values, as a table's row has them."""
    words = []
    for action in parsers()[command]._actions:
        if action.dest != "help":
            words += [*action.option_strings[:1], *([str(action.metavar)] if action.metavar else [])]
    return [re.split("[:=]", word)[-1] for word in words]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("toast", "invalid choice: 'toast'"),
        ("sync", "the following arguments are required: FOLDER"),
        ("sync . --fast", "unrecognized arguments: --fast"),
        ("hub --listen 8269", "must be HOST:PORT with a port of 0 to 65535, not '8269'"),
        ("hub --listen ::1:8269", "must be an IPv6 address in brackets"),
        ("invite --data ''", "argument --data: must be a folder, not ''"),
        ("hub --data ''", "argument --data: must be a folder, not ''"),
        ("log ''", "argument FOLDER: must be a folder, not ''"),
        ("join CODE ''", "argument FOLDER: must be a folder, not ''"),
        ("agent ''", "argument FOLDER: must be a folder, not ''"),
        ("invite --ttl 99d", "must be 1 s to 7 days, not '99d'"),
        ("invite --ttl soon", "must be a number and a unit such as 10m or 1d, not 'soon'"),
        ("restore a.txt zero", "as `toastbox versions` prints it, not 'zero'"),
        ("restore a.txt 0", "not '0'"),
        ("log --count -1", "a number above 0, not '-1'"),
        ("hub --data x --journal postgres://db", "not in this version"),
        ("hub --data x --chunks s3://bucket", "not in this version"),
        ("log . --folder main", "--folder names a folder of a hub: give --data too"),
        ("log /", "/ is in no joined folder"),
        ("join nonsense FOLDER", "this is not a pairing code"),
        ("join nonsense FOLDER --hub https://127.0.0.1:1", "this is not a pairing code"),
        ("join CODE FOLDER --name ''", "1 to 64 printable bytes"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    line: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = refusal(capsys, *shlex.split(line))
    assert code == 2
    assert words in text
    assert text.startswith("toastbox")


@pytest.mark.parametrize("command", ["agent", "sync", "status", "pause", "resume"])
def test_folder_that_was_not_joined_is_exit_code_3(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = refusal(capsys, command, str(tmp_path))
    assert code == 3
    assert "was not joined here, or its disk is not mounted" in text


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (errors.WrongUse("no"), 2, "no"),
        (errors.SafetyRefused("no"), 3, "no"),
        (errors.HubUnreachable("no"), 1, "no"),
        (errors.EpochChanged(7), 1, "journal was restored"),
        (OSError(28, "No space left on device", "/x"), 1, "/x: No space left on device"),
        (PermissionError(13, "Permission denied", b"/\xff"), 1, "Permission denied"),
        (IsADirectoryError(21, "Is a directory", 5), 1, "Is a directory"),
        (KeyError("bug"), 1, "KeyError: 'bug' (this is a bug"),
        (errors.WrongUse("two\nlines \x1b[31mred"), 2, r"two\nlines \x1b[31mred"),
    ],
)
def test_error_becomes_one_line_and_its_exit_code(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.report(error) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert shown.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    plain = run("status", str(tmp_path))
    assert (plain.returncode, "Traceback" in plain.stderr) == (3, False)
    assert "Traceback" in run("status", str(tmp_path), TOASTBOX_DEBUG="1").stderr


def test_reader_that_leaves_early_gets_no_traceback() -> None:
    command = f"{shlex.quote(sys.executable)} -m toastbox --help | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["--help", "--version", "hub --help", "boards", "boards --json"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_a_failure(line: str, unbuffered: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m toastbox {line} > /dev/full"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (1, "toastbox: No space left on device\n")


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-", "2>&- >&-", "<&- >&- 2>&-"])
def test_exit_code_remains_when_nothing_can_be_said(stderr: str, tmp_path: Path) -> None:
    program = f"{shlex.quote(sys.executable)} -m toastbox"
    for arguments, code in (("--fast", 2), (f"status {tmp_path}", 3)):
        done = subprocess.run(
            ["sh", "-c", f"{program} {arguments} {stderr}"], capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_no_file_gets_the_number_of_a_closed_stderr(tmp_path: Path) -> None:
    script = (
        "import os; from toastbox import cli; cli.main(['boards']); print(os.open('/', 0), file=open('found', 'w'))"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)} <&- >&- 2>&-"
    subprocess.run(["sh", "-c", command], timeout=60, check=True, cwd=tmp_path)
    assert int((tmp_path / "found").read_text()) > 2


# --- what is imported


def imported(*arguments: str) -> set[str]:
    """Top-level names of the modules that a command has imported when it ends."""
    done = run(*arguments)
    script = f"""
import contextlib, io, sys
from toastbox.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()), \\
        contextlib.redirect_stdout(io.StringIO()):
    main({list(arguments)!r})
print(*sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_help_imports_next_to_nothing() -> None:
    found = imported("--help")
    assert not found & {"aiohttp", "zeroconf", "sqlite3", "ssl", "asyncio", "cffi", "cryptography", "dataclasses"}


def test_status_imports_neither_network_nor_hub(tmp_path: Path) -> None:
    found = imported("status", str(tmp_path))
    assert not found & {"aiohttp", "zeroconf", "cryptography", "microdot", "http.client", "toastbox.device.engine"}
    assert not [name for name in found if name.startswith("toastbox.hub")]


def test_agent_holds_nothing_that_only_a_hub_needs() -> None:
    script = "import sys, toastbox.device.agent, toastbox.cli.device; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    found = set(done.stdout.split())
    assert not found & {"aiohttp", "cryptography", "yarl", "multidict", "requests", "urllib3", "urllib.request"}
    assert not [name for name in found if name.startswith("toastbox.hub")]


# --- services


@pytest.mark.parametrize("unit", sorted((ROOT / "packaging").glob("*.service")), ids=lambda path: path.name)
def test_units_call_commands_that_exist(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    program, *arguments = parser["Service"]["ExecStart"].split()
    assert program == "/usr/local/bin/toastbox"
    build_parser().parse_args(arguments)
    assert parser["Service"]["RestartPreventExitStatus"] == "2 3"
