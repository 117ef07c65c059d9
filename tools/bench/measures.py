"""`python -m tools.bench.measures`: what each measure against memory brings, as the agent has it and without it.

A hub and two agents; FILES files go from A to B, then both rest. Each line is one pair of agents that do without one
measure (WITHOUT says how it is undone), all else equal. MiB, the larger one of the two agents, the median of ROUNDS
in turns: two runs of the same differ by half a MiB.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from toastbox.device.asking import ask
from tools.bench import many, ours
from tools.bench.errors import NotEqual
from tools.bench.procs import Processes
from tools.procfs import peak_resident_bytes, private_bytes, resident_bytes

FILES = 5_000
ROUNDS = 3
TIMEOUT_S = 300.0
REST_S = 3.0
MIB = 1 << 20
POSIX = "from toastbox.native import posix"
WITHOUT = {
    "nothing: as it is": "",
    "one malloc arena": f"{POSIX}; posix.malloc_arena_max = lambda most: None",
    "small thread stacks": "import threading; threading.stack_size = lambda size: None",
    "giving back: arena's pages": (
        "from toastbox.native.arena import Arena; Arena.forget_content = lambda arena: None"
    ),
    "giving back: malloc_trim": f"{POSIX}; posix.malloc_trim = lambda: None",
    "lazy imports: LAN, top": (
        "import toastbox.announce, toastbox.device.hook, toastbox.device.peers, toastbox.device.top"
    ),
    "lazy imports: hub, board": "import toastbox.hub.server, toastbox.cli.console, toastbox.cli.image",
}  # fmt: skip


def start(processes: Processes, name: str, folder: Path, undo: str) -> int:
    program = f"import sys; {undo or 'pass'}; from toastbox.cli import main; sys.exit(main(sys.argv[1:]))"
    return processes.start(name, sys.executable, "-c", program, "agent", folder, "--no-announce")


def entries(folder: Path) -> int:
    """What the running agent has in step; -1: it is not at rest."""
    state = (folder / ".toastbox").stat()
    found = ask((state.st_dev, state.st_ino), {"do": "status"}) or {}
    return int(found["entries"]) if found.get("state") == "in sync" else -1


def measure(work: Path, undo: str, files: int) -> tuple[float, float, float]:
    """Peak resident, resident and private at rest; of the larger agent each."""
    with Processes(work) as processes:
        _, port = ours.start_hub(processes, work / "data")
        pids = []
        for name in ("a", "b"):
            (work / name).mkdir()
            ours.join(work / "data", port, work / name, name)
            pids.append(start(processes, name, work / name, undo))
        many.fill(work / "a", files)
        deadline = time.monotonic() + TIMEOUT_S
        while entries(work / "b") < files or entries(work / "a") != entries(work / "b"):
            processes.check()
            if time.monotonic() > deadline:
                raise NotEqual(f"B has {entries(work / 'b')} of {files} files after {TIMEOUT_S:.0f} s")
            time.sleep(0.2)
        time.sleep(REST_S)
        sizes = (max(map(each, pids)) / MIB for each in (peak_resident_bytes, resident_bytes, private_bytes))
        peak, resident, private = sizes
        return peak, resident, private


def main() -> int:
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WITHOUT}
    for _round in range(ROUNDS):
        for name, undo in WITHOUT.items():
            with tempfile.TemporaryDirectory(prefix="toastbox-measures-") as work:
                found[name].append(measure(Path(work), undo, FILES))
    print(f"{'without':<30}{'peak':>8}{'at rest':>10}{'private':>10}")
    for name, rounds in found.items():
        peak, resident, private = (statistics.median(each) for each in zip(*rounds, strict=True))
        print(f"{name:<30}{peak:>8.1f}{resident:>10.1f}{private:>10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
