"""Toastbox: a hub and two agents, each on a disk of its own, paired as a user would pair them."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench.cgroup import Cgroup
from tools.bench.disks import fresh_disk
from tools.bench.errors import ProgramFailed
from tools.bench.pair import Pair, two_sides
from tools.bench.procs import Processes, free_port, run, wait_port
from tools.bench.wire import Relay

TOASTBOX = Path(sys.executable).with_name("toastbox")
READY_S = 3.0


@dataclass
class ToastboxPair(Pair):
    """A and B know the hub's address, which with relays is a relay's, one for each leg."""

    hub_pid: int = 0
    groups: dict[str, Cgroup] = field(default_factory=dict)  # by name of side: what limits its agent

    def start_receiver(self) -> None:
        self.b.pid = start_agent(self.processes, self.b.folder, self.b.name, self.groups.get(self.b.name))
        time.sleep(READY_S)
        self.processes.check()

    def start_sender(self) -> None:
        self.a.pid = start_agent(self.processes, self.a.folder, self.a.name, self.groups.get(self.a.name))

    def between(self) -> dict[str, int]:
        return {"hub": self.hub_pid}


@contextmanager
def open_pair(work: Path, relayed: bool, files: int = 0) -> Iterator[Pair]:
    """A running hub with two paired devices whose agents are not yet started."""
    with ExitStack() as stack:
        a, b, processes = stack.enter_context(two_sides(work, stack, files))
        hub_disk = stack.enter_context(fresh_disk(work, "hub"))
        stack.enter_context(processes)  # ended before the hub's disk goes too; ending twice does nothing
        hub_pid, port = start_hub(processes, hub_disk.mount / "data")
        legs: dict[str, Relay] = {}
        for side, leg in ((a, "A-hub"), (b, "hub-B")):
            if relayed:
                legs[leg] = stack.enter_context(Relay(port))
            join(hub_disk.mount / "data", legs[leg].port if relayed else port, side.folder, side.name)
        yield ToastboxPair(a, b, processes, legs, hub_pid)


def start_hub(processes: Processes, data: Path) -> tuple[int, int]:
    """Starts a hub; the answer is its process id and port."""
    if not TOASTBOX.exists():
        raise ProgramFailed(f"{TOASTBOX} is missing: run make setup")
    port = free_port()
    argv = ("hub", "--data", data, "--listen", f"127.0.0.1:{port}", "--no-announce")
    pid = processes.start("hub", TOASTBOX, *argv)
    wait_port(port, processes)
    return pid, port


def invite(data: Path) -> str:
    """A pairing code."""
    return run(TOASTBOX, "invite", "--data", data).strip()


def join(data: Path, port: int, folder: Path, name: str) -> None:
    """Pairs a device of this name by a fresh code and binds the folder."""
    run(TOASTBOX, "join", invite(data), folder, "--hub", f"https://127.0.0.1:{port}", "--name", name)


def start_agent(processes: Processes, folder: Path, name: str, group: Cgroup | None = None) -> int:
    """Starts the agent of a folder, in a group that limits it; the answer is its process id."""
    argv: tuple[str | Path, ...] = (TOASTBOX, "agent", folder, "--no-announce")
    return processes.start(name, *(group.wrap(argv) if group else argv))
