"""What a board's console asks of its system: networks, addresses, hooks, and doing nothing at rest."""

import os
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from consolekit import BoardProcess, Cable, make_hooks
from lines import Line
from toastbox.cli import console_client
from toastbox.cli.console_client import Client
from toastbox.config import AgentSettings
from toastbox.core import console_machine as machine
from toastbox.core.console import Answer, Session
from toastbox.device import console_network, console_system, console_wifi
from toastbox.device.console import Line as ServedLine
from toastbox.device.console import parse_options
from toastbox.device.console_board import Board
from toastbox.device.console_store import SettingsFile
from toastbox.device.console_system import LinuxSystem
from toastbox.device.state import Store
from toastbox.errors import ToastboxError, WrongUse

IW = """\
BSS 02:00:00:00:01:00(on wlan0)
\tfreq: 2412
\tcapability: ESS Privacy ShortSlotTime (0x0411)
\tsignal: -71.00 dBm
\tSSID: far
\tRSN:\t * Version: 1
\t\t * Authentication suites: PSK
BSS 02:00:00:00:02:00(on wlan0)
\tcapability: ESS (0x0401)
\tsignal: -40.00 dBm
\tSSID: caf\\xc3\\xa9
BSS 02:00:00:00:03:00(on wlan0)
\tcapability: ESS Privacy (0x0411)
\tsignal: -50.00 dBm
\tSSID: far
\tWPA:\t * Version: 1
\tRSN:\t * Version: 1
\t\t * Authentication suites: PSK SAE
BSS 02:00:00:00:04:00(on wlan0)
\tsignal: -30.00 dBm
\tSSID:
BSS 02:00:00:00:05:00(on wlan0)
\tcapability: ESS Privacy (0x0411)
\tsignal: -80.00 dBm
\tSSID: old
"""


class Wifi:
    """A System whose network has an address or has none. applied: the keys, call by call."""

    def __init__(self, address: str = "") -> None:
        self.address = address
        self.state: dict[str, str] = {}
        self.boots = 1
        self.applied: list[list[str]] = []

    def wifi_state(self) -> dict[str, str]:
        return self.state

    def boot(self) -> str:
        return f"boot-{self.boots}"

    def reboot(self) -> None:
        self.boots += 1

    def apply(self, keys: list[str], values: dict[str, str]) -> None:
        self.applied.append(list(keys))

    def wifi_address(self, name: str = "") -> str:
        return self.address if name != "elsewhere" else ""


def board_with(system: object, place: Path) -> tuple[Board, list[float]]:
    waits: list[float] = []
    return Board(SettingsFile(place / "settings"), system, place / "folder", "x", waits.append), waits  # type: ignore[arg-type]


def test_networks_of_iw() -> None:
    assert console_network.parse_iw(IW) == [
        {"ssid": "caf\u00e9", "signal": -40, "security": "open"},
        {"ssid": "far", "signal": -50, "security": "wpa3"},
        {"ssid": "old", "signal": -80, "security": "wep"},
    ]
    assert console_network.parse_iw("") == [] and console_network.parse_iw("command failed") == []


def test_a_card_that_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """iw says so while the card looks around for itself."""
    program = tmp_path / "iw"
    program.write_text(
        f"#!/bin/sh\n! mkdir {tmp_path}/asked && exec cat {tmp_path}/answer\n"
        "echo 'command failed: Device or resource busy (-16)' >&2\nexit 240\n"
    )
    program.chmod(0o755)
    (tmp_path / "answer").write_text(IW)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(console_network, "wireless", lambda: ["wlan0"])
    monkeypatch.setattr(console_system, "SCAN_PAUSE_S", 0.0)
    found = LinuxSystem(tmp_path / "no-hooks").wifi_scan()
    assert [each["ssid"] for each in found] == ["caf\u00e9", "far", "old"]
    program.write_text("#!/bin/sh\necho 'command failed: Network is down (-100)' >&2\nexit 156\n")
    with pytest.raises(ToastboxError, match="Network is down"):
        LinuxSystem(tmp_path / "no-hooks").wifi_scan()


def test_what_was_heard_before_is_told_when_looking_around_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "iw"
    program.write_text(f'#!/bin/sh\n[ "$4" = dump ] && exec cat {tmp_path}/answer\nexec sleep 60\n')
    program.chmod(0o755)
    (tmp_path / "answer").write_text(IW)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(console_network, "wireless", lambda: ["wlan0"])
    monkeypatch.setattr(console_system, "SCAN_TIMEOUT_S", 0.5)
    assert [each["ssid"] for each in LinuxSystem(tmp_path / "no-hooks").wifi_scan()] == ["caf\u00e9", "far", "old"]


