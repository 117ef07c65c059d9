"""`python -m tools.bench`: measures Toastbox and its peers one after the other, prints a table, writes JSON.

Exit code: 0 when everything was measured, whatever the verdicts; 1 when a measurement failed; 2 for wrong
use.
"""

import argparse
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.bench import (
    bare,
    chunking,
    hashing,
    latency_peers,
    ours,
    releases,
    report,
    rsync,
    saves,
    sessions,
    syncthing,
)
from tools.bench.disks import require_root
from tools.bench.errors import BenchError
from tools.bench.figures import Figures
from tools.bench.procs import require
from tools.bench.workload import FULL, QUICK, Scale

PEERS = ("syncthing", "rsync", "lsyncd", "unison")


@dataclass(frozen=True)
class Task:
    """One session of one program. package: the Debian package it needs, "" for our own."""

    system: str
    session: str
    package: str
    measure: Callable[[Path, Scale], Figures]


TASKS = (
    Task("toastbox", "tree", "", partial(sessions.tree_session, ours.open_pair)),
    Task("syncthing", "tree", "syncthing", partial(sessions.tree_session, syncthing.open_pair)),
    Task("bare relay", "tree", "openssl", bare.session),
    Task("toastbox", "edits", "", partial(sessions.edit_session, ours.open_pair)),
    Task("syncthing", "edits", "syncthing", partial(sessions.edit_session, syncthing.open_pair)),
    Task("toastbox", "saves", "", saves.session),
    Task("toastbox", "chunking", "", chunking.session),
    Task("toastbox", "hashing", "", hashing.session),
    Task("rsync", "tree", "rsync", rsync.tree_session),
    Task("rsync", "edits", "rsync", rsync.edit_session),
    Task("rsync --fsync", "tree", "rsync", partial(rsync.tree_session, options=("--fsync",))),
    Task("toastbox", "releases", "rsync", partial(releases.session, releases.toastbox)),
    Task("rsync", "releases", "rsync", partial(releases.session, releases.plain_rsync)),
    Task("rsync -z", "releases", "rsync", partial(releases.session, releases.compressing_rsync)),
    Task("lsyncd", "latency", "lsyncd", latency_peers.lsyncd_session),
    Task("unison", "latency", "unison", latency_peers.unison_session),
    Task("toastbox", "rest", "", partial(sessions.rest_session, ours.open_pair)),
    Task("syncthing", "rest", "syncthing", partial(sessions.rest_session, syncthing.open_pair)),
)
LONG = ("rest",)  # only when asked for by this name
NAMES = sorted({task.session for task in TASKS} | {task.system for task in TASKS})
USUAL = [name for name in NAMES if name not in LONG]


def main(argv: Sequence[str]) -> int:
    """Runs the chosen tasks; see the module's top for the exit code."""
    options = _parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that all is cleaned up
    scale = QUICK if options.quick else FULL
    tasks = _chosen(options.only, options.without)
    try:
        require_root()
        for package in {task.package for task in tasks} - {""}:
            require(package, package)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    results, failures = _measure_all(tasks, scale, options.work)
    print(report.table(results, scale is FULL))
    if options.json:
        options.json.write_text(report.as_json(results, failures, scale))
    return 1 if failures else 0


def _chosen(only: Sequence[str], without: Sequence[str]) -> list[Task]:
    """By session or system; a long one by its own name alone."""
    found = [task for task in TASKS if task.session in only or (task.system in only and task.session not in LONG)]
    return [task for task in found if task.package not in without]


def _measure_all(tasks: list[Task], scale: Scale, work: Path) -> tuple[dict[str, Figures], dict[str, str]]:
    """Figures by system, and what failed with its reason. One failure does not stop the others."""
    results: dict[str, Figures] = {}
    failures: dict[str, str] = {}
    for task in tasks:
        name = f"{task.system}, {task.session}"
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="toastbox-bench-", dir=work) as place:
                results.setdefault(task.system, {}).update(task.measure(Path(place), scale))
        except Exception as error:
            failures[name] = str(error) or repr(error)
            notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
            print(f"bench: {name} FAILED: {error}{notes}", file=sys.stderr)
            if not isinstance(error, BenchError):
                traceback.print_exc()
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return results, failures


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, nothing judged")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=USUAL, metavar="NAME", help=f"of {NAMES}")
    parser.add_argument("--without", nargs="+", choices=PEERS, default=(), metavar="PEER", help=f"of {PEERS}")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure here")
    parser.add_argument("--work", type=Path, help="where the loop files go (the temporary folder)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
