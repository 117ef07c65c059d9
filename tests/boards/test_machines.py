"""Whole machines on their bad days. Slow: `make test-boards` runs them, `make test` the one story of test_story.py."""

import hashlib
import os
import random
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guest import Guest, Lan
from test_story import Pc, in_sync, tell, wait_for

pytestmark = [pytest.mark.whole, pytest.mark.timeout(7200)]

LONG_S = 1800.0
# As the console's unpair: credentials first, so that no agent starts again.
UNPAIR = "cd /data/folder/ && rm -f .toastbox/credentials.json; killall python3.11; sleep 3; rm -rf .toastbox; cd /"
FREE_BYTES = 4 << 20  # below this the kernel would be close to ending programs
BAR_FREE_BYTES, BAR_AGENT_BYTES = 10_000_000, 26_000_000  # in sync and idle, of 64 MiB


def pair(guest: Guest, pc: Pc, name: str) -> None:
    guest.until("ip -4 addr show | grep -q 'inet 169.254'")
    guest.ask(f"toastbox join {pc.invite()} /data/folder --name {name}", LONG_S)


def content(folder: Path) -> dict[str, str]:
    """Hash of every file that is synced, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".toastbox" not in path.parts)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def content_of(guest: Guest) -> dict[str, str]:
    command = "cd /data/folder && find . -path ./.toastbox -prune -o -type f -exec sha256sum {} +; cd /"
    lines = guest.ask(command, LONG_S).splitlines()
    return {line[66:].removeprefix("./"): line[:64] for line in lines if len(line) > 66 and line[64:66] == "  "}


def check_disk(guest: Guest) -> None:
    """The file system came up without being repaired, apart from its journal, and without errors since."""
    found = guest.ask("cat /run/log/fsck")
    assert "clean" in found or "recovering journal" in found, found
    assert "UNEXPECTED INCONSISTENCY" not in found, found
    assert guest.run("dmesg | grep -q -e 'EXT4-fs error' -e 'Out of memory'")[0] == 1
    assert guest.run("mount | grep -q '/data type ext4 (rw'")[0] == 0


@pytest.fixture
def pc(tmp_path: Path, lan: Lan, programs: Callable[..., subprocess.Popen[str]]) -> Pc:
    made = Pc(tmp_path, lan, programs)
    made.start_hub()
    made.start_agent()
    return made


@pytest.mark.parametrize("name", ["virt-armhf", "pi-zero-w"])
def test_other_processors_tell_the_same_story(
    name: str, image_of: Callable[..., Path], lan: Lan, guests: Callable[..., Guest], pc: Pc
) -> None:
    """32 bits with 64 MiB; and a true ARMv6 from its SD card."""
    tell(guests(image_of(name), lan), pc)


def test_power_cuts(image_of: Callable[..., Path], lan: Lan, guests: Callable[..., Guest], pc: Pc) -> None:
    """At random moments of the first boot, of pairing, of a sync of 50 MB and of doing nothing."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    board = guests(image_of("virt-arm64"), lan)
    for _ in range(9):  # the first boot, that never comes to its end
        board.start()
        time.sleep(chance.uniform(0.2, 12))
        board.kill()
        board.check_card()
    board.start()
    board.login()
    check_disk(board)
    for number in range(5):
        board.until("ip -4 addr show dev eth0 | grep -q 'inet 169.254'")
        board.ask(UNPAIR)
        board.type(f"toastbox join {pc.invite()} /data/folder --name board-{number}")
        time.sleep(chance.uniform(0.1, 8))
        board.kill()
        board.check_card()
        board.start()
        board.login()
        check_disk(board)
    board.ask(UNPAIR)
    pair(board, pc, "board")
    for number in range(500):
        (pc.folder / f"file-{number:03}").write_bytes(chance.randbytes(100_000))
    known: dict[str, str] = {}
    for number in range(8):
        board.run(f"echo own-{number} > /data/folder/own-{number}; sync")
        time.sleep(chance.uniform(0.1, 10))
        known |= content(pc.folder)
        board.kill()
        board.check_card()
        board.start()
        board.login()
        check_disk(board)
        there = content_of(board)
        assert all(known.get(name) == digest for name, digest in there.items() if name.startswith("file")), (
            "half a file"
        )
        assert {f"own-{n}" for n in range(number + 1)} <= set(there), "what was synced to the disk is there"
    wait_for(lambda: in_sync(board) and content_of(board) == content(pc.folder), "converged", LONG_S)
    assert len(content(pc.folder)) >= 508
    for _ in range(4):
        time.sleep(chance.uniform(0, 5))
        board.kill()
        board.check_card()
        board.start()
        board.login()
        check_disk(board)
        wait_for(lambda: in_sync(board), "in sync again")
        assert content_of(board) == content(pc.folder)


def numbers(text: str) -> dict[str, int]:
    """Of a line of the console's status: "available 123, agent 45"."""
    return {pair.split()[0]: int(pair.split()[1]) for pair in text.split(", ")}