class Supplicant:
    """Answers as wpa_supplicant does at its control socket."""

    def __init__(self, place: Path, answers: dict[str, str]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place / "wlan0"))
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            asked, who = self._socket.recvfrom(100)
            self._socket.sendto(self._answers[asked.decode()].encode(), who)


HEADS = "network id / ssid / bssid / flags\n"
SEEN = "bssid / frequency / signal level / flags / ssid\n02:00:00:00:01:00\t2437\t-30\t[WPA2-PSK-CCMP]\tcaf\\xc3\\xa9\n"


@pytest.mark.parametrize(
    ("flags", "status", "scan", "state"),
    [
        ("[CURRENT]", "COMPLETED", "", console_wifi.JOINED),
        ("[TEMP-DISABLED]", "SCANNING", SEEN, console_wifi.REFUSED),
        ("[CURRENT]", "4WAY_HANDSHAKE", SEEN, console_wifi.JOINING),
        ("", "SCANNING", SEEN, console_wifi.SECURITY),
        ("", "SCANNING", SEEN.splitlines()[0] + "\n", console_wifi.UNSEEN),
    ],
)
def test_state_of_the_network_to_be_joined(tmp_path: Path, flags: str, status: str, scan: str, state: str) -> None:
    answers = {"LIST_NETWORKS": f"{HEADS}0\tcaf\\xc3\\xa9\tany\t{flags}\n", "SCAN_RESULTS": scan}
    Supplicant(tmp_path, {**answers, "STATUS": f"bssid=02:00:00:00:01:00\nwpa_state={status}\naddress=x\n"})
    assert console_wifi.state("wlan0", str(tmp_path)) == {"network": "caf\u00e9", "state": state}


def test_no_state_without_a_network_or_without_who_would_join_it(tmp_path: Path) -> None:
    assert console_wifi.state("wlan0", str(tmp_path)) == {}
    Supplicant(tmp_path, {"LIST_NETWORKS": HEADS})
    assert console_wifi.state("wlan0", str(tmp_path)) == {}


def test_wrong_password_by_improv_is_said_before_the_time_is_over(tmp_path: Path) -> None:
    wifi = Wifi()
    wifi.state = {"network": "home", "state": console_wifi.REFUSED}
    board, waits = board_with(wifi, tmp_path)
    answer = board.do("wifi-join", {"ssid": "home", "password": "geheim99"})
    assert "wifi.password" in answer.error and len(waits) < 10
    assert SettingsFile(tmp_path / "settings").get("wifi.ssid") == ""


def test_an_address_before_the_network_lets_in_is_no_wifi_by_improv(tmp_path: Path) -> None:
    wifi = Wifi("169.254.3.4")
    wifi.state = {"network": "home", "state": console_wifi.JOINING}
    board, _ = board_with(wifi, tmp_path)
    assert board.do("wifi-join", {"ssid": "home", "password": "geheim99"}).code == "failed"
    wifi.state["state"] = console_wifi.JOINED
    assert board.do("wifi-join", {"ssid": "home", "password": "geheim99"}).result == {"url": ""}


def test_networks_of_a_hook() -> None:
    text = "-70\topen\tcafe\n-40\twpa2\thome\tof tabs\nnonsense\n-x\twpa\ty\n-41\twpa2\thome\tof tabs\n"
    assert [each["ssid"] for each in console_network.parse_hook_scan(text)] == ["home\tof tabs", "cafe"]


def test_the_way_out() -> None:
    table = "Iface\tDestination\tGateway\tFlags\neth0\t0002A8C0\t00000000\t0001\neth0\t00000000\t0102A8C0\t0003\n"
    assert console_network.parse_gateway(table) == "192.168.2.1"
    assert console_network.parse_gateway("") == ""


def test_wifi_by_improv_waits_for_an_address_and_goes_back_without(tmp_path: Path) -> None:
    wifi = Wifi("10.0.0.2")
    board, _ = board_with(wifi, tmp_path)
    assert board.do("wifi-join", {"ssid": "home", "password": "geheim99"}).result == {"url": ""}
    assert board.do("online", {}).result == {"online": True, "url": ""}
    answer = board.do("wifi-join", {"ssid": "elsewhere", "password": "geheim99"})
    assert answer.code == "failed" and "no address" in answer.error
    assert SettingsFile(tmp_path / "settings").get("wifi.ssid") == "home"
    assert board.do("wifi-join", {"ssid": "home", "password": "short"}).code == "wrong-use"
    assert wifi.applied == [["wifi.ssid", "wifi.password"], ["wifi.ssid"], ["wifi.ssid"]]


