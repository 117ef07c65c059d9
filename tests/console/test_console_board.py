"""The console of a board, in a process of its own: what is typed and asked for is done, and outlives the process."""

import stat
import time

import pytest

from consolekit import BoardProcess, Cable
from toastbox.core.console_machine import RS
from toastbox.device.console_store import SettingsFile
from town import Town, wait_for


def test_settings_are_set_shown_and_kept(board: BoardProcess, cable: Cable) -> None:
    assert b"hostname  kitchen" in cable.line("set hostname Kitchen")
    assert b"(set)" in cable.line("set wifi.password geheim99")
    shown = cable.line("show")
    assert b"kitchen" in shown and b"geheim" not in shown
    assert board.called() == ["apply hostname", "apply wifi.password"]
    assert board.settings.read_text() == "hostname=kitchen\nwifi.password=geheim99\n"
    assert stat.S_IMODE(board.settings.stat().st_mode) == 0o600
    assert b"has 8 to 63" in cable.line("set wifi.password short")
    assert board.end() == b""
    board.start()
    cable.until(b"toastbox> ")
    assert cable.ask("show")["result"]["hostname"] == "kitchen"  # type: ignore[index]


def test_several_settings_are_all_or_none(board: BoardProcess, cable: Cable) -> None:
    bad = cable.ask("set", values={"hostname": "porch", "wifi.country": "Germany"})
    assert bad["code"] == "wrong-use" and not board.settings.exists() and board.called() == []
    good = cable.ask("set", values={"wifi.ssid": "home", "wifi.password": "geheim99", "wifi.country": "de"})
    assert good["result"] == {"wifi.ssid": "home", "wifi.password": "(set)", "wifi.country": "DE"}
    assert board.called() == ["apply wifi.ssid wifi.password wifi.country"]
    again = cable.ask("set", values={"wifi.ssid": "home"})
    assert again["ok"] and len(board.called()) == 1


def test_what_is_told(board: BoardProcess, cable: Cable) -> None:
    hello = cable.ask("hello")["result"]
    assert isinstance(hello, dict) and hello["protocol"] == 1 and hello["board"] == "test-board"
    told = cable.ask("status")["result"]
    assert told["state"] == "not paired" and told["memory"]["available"] > 1 << 20  # type: ignore[index,call-overload]
    assert cable.ask("log", count=5)["result"] == ["one", "two 5"]
    assert cable.ask("network")["ok"]
    assert cable.ask("wifi-scan")["result"][0] == {"ssid": "home", "signal": -40, "security": "wpa2"}  # type: ignore[index]
    assert b"SSID  SIGNAL  SECURITY" in cable.line("wifi scan")
    assert b"not paired" in cable.line("status") + cable.line("unpair")


def test_reboot_is_done_behind_the_answer(board: BoardProcess, cable: Cable) -> None:
    assert cable.ask("reboot") == {"seq": 1, "ok": True, "result": "starting again"}
    wait_for(lambda: board.called() == ["reboot"])
    assert b"stopping" in cable.line("poweroff")
    wait_for(lambda: board.called() == ["reboot", "poweroff"])


def test_password(board: BoardProcess, cable: Cable) -> None:
    cable.send(b"set console.password\r")
    cable.until(b"console.password: ")
    cable.line("geheim99")
    assert b"geheim99" not in board.settings.read_bytes()
    assert b"logged" not in cable.line("logout", b"password: ")
    begun = time.monotonic()
    assert b"wrong password" in cable.line("falsch99", b"password: ")
    assert time.monotonic() - begun > 0.4
    assert cable.ask("status")["code"] == "locked"
    assert cable.ask("auth", password="geheim99")["ok"] and cable.ask("status")["ok"]
    assert board.end() == b""
    board.start()
    cable.until(b"password: ")
    assert b"geheim" not in cable.line("geheim99")


