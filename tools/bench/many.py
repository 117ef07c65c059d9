"""`python -m tools.bench.many`: memory and time against the number of files, 10 to 1,000,000, as JSON.

Files of 512 bytes, FOLDER_FILES in a folder. Sync up (A), sync down (B), a new small file with all of them in sync,
idle, and the start on an unchanged folder, each with the peak of the process that did it. Long: a million files are
some ten minutes on two idle cores, and each system and number gets disks of its own.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.bench import latency, ours, rsync, syncthing, unison, watch
from tools.bench.cgroup import limited
from tools.bench.disks import require_root
from tools.bench.errors import BenchError, NotEqual, ProgramFailed
from tools.bench.figures import Figures
from tools.bench.pair import Pair
from tools.bench.procs import Processes, require, run
from tools.bench.workload import SEED
from tools.procfs import Sampler, peak_resident_bytes, private_bytes, usage

FILE_BYTES = 512
FOLDER_FILES = 250
POLL_S = 0.5
SETTLE_S = 10.0
IDLE_S = 10.0
TIMEOUT_S = 7200.0
LATENCY_FILES = 20
LIMIT_BYTES = 32 << 20
NUMBERS = (10, 1_000, 10_000, 100_000)
PRIVATE = (".toastbox", ".stfolder")


def name_of(number: int) -> str:
    top, sub = divmod(number // FOLDER_FILES, 100)
    return f"{top:03}/{sub:02}/file-{number:07}.bin"


def fill(root: Path, files: int) -> None:
    """Writes the files, no two alike."""
    source = random.Random(SEED)
    for number in range(files):
        path = root / name_of(number)
        if number % FOLDER_FILES == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(FILE_BYTES))


def count(root: Path) -> int:
    """Files below a folder, without a program's own."""
    found = 0
    for place, folders, names in os.walk(root):
        if Path(place) == root:
            folders[:] = [name for name in folders if name not in PRIVATE]
        found += len(names)
    return found


