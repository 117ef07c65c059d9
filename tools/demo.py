"""`make demo`: a hub and two devices on this machine keep a real folder equal, while you watch.

The folder is Python's own standard library, copied to a temporary place. The two devices are `kitchen` and
`porch`; they talk to the hub over TLS on the loopback, as they would over a network. After the first sync the
demo edits, renames, makes a conflict and deletes, and prints how long each took to arrive. Exit code: 0
when all arrived, 1 when something did not. With --keep everything stays up until Ctrl-C.
"""

import argparse
import shutil
import signal
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, `tools` is not on the path

from tools import procfs
from tools.bench import ours
from tools.bench.errors import BenchError, NotEqual
from tools.bench.procs import Processes
from tools.bench.watch import PRIVATE_NAMES, require_equal_trees, wait_tree
from tools.bench.workload import Manifest

DEVICES = ("kitchen", "porch")
ARRIVAL_TIMEOUT_S = 30.0
FIRST_SYNC_TIMEOUT_S = 300.0
POLL_S = 0.001


class Demo:
    """The hub and the devices of one demonstration, in one temporary place."""

    def __init__(self, place: Path, processes: Processes) -> None:
        self.processes = processes
        self.data = place / "hub"
        self.folders = {name: place / name for name in DEVICES}
        self.pids: dict[str, int] = {}
        self.failures: list[str] = []

    def start_hub(self) -> None:
        """Starts the hub, and pairs both devices by a code each, as their owner would on a serial console."""
        self.pids["hub"], port = ours.start_hub(self.processes, self.data)
        for name, folder in self.folders.items():
            folder.mkdir()
            ours.join(self.data, port, folder, name)

    def start_agent(self, name: str) -> None:
        """Starts one device's agent."""
        self.pids[name] = ours.start_agent(self.processes, self.folders[name], name)

    def show(self, what: str, act: Callable[[], None], arrived: Callable[[], bool]) -> None:
        """Does something and prints how long until it has arrived; notes it when it has not."""
        started = time.monotonic()
        act()
        while not arrived():
            self.processes.check()
            if time.monotonic() - started > ARRIVAL_TIMEOUT_S:
                self.failures.append(what)
                print(f"  {what:<56} did NOT arrive in {ARRIVAL_TIMEOUT_S:.0f} s")
                return
            time.sleep(POLL_S)
        print(f"  {what:<56} {(time.monotonic() - started) * 1000:6.0f} ms", flush=True)

    def usage(self) -> None:
        """Prints memory and processor time of every process."""
        print(f"\n  {'process':<10}{'peak resident':>16}{'private now':>14}{'CPU':>10}")
        for name, pid in self.pids.items():
            peak, private = procfs.peak_resident_bytes(pid) / 1e6, procfs.private_bytes(pid) / 1e6
            print(f"  {name:<10}{peak:>13.1f} MB{private:>11.1f} MB{procfs.usage(pid).cpu_s:>8.2f} s")


class Progress:
    """Counts the files of a folder on one line of a terminal; silent in a pipe."""

    def __init__(self, folder: Path, total: int) -> None:
        self._folder = folder
        self._total = total
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
            print("\r\x1b[K", end="")

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            count = len(manifest_of(self._folder).sizes)
            print(f"\r  {count:,} of {self._total:,} files", end="", flush=True)


def main(argv: Sequence[str]) -> int:
    """Runs the demonstration; see the module's top for the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="A hub and two devices keep a folder equal.")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards, to play with")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that all is cleaned up
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="toastbox-demo-")))
        demo = Demo(place, stack.enter_context(Processes(place)))
        try:
            failures = perform(demo)
            if options.keep:
                play(demo)
        except BenchError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
    return 1 if failures else 0


def perform(demo: Demo) -> list[str]:
    """All of it; the answer names what did not arrive."""
    started = time.monotonic()
    demo.start_hub()
    manifest = first_sync(demo)
    print("\nEach change, from saving it on one device until it is whole on the other:")
    show_changes(demo)
    show_conflict(demo)
    compare(demo)
    demo.usage()
    print(f"\n{len(manifest.sizes):,} files and 6 changes in {time.monotonic() - started:.1f} s: ", end="")
    print(f"did not arrive: {', '.join(demo.failures)}" if demo.failures else "all arrived.")
    return demo.failures


def first_sync(demo: Demo) -> Manifest:
    """Fills the kitchen's folder, starts both agents and waits until the porch has every file."""
    kitchen, porch = (demo.folders[name] for name in DEVICES)
    unwanted = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "*.a")
    shutil.copytree(sysconfig.get_path("stdlib"), kitchen, dirs_exist_ok=True, symlinks=True, ignore=unwanted)
    manifest = manifest_of(kitchen)
    megabytes = manifest.total_bytes / 1e6
    print(f"kitchen holds the Python standard library: {len(manifest.sizes):,} files, {megabytes:.1f} MB")
    demo.start_agent("porch")
    started = time.monotonic()
    demo.start_agent("kitchen")
    with Progress(porch, len(manifest.sizes)):
        arrived = wait_tree(porch, manifest, demo.processes, FIRST_SYNC_TIMEOUT_S)
    seconds = arrived - started
    print(f"kitchen -> hub -> porch: {seconds:.2f} s, {len(manifest.sizes) / seconds:,.0f} files/s")
    return manifest