def test_wrong_passwords_are_answered_slower_and_slower(tmp_path: Path) -> None:
    board, waits = board_with(Wifi(), tmp_path)
    assert isinstance(board.do("set", {"values": {"console.password": "geheim99"}}), Answer)
    for _ in range(6):
        assert board.do("auth", {"password": "x"}).code == "refused"
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert board.do("auth", {"password": "geheim99"}).code == ""


def test_a_log_is_cut_to_what_an_answer_holds(tmp_path: Path) -> None:
    hooks = make_hooks(tmp_path)
    (hooks / "log").write_text(f"#!{sys.executable}\nfor at in range(200): print(at, 'x\u00e9' * 400)\n")
    board = Board(SettingsFile(tmp_path / "settings"), LinuxSystem(hooks), tmp_path / "folder", "x")
    answer = board.do("log", {"count": 200})
    assert isinstance(answer.result, list) and answer.result[-1].startswith("199 x") and len(answer.result) == 27
    assert len(machine.encode({"seq": 1, "ok": True, "result": answer.result})) < machine.MAX_ANSWER


def test_hooks_that_fail_say_why(tmp_path: Path) -> None:
    hooks = make_hooks(tmp_path)
    (hooks / "apply").write_text("#!/bin/sh\necho no such card >&2\nexit 1\n")
    with pytest.raises(ToastboxError, match="apply: no such card"):
        LinuxSystem(hooks).apply(["wifi.ssid"], {})
    (hooks / "log").unlink()
    (hooks / "wifi-scan").unlink()
    system = LinuxSystem(hooks)
    assert isinstance(system.network()["dns"], list)
    if not console_network.wireless():
        with pytest.raises(ToastboxError, match="no Wi-Fi card"):
            system.wifi_scan()
    board = Board(SettingsFile(tmp_path / "settings"), system, tmp_path / "folder", "x")
    answer = board.do("set", {"values": {"wifi.ssid": "home"}})
    assert answer.code == "failed" and SettingsFile(tmp_path / "settings").get("wifi.ssid") == "home"


def test_settings_of_the_console_go_before_those_of_the_file(tmp_path: Path) -> None:
    with Store.create(tmp_path) as store:
        (tmp_path / ".toastbox/config.toml").write_text('mode = "send-only"\nlimit_up = "1kB"\nlan_peers = false\n')
        store.set_board_settings(
            {"mode": "receive-only", "name": "caf\u00e9 \U0001f35e", "limit_schedule": "1:00-2:00 1kB/0"}
        )
        found = store.settings()
        assert (found.mode, found.limit_up, found.lan_peers) == ("receive-only", 1000, False)
        assert found.name == "caf\u00e9 \U0001f35e" and found.limit_schedule == "1:00-2:00 1kB/0"
        store.set_board_settings({"mode": "both"})
        with pytest.raises(WrongUse, match="mode must be"):
            store.settings()


def test_wrong_schedules_are_refused(tmp_path: Path) -> None:
    with Store.create(tmp_path) as store:
        for line, wanted in (('limit_schedule = "8-9 1/1"', "HH:MM"), ('limit_offset = "1"', "HH:MM from UTC")):
            (tmp_path / ".toastbox/config.toml").write_text(line)
            with pytest.raises(WrongUse, match=wanted):
                store.settings()
    assert AgentSettings().limit_schedule == ""


class GoneAtOnce:
    """A port that can be opened, and has hung up whenever it is read."""

    path, fd, pending = "gone", -1, False

    def open(self) -> bool:
        self.fd = 99
        return True

    def close(self) -> None:
        self.fd = -1

    def read(self) -> None:
        return None

    def write(self, data: bytes) -> None:
        pass


def test_a_port_that_hangs_up_at_once_is_not_opened_in_haste(tmp_path: Path) -> None:
    served = ServedLine(GoneAtOnce(), board_with(Wifi(), tmp_path)[0])  # type: ignore[arg-type]
    now_s, opened = 100.0, []
    for _ in range(6):
        served.try_open(now_s)
        opened.append(now_s)
        served.readable(now_s + 0.01)
        now_s = max(now_s, served.retry_at_s)
    pauses = [round(later - earlier) for earlier, later in pairwise(opened)]
    assert pauses == [1, 2, 4, 8, 15]
    served.try_open(now_s)
    served.readable(now_s + 60)
    assert served.retry_at_s == now_s + 60


