"""`toastbox console` on the PC against a real board process, over lines that are good, bad, slow, and pulled."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consolekit import BoardProcess, Cable
from lines import Line, flips, kernel_messages
from toastbox.cli.console import check_settings
from toastbox.cli.console_client import Client
from toastbox.cli.console_port import Wire
from toastbox.errors import WrongUse
from town import Town, wait_for

Boards = Callable[[str, str], BoardProcess]


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[Boards]:
    """boards(name, port): a board that serves this port."""
    made: list[BoardProcess] = []

    def make(name: str, port: str) -> BoardProcess:
        board = BoardProcess(tmp_path / name, port)
        board.start()
        made.append(board)
        return board

    yield make
    assert [board.end() for board in made] == [b""] * len(made)


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(*arguments: object, **named: object) -> Line:
        made.append(Line(*arguments, **named))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def console(*words: object, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toastbox", "console", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, input=text, timeout=100, check=False)


def must(*words: object, text: str | None = None) -> str:
    done = console(*words, text=text)
    assert done.returncode == 0, done
    return done.stdout


def test_a_board_is_set_up_by_one_command(
    town: Town, boards: Boards, line: Callable[..., Line], tmp_path: Path
) -> None:
    wires = line()
    board = boards("board", wires.board)
    (tmp_path / "wifi").write_text("geheim99\n")
    code = town.must("invite", "--data", "hub").strip()
    words = [
        "--wait",
        "30",
        "--set",
        "hostname=kitchen",
        "--set",
        "wifi.ssid=My Net",
        "--secret",
        f"wifi.password={tmp_path}/wifi",
    ]
    done = must(wires.port, *words, "--set", f"hub={town.url}", "--pair", code, "--do", "status", "--json")
    found = json.loads(done)
    assert found["set"]["wifi.password"] == "(set)" and "geheim" not in done
    assert found["pair"]["device"] == "kitchen" and found["status"]["paired"]
    assert "wifi.password=geheim99\n" in board.settings.read_text()
    again = console(wires.port, "--pair", code)
    assert (again.returncode, again.stdout) == (3, "") and "paired already" in again.stderr


@pytest.mark.parametrize("seed", range(3))
def test_a_bad_line_costs_time_and_nothing_else(boards: Boards, line: Callable[..., Line], seed: int) -> None:
    """One byte of 200 is damaged each way, and the kernel prints in between; each command is done once."""
    spoil = flips(seed, 200)
    talk = kernel_messages(seed, 600)
    wires = line(flips(seed + 100, 200), lambda data: spoil(talk(data)))
    board = boards("board", wires.board)
    wire = Wire(wires.port, 115200)
    wire.open()
    client = Client(wire)
    try:
        client.connect(wait_s=60)
        for number in range(10):
            wanted = f"board-{number}"
            assert client.ask("set", deadline_s=60, values={"hostname": wanted}) == {"hostname": wanted}
        assert client.ask("show", deadline_s=60)["hostname"] == "board-9"
    finally:
        wire.close()
    assert client.repeats > 0
    assert board.called() == ["apply hostname"] * 10


def test_a_slow_line(boards: Boards, line: Callable[..., Line]) -> None:
    """At 9600 baud a listing takes its seconds, and is asked for once."""
    wires = line(baud=9600)
    boards("board", wires.board)
    wire = Wire(wires.port, 9600)
    wire.open()
    client = Client(wire)
    try:
        client.connect(wait_s=30)
        client.repeats = 0
        assert len(client.ask("show", deadline_s=60)) > 10
        assert client.repeats == 0
    finally:
        wire.close()


def test_a_password(boards: Boards, line: Callable[..., Line], tmp_path: Path) -> None:
    wires = line()
    boards("board", wires.board)
    (tmp_path / "secret").write_text("geheim99\n")
    must(wires.port, "--wait", "30", "--secret", f"console.password={tmp_path}/secret", "--do", "status")
    must(wires.port, "--do", "status", "--password-file", tmp_path / "secret")


def test_wrong_use_is_told_before_the_board_is_asked(line: Callable[..., Line]) -> None:
    port = line().port
    for words, wanted in [
        (("--set", "hostname"), "KEY=VALUE"),
        (("--set", "hostname=-"), "host name"),
        (("--set", "colour=red"), "no setting colour"),
        (("--pair", "TBX1-AAAAAA"), "not a pairing code"),
        (("--do", "explode"), "invalid choice"),
        (("--speed", "fast"), "speed in baud"),
        (("--all", "x.toml"), "leave PORT"),
    ]:
        done = console(port, *words)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert wanted in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_hub_without_tls_is_the_boards_affair() -> None:
    assert check_settings({"hub": "http://192.168.1.2:8271"}) == {"hub": "http://192.168.1.2:8271"}
    for wrong in ("ftp://192.168.1.2:8271", "192.168.1.2", "https://"):
        with pytest.raises(WrongUse):
            check_settings({"hub": wrong})


def test_errors_say_whose_fault_it_is(line: Callable[..., Line], tmp_path: Path) -> None:
    done = console(tmp_path / "ttyX", "--do", "status")
    assert done.returncode == 1 and "is not there" in done.stderr and "--list" in done.stderr
    (tmp_path / "file").write_text("")
    assert "cannot be opened" in console(tmp_path / "file", "--do", "status").stderr
    wires = line()
    done = console(wires.port, "--do", "status", "--wait", "2")
    assert "nobody answers" in done.stderr and done.returncode == 1
    wire = Wire(wires.port, 115200)
    wire.open()
    done = console(wires.port, "--do", "status", "--wait", "2")
    assert "is busy" in done.stderr and str(os.getpid()) in done.stderr
    wire.close()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (bytes(range(128, 256)), "another speed"),
        (b"\r\nDebian GNU/Linux 12 kitchen ttyS0\r\n\r\nkitchen login: ", "kitchen login:"),
    ],
)
def test_what_came_instead_is_told(cable: Cable, said: bytes, wanted: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "toastbox", "console", cable.port, "--do", "status", "--wait", "3"],
        stderr=subprocess.PIPE,
        text=True,
    )
    cable.until(b"hello")
    cable.send(said)
    assert wanted in process.communicate(timeout=30)[1] and process.returncode == 1


def test_adapters_that_refuse_modem_lines_do(line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """A pseudo-terminal gives ENOTTY for them, which pyserial bears; some adapters give others."""
    import serial

    def refuse(self: object) -> None:
        raise OSError(71, "Protocol error")

    monkeypatch.setattr(serial.Serial, "_update_dtr_state", refuse)
    monkeypatch.setattr(serial.Serial, "_update_rts_state", refuse)
    wires = line()
    with pytest.raises(OSError):
        serial.Serial(wires.port)
    wire = Wire(wires.port, 115200)
    wire.open()
    wire.write(b"x")
    wire.close()


def test_permission_names_the_group(tmp_path: Path) -> None:
    from toastbox.cli.console_port import explained

    text = str(explained("/dev/null", PermissionError(13, "Permission denied")))
    assert "only root" in text
    os.chown(tmp_path, -1, 20)
    assert "usermod -aG dialout" in str(explained(str(tmp_path), PermissionError(13, "x")))


class Socat:
    """Two pseudo-terminals joined by links that stay named when the cable is pulled and plugged again."""

    def __init__(self, place: Path) -> None:
        self.board, self.port = str(place / "tty-board"), str(place / "tty-pc")
        self._process: subprocess.Popen[bytes] | None = None

    def plug(self) -> None:
        ends = [f"pty,raw,echo=0,link={name}" for name in (self.board, self.port)]
        self._process = subprocess.Popen(["socat", *ends])
        wait_for(lambda: os.path.exists(self.board) and os.path.exists(self.port))

    def pull(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
        wait_for(lambda: not os.path.lexists(self.port))


@pytest.fixture
def socat(tmp_path: Path) -> Iterator[Socat]:
    made = Socat(tmp_path)
    made.plug()
    yield made
    made.pull()


def test_the_cable_is_pulled_in_mid_command_and_plugged_again(socat: Socat, boards: Boards) -> None:
    board = boards("board", socat.board)
    wire = Wire(socat.port, 115200)
    wire.open()
    Client(wire).connect(wait_s=30)
    wire.write(b"factory-reset\rerase ")
    time.sleep(0.3)
    socat.pull()
    socat.plug()
    wire.open()
    wire.write(os.uname().nodename.encode() + b"\r")
    client = Client(wire)
    assert client.connect(wait_s=30)["protocol"] == 1
    assert board.called() == []
    wire.close()


def test_reconnects_after_a_reboot(socat: Socat, boards: Boards) -> None:
    board = boards("board", socat.board)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "toastbox",
            "console",
            socat.port,
            "--wait",
            "30",
            "--do",
            "reboot",
            "--do",
            "status",
            "--json",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: board.called() == ["reboot"])
    board.end()
    socat.pull()
    time.sleep(0.5)
    socat.plug()
    board.start()
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and json.loads(out)["status"]["state"] == "not paired"


def test_by_hand(socat: Socat, boards: Boards) -> None:
    """On a terminal of its own: typed, completed, gone, back, ended by Ctrl-]."""
    boards("board", socat.board)
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "toastbox", "console", socat.port])
    seen = bytearray()

    def until(wanted: bytes) -> None:
        end = time.monotonic() + 30
        while wanted not in seen:
            assert time.monotonic() < end, bytes(seen)
            if select.select([fd], [], [], 0.2)[0]:
                seen.extend(os.read(fd, 4096))
        seen.clear()

    until(b"toastbox> ")
    os.write(fd, b"stat\t\r")
    until(b"not paired")
    socat.pull()
    until(b"is gone")
    socat.plug()
    until(b"it is back")
    until(b"toastbox> ")
    os.write(fd, b"show hostname\x15show\r")
    until(b"wifi.ssid")
    os.write(fd, b"\x1d")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(fd)


def test_in_a_pipe(boards: Boards, line: Callable[..., Line]) -> None:
    wires = line()
    boards("board", wires.board)
    wait_for(lambda: "hostname" in console(wires.port, text="\nset hostname attic\nshow\n").stdout)
    assert "attic" in console(wires.port, text="show\n").stdout


def test_an_emulators_port_over_tcp(boards: Boards, line: Callable[..., Line]) -> None:
    """QEMU's -serial tcp:, as pyserial's socket:// reaches it."""
    wires = line()
    boards("board", wires.board)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"socket://127.0.0.1:{port}"
    with bridge(port, wires.port):
        wait_for(lambda: console(url, "--do", "status", "--wait", "3").returncode == 0)
    with bridge(port, wires.port):  # another one: two at a time would take each other's bytes
        assert json.loads(must(url, "--do", "show", "--json", "--wait", "20"))["show"]["mode"] == "two-way"
    assert "Connection refused" in console(url, "--do", "show").stderr


