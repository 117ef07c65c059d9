"""`python -m tools.soak`: millions of file operations in a folder, and whether the agents' memory stays where it was.

A hub and two agents on this machine. One folder is churned (create, edit, rename, delete, rename of folders) in rounds,
without a pause while the agents follow; after each round both come to rest and their resident memory is noted. The soak
fails when at the end it is more than a megabyte above what it was after the first operations, or when folders differ.

Root gets a file system of its own in a loop file for all of it: on one that others write to, each flush of a batch
waits for their bytes too (in rounds of 20,000 beside such others: 1,250 operations a second there, 4,400 on its own).
What happens to one file while an agent is busy with others reaches it as one change; so the journal's entries are noted
too.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toastbox.device.asking import ask
from tools.bench import ours, watch
from tools.bench.disks import fresh_disk
from tools.bench.errors import BenchError, NotEqual
from tools.bench.procs import Processes
from tools.procfs import resident_bytes

OPERATIONS = 2_000_000
WARM_OPERATIONS = 50_000
DISK_FILES = 2_000_000  # as many small files is what the hub may come to keep of old versions
ROUND = 5_000
FEWEST, MOST = 2_000, 4_000  # files that are there at a time
FOLDERS = 40
MEGABYTE = 1 << 20
REST_S = 600.0
POLL_S = 0.2
PARTS = ("python_heap", "libc_heap", "arena_resident", "sqlite")
SEED = 20110311


class Churn:
    """Does things to a folder. Contents are small, one in five hundred is some chunks long."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self._root = root
        self._chance = chance
        self._files: list[str] = []
        self._next = 0
        for number in range(FOLDERS):
            (root / f"folder-{number:02}").mkdir()

    def act(self) -> None:
        """One operation."""
        kind = self._chance.random()
        if len(self._files) < FEWEST or (kind < 0.3 and len(self._files) < MOST):
            self._create()
        elif kind < 0.6:
            self._edit()
        elif kind < 0.8:
            self._rename()
        elif kind < 0.999:
            self._delete()
        else:
            self._swap_folders()

    def _new_name(self) -> str:
        self._next += 1
        return f"folder-{self._chance.randrange(FOLDERS):02}/file-{self._next}"

    def _content(self) -> bytes:
        size = 300_000 if self._chance.random() < 0.002 else self._chance.randrange(2000)
        return self._chance.randbytes(size)

    def _create(self) -> None:
        name = self._new_name()
        (self._root / name).write_bytes(self._content())
        self._files.append(name)

    def _edit(self) -> None:
        path = self._root / self._chance.choice(self._files)
        if self._chance.random() < 0.5:
            path.write_bytes(self._content())
            return
        with path.open("ab") as file:
            file.write(b"appended\n")

    def _rename(self) -> None:
        at, name = self._chance.randrange(len(self._files)), self._new_name()
        os.rename(self._root / self._files[at], self._root / name)
        self._files[at] = name

    def _delete(self) -> None:
        at = self._chance.randrange(len(self._files))
        self._files[at], self._files[-1] = self._files[-1], self._files[at]
        os.unlink(self._root / self._files.pop())

    def _swap_folders(self) -> None:
        """Two folders change names: all in them is renamed."""
        one, two = (f"folder-{number:02}" for number in self._chance.sample(range(FOLDERS), 2))
        aside = self._root / "aside"
        os.rename(self._root / one, aside)
        os.rename(self._root / two, self._root / one)
        os.rename(aside, self._root / two)
        swapped = {one: two, two: one}
        self._files = [f"{swapped.get(name[:9], name[:9])}{name[9:]}" for name in self._files]


