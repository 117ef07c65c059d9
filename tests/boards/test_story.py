"""The whole story once: a board is made, started, paired over its serial line, found on the LAN, and kept in step."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guest import Guest, Lan

WAIT_S = 180.0


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"
        time.sleep(0.5)


class Pc:
    """The PC on the LAN: it has the hub and a folder of its own."""

    def __init__(self, place: Path, lan: Lan, programs: Callable[..., subprocess.Popen[str]]) -> None:
        self.place, self.lan, self._programs = place, lan, programs
        self.folder = place / "pc"

    def ask(self, *words: object) -> str:
        done = subprocess.run(
            self.lan.toastbox(*words), capture_output=True, text=True, cwd=self.place, timeout=120, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def start_hub(self) -> None:
        self._programs(self.lan.toastbox("hub", "--data", "hub"))
        wait_for(lambda: (self.place / "hub" / "journal.db").exists() or self._invites(), "the hub starts")

    def _invites(self) -> bool:
        command = self.lan.toastbox("invite", "--data", "hub")
        return subprocess.run(command, capture_output=True, cwd=self.place, timeout=60, check=False).returncode == 0

    def invite(self) -> str:
        wait_for(self._invites, "the hub gives codes")
        return self.ask("invite", "--data", "hub")

    def start_agent(self) -> None:
        self.ask("join", self.invite(), self.folder, "--hub", "https://127.0.0.1:8269", "--name", "pc")
        self._programs(self.lan.toastbox("agent", self.folder))

    def discovered(self) -> dict[str, dict[str, str]]:
        found = json.loads(self.ask("discover", "--json", "--timeout", "5"))
        return {each["name"]: each for each in found}


def status(guest: Guest) -> dict[str, object]:
    code, text = guest.run("toastbox status /data/folder --json")
    return json.loads(text[text.index("{") :]) if code == 0 else {}


def in_sync(guest: Guest) -> bool:
    return status(guest).get("state") == "in sync"


def tell(board: Guest, pc: Pc) -> None:
    """The story of one board; the hub runs and the PC is in sync. Prints how long it takes to be announced."""
    (pc.folder / "hello").write_text("from the pc\n")
    board.start(login=False)

    # Paired by its console, the hub found by mDNS: nobody typed an address.
    board.meet()
    board.console("set hostname board")
    wait_for(lambda: "169.254." in board.console("network"), "it has an address")
    board.type(f"pair {pc.invite()}")
    board.expect(r"device:?\s+board")
    board.expect("toastbox> ")
    wait_for(lambda: {"board", "pc"} <= set(pc.discovered()), "both are seen on the LAN")
    assert pc.discovered()["board"]["role"] == "device"
    wait_for(lambda: board.status().get("state") == "in sync", "the console says that it is in sync")

    # The console has the line to itself also after a service was started again: nobody else shows what is typed.
    board.console("set limit.up 50000000")
    wait_for(lambda: board.status().get("state") == "in sync", "the agent has started again")
    board.send(b"set wifi.password not-to-be-seen\x15")
    board.console("")
    assert b"not-to-be-seen" not in board.all_heard

    # The power is cut, and comes back: what it was told stays, and it goes on by itself.
    board.kill()
    board.check_card()
    with pc.lan.listening("board") as announced:
        board.start()
        print(f"power on to announced on the LAN: {announced() - board.started:.1f} s")
    board.login()
    board.until("grep -q 'from the pc' /data/folder/hello")
    board.ask("test $(hostname) = board")
    board.ask("echo from the board > /data/folder/answer")
    wait_for((pc.folder / "answer").is_file, "the board's file is on the pc")
    assert (pc.folder / "answer").read_text() == "from the board\n"
    wait_for(lambda: in_sync(board), "the board says that it is in sync")
    board.ask("echo saved > /data/folder/saved; toastbox sync /data/folder")
    board.kill()
    board.check_card()
    (pc.folder / "meanwhile").write_text("while it was off\n")
    board.start()
    board.login()
    assert "saved" in board.until("cat /data/folder/meanwhile /data/folder/saved")
    assert board.run("dmesg | grep -q 'EXT4-fs error'")[0] == 1
    board.until("test $(df -k /data | tail -n 1 | awk '{print $2}') -gt 300000")  # it has grown to the card
    board.poweroff()
    board.check_card()


@pytest.mark.timeout(1500)
def test_one_board_from_power_on_to_files_both_ways(
    tmp_path: Path,
    image_of: Callable[..., Path],
    lan: Lan,
    guests: Callable[..., Guest],
    programs: Callable[..., subprocess.Popen[str]],
) -> None:
    pc = Pc(tmp_path, lan, programs)
    pc.start_hub()
    pc.start_agent()
    tell(guests(image_of("virt-arm64"), lan), pc)
