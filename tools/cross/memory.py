"""Peak resident memory of agents on an emulated 32-bit ARM: `python -m tools.cross.memory [--files N]` (root).

Two agents for armhf run by QEMU in a small Debian of theirs (tools/cross/roots.py), the hub on this machine. A sends N
files of 512 bytes, B receives them, both come to rest, and A starts anew on what is in sync.

The kernel's own figures of such a process are of QEMU and what it emulates together. But a 32-bit program lives below
4 GiB of QEMU's address space, where nothing of QEMU's is: the resident pages there are the program's, files it has
mapped included, as on a board. They are summed twice a second; the largest sum is the peak.
"""

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from toastbox.device.asking import ask
from tools.bench import many, ours
from tools.bench.errors import BenchError, NotEqual
from tools.bench.procs import Processes, run
from tools.cross.roots import SYSTEMS, emulation, environment, install, make_root

SYSTEM = SYSTEMS["armhf"]
PLACE = "memory"  # below the root: the folders of both agents
INSIDE = 'mount --rbind /dev "$1/dev"; mount -t proc none "$1/proc"; root=$1; shift; exec chroot "$root" "$@"'
WIDTH = 1 << 32
POLL_S = 0.5
TIMEOUT_S = 1800.0
SETTLE_S = 5.0


def guest_bytes(pid: int) -> int:
    """Resident memory of the emulated program now."""
    total, inside = 0, False
    with Path(f"/proc/{pid}/smaps").open() as lines:
        for line in lines:
            words = line.split()
            if words[0] == "Rss:" and inside:
                total += int(words[1]) << 10
            elif not words[0].endswith(":"):
                inside = int(words[0].partition("-")[0], 16) < WIDTH
    return total


def command(*arguments: str) -> list[str]:
    """An emulated `toastbox`, on this machine's network."""
    program = ("/usr/bin/python3", "-m", "toastbox", *arguments)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", INSIDE, "sh", str(SYSTEM.root), *program]


class Agents:
    """Both agents, and the most that each was seen to have."""

    def __init__(self, processes: Processes, place: Path) -> None:
        self._processes = processes
        self._place = place
        self._pids: dict[str, int] = {}
        self.peaks: dict[str, int] = {}

    def start(self, name: str) -> None:
        arguments = command("agent", f"/{PLACE}/{name}", "--no-announce")
        self._pids[name] = self._processes.start(name, *arguments, env=environment(SYSTEM))
        self.peaks[name] = 0

    def stop(self, name: str) -> None:
        del self._pids[name]
        self._processes.stop(name)

    def rest(self, entries: int) -> None:
        """Until all that run are in step with so many entries, and some seconds more. Raises NotEqual."""
        deadline = time.monotonic() + TIMEOUT_S
        quiet_s = 0.0
        while quiet_s < SETTLE_S:
            time.sleep(POLL_S)
            self._processes.check()
            for name, pid in self._pids.items():
                self.peaks[name] = max(self.peaks[name], guest_bytes(pid))
            quiet_s = quiet_s + POLL_S if all(self._entries(name) == entries for name in self._pids) else 0.0
            if time.monotonic() > deadline:
                raise NotEqual(f"not in step after {TIMEOUT_S:.0f} s")

    def _entries(self, name: str) -> int:
        """-1: it is not at rest."""
        state = (self._place / name / ".toastbox").stat()
        found = ask((state.st_dev, state.st_ino), {"do": "status"}, 60.0) or {}
        return int(found["entries"]) if found.get("state") == "in sync" else -1


@contextlib.contextmanager
def folders() -> Iterator[Path]:
    place = SYSTEM.root / PLACE
    shutil.rmtree(place, ignore_errors=True)
    for name in ("a", "b", "work"):
        (place / name).mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def measure(files: int) -> dict[str, int]:
    with emulation(), folders() as place, Processes(place / "work") as processes:
        _, port = ours.start_hub(processes, place / "work/data")
        agents = Agents(processes, place)
        for name in ("a", "b"):
            code = ours.invite(place / "work/data")
            joined = command("join", code, f"/{PLACE}/{name}", "--hub", f"https://127.0.0.1:{port}", "--name", name)
            run(*joined, env=environment(SYSTEM))
        many.fill(place / "a", files)
        entries = sum(len(names) + len(below) for _, below, names in os.walk(place / "a")) - state_entries(place / "a")
        for name in ("a", "b"):
            agents.start(name)
        agents.rest(entries)
        found = dict(agents.peaks)
        agents.stop("a")
        agents.start("a")
        agents.rest(entries)
        return {"A, sends": found["a"], "B, receives": found["b"], "A, starts anew": agents.peaks["a"]}


def state_entries(folder: Path) -> int:
    """Names of the agent's own state, itself included, which are not synced."""
    return 1 + sum(len(names) + len(below) for _, below, names in os.walk(folder / ".toastbox"))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.cross.memory", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, metavar="N", help="(default: 10,000)")
    options = parser.parse_args(argv)
    make_root(SYSTEM)
    install(SYSTEM)
    try:
        for name, size in measure(options.files).items():
            print(f"{name}: {size / 1e6:.1f} MB")
    except BenchError as error:
        print(f"memory: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
