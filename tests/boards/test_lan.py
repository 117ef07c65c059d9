"""Two boards and a hub on one LAN find each other, nobody types an address, and names that collide are told apart."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guest import Guest, Lan
from test_story import Pc, wait_for

pytestmark = [pytest.mark.whole, pytest.mark.timeout(3600)]

# Announces a service under the instance name that another device is about to claim (RFC 6762, section 9).
SQUATTER = """
import socket, sys, time
from zeroconf import ServiceInfo, Zeroconf
kind = "_toastbox._tcp.local."
txt = {"txtvers": "1", "role": "device", "id": "4711", "name": "squatter"}
info = ServiceInfo(kind, f"{sys.argv[1]}.{kind}", port=9, properties=txt, addresses=[socket.inet_aton("169.254.0.1")])
zeroconf = Zeroconf(interfaces=["169.254.0.1"])
zeroconf.register_service(info)
print("there", flush=True)
time.sleep(3600)
"""
NAMES = """
import sys, time
from zeroconf import ServiceBrowser, Zeroconf
names = set()
zeroconf = Zeroconf(interfaces=["169.254.0.1"])
ServiceBrowser(zeroconf, "_toastbox._tcp.local.", handlers=[lambda name, **rest: names.add(name)])
time.sleep(5)
print("\\n".join(sorted(name.removesuffix("._toastbox._tcp.local.") for name in names)))
"""


def instances(lan: Lan) -> list[str]:
    """The names of all services on the LAN."""
    command = lan.command(sys.executable, "-c", NAMES)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()


def paired(board: Guest, pc: Pc) -> str:
    """Start a board, call it toast, and give it a code and nothing else: the name it got from the hub."""
    board.start(login=False)
    board.meet()
    board.console("set hostname toast")
    wait_for(lambda: "169.254." in board.console("network"), "it has an address")
    board.type(f"pair {pc.invite()}")
    name = board.expect(r"device:?\s+(\S[^\r\n]*)")[1].strip()
    board.expect("toastbox> ")
    return name


def test_two_boards_of_one_name_and_a_hub(
    tmp_path: Path,
    image_of: Callable[..., Path],
    lan: Lan,
    guests: Callable[..., Guest],
    programs: Callable[..., subprocess.Popen[str]],
) -> None:
    pc = Pc(tmp_path, lan, programs)
    pc.start_hub()
    image = image_of("virt-arm64")
    boards = [guests(image, lan, 256), guests(image, lan, 256)]
    names = [paired(board, pc) for board in boards]
    assert names[0] == "toast" and names[1] != "toast" and names[1].startswith("toast")

    # All are seen, each once, each where it is, and each board sees the other.
    wait_for(lambda: set(names) <= set(pc.discovered()), "both boards and the hub are seen")
    found = pc.discovered()
    assert sorted(each["role"] for each in found.values()) == ["device", "device", "hub"]
    assert len({found[name]["address"] for name in names}) == 2
    assert all(found[name]["address"].startswith("169.254.") for name in names)

    # One board's name is taken while it is off: it takes another, and is found all the same.
    before = next(each for each in instances(lan) if each.startswith(f"{names[1]} ("))
    boards[1].kill()
    squatter = lan.command(sys.executable, "-c", SQUATTER, before)
    with subprocess.Popen(squatter, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "there\n"
            boards[1].start()
            boards[1].login()
            wait_for(lambda: names[1] in pc.discovered(), "it is seen again")
            there = instances(lan)
            assert before in there and any(each.startswith(before[:-1]) and each != before for each in there), there
            assert "squatter" in pc.discovered(), "the first one keeps its name"
        finally:
            process.kill()

    # What one saves the other has, and the boards see each other.
    boards[1].ask("echo hello > /data/folder/hello")
    boards[0].kill()
    boards[0].start()
    boards[0].login()
    boards[0].until("grep -q hello /data/folder/hello")
    boards[0].until(f"toastbox discover --json | grep -q '\"{names[1]}\"'")