def show_changes(demo: Demo) -> None:
    """An edit each way, a rename of a file and of a folder, and a delete."""
    kitchen, porch = (demo.folders[name] for name in DEVICES)
    demo.show("edit on kitchen", *edit("this.py", kitchen, porch))
    demo.show("edit on porch", *edit("json/decoder.py", porch, kitchen))
    demo.show("rename a file on kitchen", *rename("abc.py", "alphabet.py", kitchen, porch))
    demo.show("rename a folder on porch", *rename("email", "post", porch, kitchen))
    gone = "antigravity.py"
    demo.show("delete on kitchen", (kitchen / gone).unlink, lambda: not (porch / gone).exists())


def show_conflict(demo: Demo) -> None:
    """Both devices edit one file while the kitchen is off: both texts must be on both, under two names."""
    kitchen, porch = (demo.folders[name] for name in DEVICES)
    demo.processes.stop("kitchen")
    name = "textwrap.py"
    append(kitchen / name, "# from the kitchen, while it was off\n")
    texts = {(kitchen / name).read_bytes()}
    append(porch / name, "# from the porch\n")
    texts.add((porch / name).read_bytes())
    demo.show(
        "conflict: both texts on both, kitchen's start included",
        lambda: demo.start_agent("kitchen"),
        lambda: versions(kitchen) == versions(porch) and set(versions(kitchen).values()) == texts,
    )
    for each in sorted(versions(porch)):
        print(f"    {each}")


def compare(demo: Demo) -> None:
    """Both folders, all names and contents."""
    try:
        require_equal_trees(*(demo.folders[name] for name in DEVICES))
        print("\nEvery name and every byte is equal on both devices.")
    except NotEqual as difference:
        demo.failures.append("equality")
        print(f"\nThe devices differ: {difference}")


def play(demo: Demo) -> None:
    """Prints how to play with what runs, and waits for Ctrl-C."""
    print("\nStill running. In another terminal:")
    for name, folder in demo.folders.items():
        print(f"  cd {folder}        # {name}: change what you like, watch the other")
    porch = demo.folders["porch"]
    for command in (f"status {porch}", f"log {porch}", f"pause {porch}", f"resume {porch}"):
        print(f"  {ours.TOASTBOX} {command}")
    print("Ctrl-C ends it and removes all of this.", flush=True)
    try:
        while True:
            time.sleep(1)
            demo.processes.check()
    except KeyboardInterrupt:
        print()


def edit(name: str, source: Path, target: Path) -> tuple[Callable[[], None], Callable[[], bool]]:
    """A line added on source, and whether target has it."""
    wanted = (source / name).read_bytes() + b"# toast\n"
    return (
        lambda: append(source / name, "# toast\n"),
        lambda: (target / name).read_bytes() == wanted,
    )


def rename(old: str, new: str, source: Path, target: Path) -> tuple[Callable[[], None], Callable[[], bool]]:
    """A name changed on source, and whether target has the new one only."""

    def act() -> None:
        (source / old).rename(source / new)

    return act, lambda: (target / new).exists() and not (target / old).exists()


def append(path: Path, line: str) -> None:
    """Adds a line at a text file's end."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def versions(folder: Path) -> dict[str, bytes]:
    """The contested file and its conflict copies, by name; a file may be renamed between listing and reading."""
    found = {}
    for path in folder.glob("textwrap*.py"):
        with suppress(FileNotFoundError):
            found[path.name] = path.read_bytes()
    return found


def manifest_of(root: Path) -> Manifest:
    """Names and sizes of the regular files below root, without the agent's own."""
    sizes = {}
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        if relative.parts[0] not in PRIVATE_NAMES and path.is_file() and not path.is_symlink():
            sizes[str(relative)] = path.stat().st_size
    return Manifest(sizes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