class Soak:
    """A hub, two agents, and what their memory was."""

    def __init__(self, work: Path, processes: Processes) -> None:
        self._processes = processes
        self.folders = {name: work / name for name in ("a", "b")}
        self.hub_pid, port = ours.start_hub(processes, work / "data")
        self.pids: dict[str, int] = {}
        for name, folder in self.folders.items():
            folder.mkdir()
            ours.join(work / "data", port, folder, name)
            argv = ("agent", folder, "--no-announce", "--accept-deletes")
            self.pids[name] = processes.start(name, ours.TOASTBOX, *argv)
        self.samples: list[dict[str, float]] = []

    def rest(self, operations: int, started: float) -> None:
        """Wait until both have the same and nothing to do, and note their memory."""
        found = self._rested(operations)
        sample = {"operations": operations, "seconds": time.monotonic() - started, "entries": found["a"]["cursor"]}
        sample |= {f"{name}_resident_bytes": resident_bytes(pid) for name, pid in self.pids.items()}
        sample["hub_resident_bytes"] = resident_bytes(self.hub_pid)
        for name, status in found.items():
            sample |= {f"{name}_{part}_bytes": status["memory"][part] for part in PARTS}
        self.samples.append(sample)
        sizes = "  ".join(
            f"{name} {sample[f'{name}_resident_bytes'] / MEGABYTE:7.2f} MiB" for name in (*self.pids, "hub")
        )
        times = f"{sample['seconds']:7.0f} s  {sample['entries']:>9,} entries"
        print(f"{operations:>9,} operations  {times}  {sizes}", flush=True)

    def _rested(self, operations: int) -> dict[str, dict[str, Any]]:
        """What both say of themselves once they have said the same twice: at first they may not have heard all."""
        deadline = time.monotonic() + REST_S
        before: set[object] = set()
        while True:
            found = {name: self._status(folder) for name, folder in self.folders.items()}
            positions: set[object] = {
                (each.get("state"), each.get("cursor"), each.get("entries")) for each in found.values()
            }
            if len(positions) == 1 and positions == before and found["a"].get("state") == "in sync":
                return found
            self._processes.check()
            if time.monotonic() > deadline:
                raise NotEqual(f"not at rest {REST_S:.0f} s after {operations} operations")
            before = positions
            time.sleep(POLL_S)

    def _status(self, folder: Path) -> dict[str, Any]:
        """Asked over the agent's socket: two programs started for each look took a third of the processors."""
        state = (folder / ".toastbox").stat()
        return ask((state.st_dev, state.st_ino), {"do": "status"}, 30.0) or {}

    def growth(self) -> dict[str, int]:
        """Bytes by which each agent is larger at the end than after the first operations."""
        warm = next(each for each in self.samples if each["operations"] >= self.warm)
        last = self.samples[-1]
        return {name: int(last[f"{name}_resident_bytes"] - warm[f"{name}_resident_bytes"]) for name in self.pids}

    warm = WARM_OPERATIONS


def soak(work: Path, operations: int) -> Soak:
    with Processes(work) as processes:
        found = Soak(work, processes)
        found.warm = min(WARM_OPERATIONS, operations // 4)
        churn, started = Churn(found.folders["a"], random.Random(SEED)), time.monotonic()
        for number in range(1, operations + 1):
            churn.act()
            if number % min(ROUND, max(operations // 8, 1)) == 0 or number == operations:
                found.rest(number, started)
        watch.require_equal_trees(found.folders["a"], found.folders["b"])
    return found


@contextmanager
def place_for(work: Path | None) -> Iterator[Path]:
    """A folder that is gone afterwards; for root on a file system of its own."""
    place = Path(tempfile.mkdtemp(prefix="toastbox-soak-", dir=work))
    try:
        if os.geteuid() == 0:
            with fresh_disk(place, "disk", DISK_FILES) as disk:
                yield disk.mount
        else:
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--operations", type=int, default=OPERATIONS, metavar="N", help=f"(default: {OPERATIONS:,})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples here")
    parser.add_argument("--work", type=Path, help="where folders and hub go (the temporary folder)")
    options = parser.parse_args(argv)
    try:
        with place_for(options.work) as place:
            found = soak(place, options.operations)
    except BenchError as error:
        print(f"soak: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(found.samples, indent=1) + "\n")
    growth = found.growth()
    print(f"resident memory at the end against {found.warm:,} operations: ", end="")
    print(", ".join(f"{name} {size / MEGABYTE:+.2f} MiB" for name, size in growth.items()), "(bar: +1.00)")
    return 0 if max(growth.values()) <= MEGABYTE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