def test_nobody_typing_costs_nothing(board: BoardProcess, cable: Cable) -> None:
    assert board.process is not None
    cable.ask("status")

    def switches() -> str:
        lines = Path(f"/proc/{board.process.pid}/status").read_text().splitlines()  # type: ignore[union-attr]
        return next(line for line in lines if line.startswith("voluntary_ctxt"))

    time.sleep(0.5)
    before = switches()
    time.sleep(2)
    assert switches() == before


def test_a_long_code_is_pasted_at_115200_baud(tmp_path: Path) -> None:
    """Pasted at once, as terminals do, with more behind it: nothing is lost, and all of it is done in order."""
    line = Line(baud=115200)
    board = BoardProcess(tmp_path / "board", line.board)
    board.start()
    try:
        fd = os.open(line.port, os.O_RDWR | os.O_NOCTTY)
        seen = b""
        while b"toastbox> " not in seen:
            seen += os.read(fd, 4096)
        code = "TBX1-" + "-".join(["ABCDEF"] * 60)
        text = "".join(f"set hostname board-{number}\rpair {code}\r" for number in range(8)) + "show\r"
        os.write(fd, text.encode())
        seen = b""
        while b"wifi.ssid" not in seen:
            seen += os.read(fd, 4096)
        assert seen.count(b"paste it again") == 8 and b"ABCDEF" not in seen
        assert board.called() == ["apply hostname"] * 8
        os.close(fd)
    finally:
        assert board.end() == b""
        line.close()


def test_improv_on_a_real_port(board: BoardProcess, cable: Cable) -> None:
    """What the standard's JavaScript client sends and expects, byte by byte."""
    cable.send(b"IMPROV\x01\x03\x02\x03\x00\xe6\n")
    found = cable.until(b"test-board")
    assert b"\nIMPROV\x01\x02\x01\x00\xe1\n" in found and b"IMPROV\x01\x04" in found and b"\x08Toastbox" in found
    body = b"IMPROV\x01\x03\x09\x05\x07kitchen"
    cable.send(body + bytes([sum(body) & 255]) + b"\n")
    cable.until(b"\x05\x09\x07kitchen\x00")
    assert board.called() == ["apply hostname"]
    assert cable.ask("show")["result"]["hostname"] == "kitchen"  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", "are needed"),
        ("--port x --settings y", "are needed"),
        ("--port x --settings y --folder z --speed 1", "--speed is one of"),
        ("--port x --settings y --folder", "--folder is no option, or lacks"),
        ("--port x --settings y --folder z --colour red", "--colour is no option"),
        ("port x --settings y --folder z", "port is no option"),
        ("--help", "--help is no option"),
    ],
)
def test_wrong_options_of_the_service(words: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(words.split())
    assert ended.value.code == 2 and wanted in capsys.readouterr().err


def test_a_console_that_waits_imports_little() -> None:
    code = "import sys, toastbox.device.console; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"typing", "pathlib", "argparse", "hashlib", "subprocess", "asyncio", "sqlite3", "socket"} & set(loaded)


class LossyWire:
    """The PC's end of a line to a board that starts again, with a new console, when it is told to.

    lost: which answers to `reboot` do not arrive, by their number from 0.
    """

    port, speed = "x", 115200

    def __init__(self, system: Wifi, place: Path, lost: set[int]) -> None:
        self._system, self._place, self._lost, self._answers = system, place, lost, 0
        self._coming = b""
        self._start()

    def _start(self) -> None:
        self._board, _ = board_with(self._system, self._place)
        self._session = Session(self._board.needs_password)

    def write(self, data: bytes) -> None:
        self._session.feed(data, 0.0)
        while True:
            out, command = self._session.next()
            self._coming += out
            if command is None:
                return
            self._session.answer(self._board.do(command.name, command.args))
            if command.name == "reboot":
                told = self._session.next()[0]
                self._coming = b"" if self._answers in self._lost else told
                self._answers += 1
            if self._board.after is not None:
                self._board.after()
                self._start()
                return

    def read(self, timeout_s: float) -> bytes:
        data, self._coming = self._coming, b""
        if not data:
            time.sleep(timeout_s)
        return data


@pytest.mark.parametrize("lost", [set(), {0}, {0, 1}])
def test_reboot_whose_answer_is_lost_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: set[int]
) -> None:
    monkeypatch.setattr(console_client, "REPEAT_S", 0.05)
    system = Wifi()
    client = Client(LossyWire(system, tmp_path, lost))  # type: ignore[arg-type]
    client.connect()
    client.ask("reboot")
    assert system.boots == 2 and client.repeats == len(lost)
    client.ask("reboot")  # of the start that was there before: to be asked for a new one, it has to be met
    assert system.boots == 2
    client.connect()
    client.ask("reboot")
    assert system.boots == 3