def test_a_long_code_pasted_between_noise(board: BoardProcess, cable: Cable) -> None:
    code = "TBX1-" + "-".join(["ABCDEF"] * 8)
    cable.send(b"\xff\xfe\x00\x1b[" + b"\x03")
    cable.until(b"toastbox> ")
    out = cable.line("pair " + code)
    assert b"paste it again" in out and b"ABCDEF" not in out
    cable.send(bytes(each for each in range(256) if each not in (RS, 10, 13)) * 20 + b"\x03")
    cable.until(b"^C\r\ntoastbox> ")
    assert cable.ask("status")["ok"]


@pytest.mark.parametrize("damage", [b"", b"[   12.345678] usb 1-1: new device\r\n", b"\x1e", b"\x1e{", b"IMPROV\x01"])
def test_damaged_requests_are_done_once(board: BoardProcess, cable: Cable, damage: bytes) -> None:
    frame = b'\x1e{"seq":9,"do":"poweroff","crc":'
    cable.send(frame + damage)
    time.sleep(0.05)
    cable.send(b"\r\n")
    time.sleep(2.2)
    assert cable.ask("reboot")["ok"]
    wait_for(lambda: board.called() == ["reboot"])


def test_factory_reset_needs_its_phrase(board: BoardProcess, cable: Cable) -> None:
    board.folder.mkdir()
    (board.folder / "file").write_text("x")
    cable.line("set hostname kitchen")
    assert cable.ask("factory-reset")["code"] == "phrase"
    assert cable.ask("factory-reset", phrase="erase porch")["code"] == "phrase"
    assert (board.folder / "file").exists()
    cable.send(b"factory-reset\r")
    assert b"erase kitchen" in cable.until(b"phrase: ")
    cable.line("erase kitchen")
    wait_for(lambda: "reboot" in board.called())
    assert list(board.folder.iterdir()) == [] and not board.settings.exists()


def test_a_board_is_paired_told_and_left(board: BoardProcess, cable: Cable, town: Town) -> None:
    """With a real hub and a real agent; the files stay when the board leaves, and come back when it is paired anew."""
    cable.line("set mode receive-only")
    cable.line(f"set hub {town.url}")
    code = town.must("invite", "--data", "hub").strip()
    out = cable.line(f"pair {code}")
    assert town.url.encode() in out and code[6:].encode() not in out
    agent = town.start_agent(str(board.folder))
    (board.folder / "mine").write_text("kept here")
    wait_for(lambda: cable.ask("status")["result"]["state"] == "in sync")  # type: ignore[index]
    assert cable.ask("status")["result"]["memory"]["agent"] > 1 << 20  # type: ignore[index]
    assert cable.ask("pair", code=code)["code"] == "refused"
    assert 'mode = "receive-only"' in (board.folder / ".toastbox/board.toml").read_text()

    assert cable.ask("set", values={"mode": "two-way", "limit.up": "10MB"})["ok"]
    assert agent.wait(10) == 0  # a supervisor would start it again
    agent = town.start_agent(str(board.folder))
    porch = town.join("porch")
    town.start_agent("porch")
    wait_for((porch / "mine").exists)

    assert cable.ask("unpair")["ok"] and agent.wait(10) == 0
    assert cable.ask("status")["result"]["state"] == "not paired"  # type: ignore[index]
    assert (board.folder / "mine").read_text() == "kept here"
    (porch / "later").write_text("x")
    assert cable.ask("pair", code=town.must("invite", "--data", "hub").strip(), hub=town.url)["ok"]
    town.start_agent(str(board.folder))
    wait_for((board.folder / "later").exists)
    assert (porch / "mine").exists() and (board.folder / "mine").exists()


def test_settings_survive_what_they_cannot_read(board: BoardProcess) -> None:
    board.settings.parent.mkdir()
    board.settings.write_bytes(b"\xff\xfe\nhostname=porch\nwifi.country=Germany\n=x\nunknown=1\nmode=two-way\r\n")
    settings = SettingsFile(board.settings)
    assert (
        settings.get("hostname") == "porch" and settings.get("wifi.country") == "" and settings.get("mode") == "two-way"
    )
    settings.set({"hostname": "attic"})
    assert "unknown=1" in board.settings.read_text() and settings.get("hostname") == "attic"