@contextmanager
def bridge(port: int, line: str) -> Iterator[None]:
    """One TCP connection to a line at a time."""
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,max-children=1"
    process = subprocess.Popen(["socat", listen, f"{line},raw,echo=0"], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def test_ports_are_listed() -> None:
    assert isinstance(json.loads(must("--list", "--json")), list)


def fleet(place: Path, ports: list[str], pair: str, more: str = "") -> Path:
    script = place / "script.toml"
    boards = "".join(f'[[board]]\nport = "{port}"\n' for port in ports)
    script.write_text(
        f'hostname = "sign-{{n:02}}"\nwait_s = 30\n{more}\n'
        f'[set]\nmode = "receive-only"\n"wifi.ssid" = "shop"\nwifi.password = {{ file = "wifi" }}\n{pair}\n{boards}'
    )
    (place / "wifi").write_text("geheim99\n")
    return script


def test_many_boards_at_once(town: Town, boards: Boards, line: Callable[..., Line], tmp_path: Path) -> None:
    """Six boards, one of them on a bad line, one not there, one paired already: each result is told apart."""
    wires = [line(flips(at, 200), flips(at + 50, 200)) if at == 2 else line() for at in range(6)]
    for at, each in enumerate(wires):
        boards(f"board{at}", each.board)
    code = town.must("invite", "--data", "hub").strip()
    must(wires[5].port, "--wait", "30", "--set", f"hub={town.url}", "--set", "name=old", "--pair", code)
    ports = [each.port for each in wires] + [str(tmp_path / "none")]
    script = fleet(tmp_path, ports, f'[pair]\ndata = "hub"\nhub = "{town.url}"')
    done = console("--all", script, "--json")
    assert done.returncode == 1, done
    rows = json.loads(done.stdout)
    assert [row["error"][:16] for row in rows[:5]] == [""] * 5, rows
    assert [row["device"] for row in rows[:5]] == [f"sign-{at:02}" for at in range(1, 6)]
    assert "paired already" in rows[5]["error"] and "not there" in rows[6]["error"]
    names = {row["name"] for row in json.loads(town.must("devices", "--data", "hub", "--json"))}
    assert names == {"old", *(f"sign-{at:02}" for at in range(1, 6))}
    table = console("--all", fleet(tmp_path, ports[5:], ""))
    assert table.returncode == 1 and len(table.stdout.splitlines()) == 2


def test_scripts_are_checked_before_any_board_is_touched(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    (tmp_path / "hub").mkdir()
    for text, wanted in [
        ("", "names no port"),
        ("colour = 1", "no key 'colour'"),
        ('ports = "x"', "must be of kind list"),
        ('[[board]]\nset = { mode = "x" }', "port is missing"),
        ('[[board]]\nport = "/dev/null"\nset = { mode = "x" }', "one of two-way"),
        ('[[board]]\nport = "/dev/null"\nset = { "wifi.password" = { file = "none" } }', "cannot be read"),
        ('[[board]]\nport = "/dev/null"\n[[board]]\nport = "/dev/null"', "twice"),
        ('[pair]\n[[board]]\nport = "/dev/null"', "give data"),
        ('hostname = "{x}"\n[[board]]\nport = "/dev/null"', "only {n}"),
        ("[set", "cannot be read as a script"),
    ]:
        script.write_text(text)
        done = console("--all", script)
        assert done.returncode in (1, 2) and wanted in done.stderr and done.stdout == "", (text, done)
