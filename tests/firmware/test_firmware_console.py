"""The serial line of a whole board: typed at, spoken to by a machine and by Improv, paired over it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boardkit import Board, ask, free_port, record

from cable import Cable
from hubkit import Caller, Running, bundle, file
from toastbox.core import console_improv as improv
from toastbox.core.console_line import _CONTROLS, _ESCAPES
from toastbox.hub.home import find_folder

Fresh = Callable[..., Board]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fresh]:
    """A board that was never set up, with a serial line."""
    made: list[Board] = []

    def make(**settings: Any) -> Board:
        board = Board(tmp_path / f"board{len(made)}")
        made.append(board)
        settings.setdefault("port_here", free_port())
        (board.place / "conf/settings").write_bytes(record(json.dumps(settings).encode()))
        board.plug()
        board.on()
        return board

    yield make
    for board in made:
        board.off()


def test_paired_over_the_line_and_in_sync(fresh: Fresh, hub: Running, caller: Caller) -> None:
    board = fresh()
    code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600))
    hello = ask(board, 1, "hello")["result"]
    assert hello["protocol"] == 1 and hello["hostname"] == "toastbox" and hello["locked"] is False
    assert ask(board, 2, "status")["result"]["paired"] is False
    assert ask(board, 3, "pair", code=code)["code"] == "failed"  # no hub is known
    url = f"https://127.0.0.1:{hub.port}"
    assert ask(board, 4, "set", values={"hub": url, "name": "toast"})["ok"]
    assert ask(board, 5, "pair", code="TBX1-" + "0" * 47)["code"] in ("wrong-use", "failed")
    answer = ask(board, 6, "pair", code=code)
    assert answer["result"]["hub"] == url, answer
    caller.ask("POST", "/v1/chunks", bundle(b"hello"))
    assert caller.commit(caller.epoch(), file("hello", b"hello"))[0][0] == 0
    board.wait(lambda: board.files() == {"hello": b"hello"})
    status = ask(board, 7, "status")["result"]
    assert status["paired"] and status["files"] == 1 and status["heap_free"] > 0
    assert ask(board, 8, "pair", code=code)["code"] == "refused"
    assert ask(board, 9, "unpair")["ok"]
    assert ask(board, 10, "status")["result"]["paired"] is False
    assert board.files() == {"hello": b"hello"}


def test_the_real_client_sets_it_up(tmp_path: Path, hub: Running, caller: Caller) -> None:
    board, cable = Board(tmp_path / "board"), Cable()
    (board.place / "conf/settings").write_bytes(record(json.dumps({"port_here": free_port()}).encode()))
    board.attach(cable.chip)
    board.on()
    try:
        code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600))
        command = [
            sys.executable,
            "-m",
            "toastbox",
            "console",
            cable.port,
            "--set",
            f"hub=https://127.0.0.1:{hub.port}",
        ]
        command += ["--set", "only=pictures, /settings.json", "--pair", code, "--do", "status", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"paired": true' in done.stdout
        caller.upload(b"hello", b"else")
        answers = caller.commit(caller.epoch(), file("pictures", b"hello"), file("other", b"else"))
        assert [status for status, _ in answers] == [0, 0]
        board.wait(lambda: board.files() == {"pictures": b"hello"})
        again = subprocess.run([*command[:5], "--pair", code], capture_output=True, text=True, timeout=100, check=False)
        assert again.returncode != 0 and "unpair" in again.stderr
    finally:
        board.off()
        cable.close()


def test_a_board_asked_again_to_start_again_does_it_once(fresh: Fresh) -> None:
    board = fresh()
    first = ask(board, 1, "hello")["result"]["boot"]
    assert len(first) == 16 and ask(board, 2, "hello")["result"]["boot"] == first
    assert ask(board, 3, "reboot", boot=first)["ok"]
    board.wait(lambda: board.starts == 2)
    assert ask(board, 3, "reboot", boot=first)["result"] == "has started again"
    assert ask(board, 4, "hello")["result"]["boot"] not in ("", first)
    assert board.starts == 2


def test_typing(fresh: Fresh) -> None:
    board = fresh()
    board.say(b"\r")
    board.hear(b"toastbox> ")
    board.say(b"help\r")
    assert b"factory-reset" in board.hear(b"Ctrl-C drops it")
    board.say(b"set mode nonsense\r")
    board.hear(b"two-way, receive-only, send-only")
    board.say(b"set mode receive-only\r")
    board.say(b"set only pictures, /settings.json\r")
    board.say(b"set wifi.ssid home\r")
    board.say(b"set wifi.password\r")
    board.hear(b"wifi.password: ")
    board.say(b"not to be seen\r")
    board.say(b"show\r")
    shown = board.hear(b"wifi.ssid")
    assert b"receive-only" in shown and b"(set)" in shown and b"not to be seen" not in shown
    board.say(b"set limit.up 100kB\r")
    board.hear(b"there is no setting")
    settings = json.loads((board.place / "conf/settings").read_bytes().partition(b"\n")[2])
    assert settings["mode"] == "receive" and settings["only"] == ["pictures", "/settings.json"]
    assert settings["wifi"] == ["home", "not to be seen"]


def test_every_key_of_the_line_editor_works_on_a_board(fresh: Fresh) -> None:
    board = fresh()
    board.say(b"\r")
    board.hear(b"toastbox> ")
    for key in [bytes([control]) for control in _CONTROLS] + [b"\x1b" + text.encode() for text in _ESCAPES]:
        board.say(b"x y" + key + b"\r")
        board.hear(b"toastbox> ")
    board.say(b"xset modf\x7fe receive-only\x01\x04\r")
    board.say(b"show\r")
    assert b"receive-only" in board.hear(b"wifi.ssid")
    assert board.starts == 1


def test_a_password_comes_before_everything(fresh: Fresh) -> None:
    board = fresh()
    assert ask(board, 1, "set", values={"console.password": "sesame sesame"})["ok"]
    board.off()
    board.plug()
    board.on()
    assert ask(board, 1, "hello")["result"]["locked"] is True
    assert ask(board, 2, "show")["code"] == "locked"
    assert ask(board, 3, "auth", password="wrong")["code"] == "refused"
    assert ask(board, 4, "auth", password="sesame sesame")["ok"]
    assert ask(board, 5, "show")["result"]["console.password"] == "(set)"


def test_reboot_and_factory_reset(fresh: Fresh) -> None:
    board = fresh()
    board.write("mine/a", b"a")
    starts = board.starts
    assert ask(board, 1, "reboot")["ok"]
    board.wait(lambda: board.starts == starts + 1)
    answer = ask(board, 1, "factory-reset")
    assert answer["code"] == "phrase" and "erase toastbox" in answer["error"]
    assert board.files() == {"mine/a": b"a"}
    assert ask(board, 2, "factory-reset", phrase="erase toastbox")["ok"]
    board.wait(lambda: board.starts == starts + 2)
    assert ask(board, 1, "status")["result"]["paired"] is False
    assert board.files() == {} and not (board.place / "conf/settings").exists()


def test_improv_joins_the_wifi(fresh: Fresh) -> None:
    board = fresh()
    board.off()
    board.fake("network")
    (board.place / "wifi").write_text("10.0.0.7")
    board.plug()
    board.on()
    board.say(improv.packet(improv.RPC, bytes([improv.SCAN, 0]))[1:])
    assert b"home" in board.hear(improv.result(improv.SCAN, []))
    data = b"\x04home\x0ahome sweet"
    board.say(improv.packet(improv.RPC, bytes([improv.WIFI, len(data)]) + data)[1:])
    board.hear(improv.state(improv.PROVISIONED))
    assert ask(board, 1, "network")["result"] == {"state": "up", "address": "10.0.0.7"}
    assert (board.place / "wifi.tries").read_text().splitlines()[-1] == "home home sweet"


def test_safe_mode_keeps_the_console(fresh: Fresh) -> None:
    board = fresh()
    board.off()
    faults = {"slot": "a", "trial": 0, "faults": 3, "bad": 0}
    (board.place / "conf/start").write_bytes(record(json.dumps(faults).encode()))
    (board.place / "conf/fault").write_bytes(record(b"Traceback\nValueError: of before\n"))
    board.plug()
    board.on()
    status = ask(board, 1, "status")["result"]
    assert status["mode"] == "safe" and status["last_fault"] == "ValueError: of before"
