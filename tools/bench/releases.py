"""Two consecutive releases of large packages, as unpacked trees, over a link of 10 Mbit/s.

The first goes into an empty folder, then the second takes its place: equal files keep their content and get the
times of the new archive, as with any unpacked release. Counted are the bytes of the busier leg. Each program runs once
for each release, until it has nothing left to do.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench import ours, rsync, watch
from tools.bench.disks import fresh_disk
from tools.bench.errors import BenchError, ProgramFailed
from tools.bench.figures import Figures
from tools.bench.pair import Side, two_sides
from tools.bench.procs import run
from tools.bench.wire import Relay
from tools.bench.workload import Scale

RELEASES = {"django": ("Django==5.0.3", "Django==5.0.4"), "sympy": ("sympy==1.12", "sympy==1.12.1")}
LINK_BYTES_PER_S = 1_250_000


@dataclass(frozen=True)
class Program:
    """A folder on A, what makes B equal to it, and the relays between."""

    a: Side
    b: Side
    sync: Callable[[], None]
    legs: list[Relay]


def session(open_program: Callable[[Path], Iterator[Program]], work: Path, scale: Scale) -> Figures:
    """open_program: a context manager."""
    figures: Figures = {}
    for name, releases in RELEASES.items():
        place = work / name
        place.mkdir()
        with contextmanager(open_program)(place) as program:
            for which, release in zip(("first", "second"), releases, strict=True):
                _replace(program.a, unpacked(release, work))
                before = [leg.count() for leg in program.legs]
                started = time.monotonic()
                program.sync()
                figures[f"{name}_{which}_wall_s"] = time.monotonic() - started
                moved = [leg.count() - count for leg, count in zip(program.legs, before, strict=True)]
                figures[f"{name}_{which}_wire_bytes"] = max(moved)
                watch.require_equal_trees(program.a.folder, program.b.folder)
                if 0 in moved:
                    raise ProgramFailed(f"a leg was bypassed: {moved}")
    return figures


def toastbox(work: Path) -> Iterator[Program]:
    """One-shot syncs of A and of B through a hub."""
    with ExitStack() as stack:
        a, b, processes = stack.enter_context(two_sides(work, stack))
        hub_disk = stack.enter_context(fresh_disk(work, "hub"))
        stack.enter_context(processes)
        data = hub_disk.mount / "data"
        _, port = ours.start_hub(processes, data)
        legs = [stack.enter_context(Relay(port, LINK_BYTES_PER_S)) for _ in "ab"]
        for side, leg in zip((a, b), legs, strict=True):
            ours.join(data, leg.port, side.folder, side.name)

        def sync() -> None:
            for side in (a, b):
                run(ours.TOASTBOX, "sync", "--accept-deletes", side.folder)

        yield Program(a, b, sync, legs)


def plain_rsync(work: Path, *options: str) -> Iterator[Program]:
    """A push to a daemon on B."""
    with rsync.open_push(work, bytes_per_s=LINK_BYTES_PER_S) as push:

        def sync() -> None:
            push.run("--delete", *options, relayed=True)

        yield Program(push.a, push.b, sync, [push.relay])


def compressing_rsync(work: Path) -> Iterator[Program]:
    """The same, compressed."""
    yield from plain_rsync(work, "-z")


def cache() -> Path:
    """Where source archives are kept: outside of the repository, for the next run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "toastbox-bench")


def unpacked(release: str, work: Path) -> Path:
    """The tree of NAME==VERSION, unpacked below work; downloaded with pip where the cache has it not."""
    target = work / release
    if not target.exists():
        target.mkdir()
        run("tar", "-xzf", _archive(release), "-C", target)  # tarfile of Debian 12's Python has no safe way
    return target


def _archive(release: str) -> Path:
    name, _, version = release.partition("==")
    wanted = f"{name}-{version}.tar.gz".lower()
    for _attempt in range(2):
        for found in cache().glob("*.tar.gz"):
            if found.name.lower() == wanted:
                return found
        _download(release)
    raise BenchError(f"pip did not bring {wanted}")


def _download(release: str) -> None:
    """Into the cache by a rename, so that nothing there is ever half an archive."""
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as place:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        if subprocess.run([*command, "--dest", place, release], check=False).returncode:
            raise BenchError(f"pip cannot download {release}: give it an index, or put the archive into {cache()}")
        for archive in Path(place).glob("*.tar.gz"):
            archive.rename(cache() / archive.name)


def _replace(side: Side, tree: Path) -> None:
    """Makes the folder's content that of the tree, times included."""
    (top,) = tree.iterdir()
    run("rsync", "-a", "--delete", "--exclude=/.toastbox", f"{top}/", f"{side.folder}/")