def test_64_mib_and_20000_files(image_of: Callable[..., Path], lan: Lan, guests: Callable[..., Guest], pc: Pc) -> None:
    """The 32-bit board with 64 MiB, no swap: it keeps 20,000 files in step and is never out of memory.

    The console on its serial port pairs it and tells its memory all the while, as a person would have it.
    """
    for number in range(20_000):
        path = pc.folder / f"folder-{number // 200:03}" / f"{number:05}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{number}\n".encode() * 20)
    board = guests(image_of("virt-armhf"), lan, 1024)
    board.start(login=False)
    board.meet()
    print(f"after the start: {board.status()['memory']}")
    board.console("set hostname board")
    assert "board" in board.console(f"pair {pc.invite()}", LONG_S)
    lowest, most = 1 << 30, 0

    def arrived() -> bool:
        nonlocal lowest, most
        time.sleep(5)
        found = board.status()
        if "memory" not in found:
            return False
        memory = numbers(found["memory"])
        lowest, most = min(lowest, memory["available"]), max(most, memory.get("agent", 0))
        return found.get("state") == "in sync" and int(found.get("entries", "0")) >= 20_100

    wait_for(arrived, "20,000 files in sync", LONG_S)
    time.sleep(30)
    idle = numbers(board.status()["memory"])
    print(f"while syncing: available {lowest} at least, agent {most} at most; in sync and idle: {idle}")
    assert b"Out of memory" not in board.all_heard and b"Killed" not in board.console("log 200").encode()
    assert lowest > FREE_BYTES
    assert idle["available"] > BAR_FREE_BYTES and idle["agent"] < BAR_AGENT_BYTES

    board.kill()
    board.check_card()
    board.start()
    board.login()
    wait_for(lambda: in_sync(board), "in sync after a new start", LONG_S)
    check_disk(board)
    # One hash of all of it: a list of 20,000 would take longer over the serial line than all the rest.
    files = sorted(path for path in pc.folder.rglob("*") if path.is_file() and ".toastbox" not in path.parts)
    everything = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    told = board.ask("cd /data/folder; find folder-* -type f | sort | xargs cat | sha256sum; cd /", LONG_S)
    assert everything in told


def test_hub_on_a_board(
    tmp_path: Path,
    image_of: Callable[..., Path],
    lan: Lan,
    guests: Callable[..., Guest],
    programs: Callable[..., object],
) -> None:
    hub = guests(image_of("virt-arm64", hub=True), lan)
    hub.start()
    hub.login()
    told = hub.ask("toastbox invite --data /data/hub")  # at once: it waits until the hub has started for the first time
    code = re.findall(r"TBX1-[-0-9A-Z]+", told)[-1]
    pc = Pc(tmp_path, lan, programs)  # type: ignore[arg-type]
    hub.until("ip -4 addr show dev eth0 | grep -q 'inet 169.254'")
    pc.ask("join", code, pc.folder, "--name", "pc")
    (pc.folder / "kept").write_text("by a board\n")
    pc.ask("sync", pc.folder)
    hub.kill()
    hub.start()
    hub.login()
    hub.until("toastbox log --data /data/hub | grep -q kept")
    check_disk(hub)
    wait_for(lambda: "hub" in {each["role"] for each in pc.discovered().values()}, "the hub is seen")


def test_cable_pulled_for_minutes(
    image_of: Callable[..., Path], lan: Lan, guests: Callable[..., Guest], pc: Pc
) -> None:
    board = guests(image_of("virt-arm64"), lan)
    board.start()
    board.login()
    pair(board, pc, "board")
    board.until("ls -d /data/folder/.toastbox/index.db")
    wait_for(lambda: in_sync(board), "in sync")
    lan.plug(board.port, False)
    (pc.folder / "during").write_text("the pc's\n")
    board.ask("echo the board > /data/folder/alone")
    time.sleep(150)
    assert not (pc.folder / "alone").exists()
    lan.plug(board.port, True)
    board.until("cat /data/folder/during")
    wait_for((pc.folder / "alone").is_file, "the board's file has come", LONG_S)


def test_clock_at_1970(image_of: Callable[..., Path], lan: Lan, guests: Callable[..., Guest], pc: Pc) -> None:
    """A clock that was never set, while all is running: certificates and order do not depend on it."""
    board = guests(image_of("virt-arm64"), lan)
    board.start()
    board.login()
    board.ask("date -s @60")
    pair(board, pc, "board")
    (pc.folder / "now").write_text("of today\n")
    board.until("cat /data/folder/now")
    board.ask("echo old > /data/folder/then")
    wait_for((pc.folder / "then").is_file, "the board's file has come")
    board.ask("echo newer >> /data/folder/now")
    wait_for(lambda: "newer" in (pc.folder / "now").read_text(), "its edit too")