def wait_for_all(root: Path, files: int, processes: Processes) -> float:
    """The monotonic time at which all files were seen in full. The last one is looked for first: it costs least."""
    deadline = time.monotonic() + TIMEOUT_S
    for number in range(files - 1, -1, -max(files // 1000, 1)):
        while watch.size_of(root / name_of(number)) != FILE_BYTES:
            processes.check()
            if time.monotonic() > deadline:
                raise NotEqual(f"{name_of(number)} of {files} files is not on B after {TIMEOUT_S:.0f} s")
            time.sleep(POLL_S if files > 1000 else watch.POLL_S)
    arrived = time.monotonic()
    while (found := count(root)) != files:
        if time.monotonic() > deadline:
            raise NotEqual(f"B has {found} of {files} files")
        time.sleep(POLL_S)
        arrived = time.monotonic()
    return arrived


def agents_session(pair: Pair, files: int) -> Figures:
    """Both ways of one pair of agents: A sends all, B receives all; then both idle, and A starts anew."""
    fill(pair.a.folder, files)
    subprocess.run(["sync"], check=True)
    with Sampler(0.5) as sampler:
        pair.start_receiver()
        started = time.monotonic()
        pair.start_sender()
        for name, pid in {"a": pair.a.pid, "b": pair.b.pid, **pair.between()}.items():
            sampler.follow(name, pid)
        wall = wait_for_all(pair.b.folder, files, pair.processes) - started
        figures: Figures = {"files": files, "wall_s": wall}
        time.sleep(SETTLE_S)
        for name, pid in {"a": pair.a.pid, "b": pair.b.pid, **pair.between()}.items():
            figures[f"cpu_{name}_s"] = usage(pid).cpu_s
        figures |= latency.measure(pair.a.folder, pair.b.folder, LATENCY_FILES)
        sampler.sample()
        for name, peak in sampler.peaks.items():
            figures |= {f"peak_{name}_bytes": peak.resident_bytes, f"peak_private_{name}_bytes": peak.private_bytes}
        before = usage(pair.a.pid)
        time.sleep(IDLE_S)
        spent = usage(pair.a.pid) - before
        figures |= {"idle_wakeups": spent.wakeups, "idle_private_bytes": private_bytes(pair.a.pid)}
    return figures


def restart_session(pair: Pair, files: int) -> Figures:
    """Both agents start on what is in sync: until they say so, and the peak of each; `find` beside it."""
    figures: Figures = {}
    for side in (pair.a, pair.b):
        pair.processes.stop(side.name)
        before = os.times()
        subprocess.run(["find", str(side.folder), "-printf", "%s %T@ %i\\n"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        figures[f"find_{side.name}_cpu_s"] = sum(after[2:4]) - sum(before[2:4])
        side.pid = ours.start_agent(pair.processes, side.folder, side.name)
        while status(side.folder).get("state") != "in sync":
            pair.processes.check()
            time.sleep(POLL_S)
        figures[f"restart_{side.name}_cpu_s"] = usage(side.pid).cpu_s
        figures[f"peak_restart_{side.name}_bytes"] = peak_resident_bytes(side.pid)
    return figures


def status(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(run(ours.TOASTBOX, "status", folder, "--json"))
    return found


def measure_ours(work: Path, files: int) -> Figures:
    with ours.open_pair(work, relayed=False, files=files) as pair:
        figures = agents_session(pair, files)
        return figures | restart_session(pair, files)


def measure_limited(work: Path, files: int) -> Figures:
    """The same with each agent, and the file cache it fills, in LIMIT_BYTES."""
    with limited("a", LIMIT_BYTES) as one, limited("b", LIMIT_BYTES) as two:
        with ours.open_pair(work, relayed=False, files=files) as pair:
            assert isinstance(pair, ours.ToastboxPair)
            pair.groups.update({pair.a.name: one, pair.b.name: two})
            figures = agents_session(pair, files) | {"limit_bytes": LIMIT_BYTES}
        kills = one.kills() + two.kills()
        if kills:
            raise ProgramFailed(f"{kills} processes were killed for memory")
        return figures | {"cgroup_version": one.version, "cgroup_peak_bytes": max(one.peak_bytes(), two.peak_bytes())}


def measure_syncthing(work: Path, files: int) -> Figures:
    with syncthing.open_pair(work, relayed=False, files=files) as pair:
        return agents_session(pair, files)


def measure_rsync(work: Path, files: int) -> Figures:
    """One push, which flushes nothing. Peak: of the pushing process."""
    with rsync.open_push(work, files) as push:
        fill(push.a.folder, files)
        target = f"rsync://127.0.0.1:{push.port}/folder/"
        started = time.monotonic()
        process = subprocess.Popen(["rsync", "-a", f"{push.a.folder}/", target])
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_resident_bytes(process.pid))
            time.sleep(0.01)
        wall = time.monotonic() - started
        if process.returncode or count(push.b.folder) != files:
            raise NotEqual(f"rsync ended with {process.returncode}")
        return {"files": files, "wall_s": wall, "peak_a_bytes": peak}


def measure_unison(work: Path, files: int) -> Figures:
    """One run. Peaks: of the program on A and of its server on B."""
    with unison.open_roots(work, files) as roots:
        fill(roots.a.folder, files)
        wall, peak = roots.run()
        if count(roots.b.folder) != files:
            raise NotEqual(f"unison left {count(roots.b.folder)} of {files} files on B")
        peak_b = peak_resident_bytes(roots.server_pid)
        return {"files": files, "wall_s": wall, "peak_a_bytes": peak, "peak_b_bytes": peak_b}


SYSTEMS: dict[str, Callable[[Path, int], Figures]] = {
    "toastbox": measure_ours,
    "toastbox-32MiB": measure_limited,
    "syncthing": measure_syncthing,
    "rsync": measure_rsync,
    "unison": measure_unison,
}
PEERS = ("syncthing", "rsync", "unison")


def measured(systems: Sequence[str], numbers: Sequence[int], work: Path | None) -> Iterator[tuple[str, Figures]]:
    for system in systems:
        for files in numbers:
            with tempfile.TemporaryDirectory(prefix="toastbox-many-", dir=work) as place:
                figures = SYSTEMS[system](Path(place), files)
            print(system, {name: round(value, 3) for name, value in figures.items()}, flush=True)
            yield system, figures


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.many", description=__doc__)
    parser.add_argument("--files", nargs="+", type=int, default=NUMBERS, metavar="N", help=f"default: {NUMBERS}")
    parser.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, default=["toastbox", *PEERS], help="default: the peers too"
    )
    parser.add_argument("--without", nargs="+", choices=PEERS, default=[], help="do without a peer that is not there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="figures are added to this file")
    parser.add_argument("--work", type=Path, help="where the loop files go (the temporary folder)")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that all is cleaned up
    try:
        require_root()
        systems = [system for system in options.systems if system not in options.without]
        for peer in set(systems) & set(PEERS):
            require(peer, peer)
        for system, figures in measured(systems, options.files, options.work):
            if options.json:
                add(options.json, system, figures)
    except BenchError as error:
        print(f"bench: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    return 0


def add(path: Path, system: str, figures: Figures) -> None:
    """Put figures into the file, in the place of older ones of the same system and number of files."""
    known = json.loads(path.read_text()) if path.exists() else {}
    kept = [each for each in known.get(system, []) if each["files"] != figures["files"]]
    known[system] = sorted([*kept, figures], key=lambda each: each["files"])
    path.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
