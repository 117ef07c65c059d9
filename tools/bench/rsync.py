"""Debian's rsync, pushing from A to a daemon on B: one way, no history, no watching, no push, no TLS.

It is the floor of what copying 20,000 files costs, with and without the flush to disk that Toastbox always
does.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench import large, watch
from tools.bench.figures import Figures
from tools.bench.pair import Side, two_sides
from tools.bench.procs import Processes, free_port, require, run, wait_port
from tools.bench.wire import Relay
from tools.bench.workload import Scale, fill_tree

DAEMON_CONFIG = """\
use chroot = no
uid = root
gid = root
[folder]
path = {folder}
read only = no
"""


@dataclass(frozen=True)
class Push:
    """A daemon on B and the relay in front of it."""

    a: Side
    b: Side
    relay: Relay
    port: int
    processes: Processes

    def run(self, *options: str, relayed: bool = False) -> float:
        """Pushes A's folder; the answer is how long it took, in seconds."""
        port = self.relay.port if relayed else self.port
        started = time.monotonic()
        run("rsync", "-a", *options, f"{self.a.folder}/", f"rsync://127.0.0.1:{port}/folder/")
        return time.monotonic() - started


def tree_session(work: Path, scale: Scale, options: tuple[str, ...] = ()) -> Figures:
    """The 20,000 files, then the large one."""
    with open_push(work) as push:
        manifest = fill_tree(push.a.folder, scale)
        before = push.b.disk.written_bytes()
        figures = {"tree_wall_s": push.run(*options)}
        written = push.b.disk.written_bytes() - before
        watch.require_equal_trees(push.a.folder, push.b.folder)
        large.place(push.a, scale.large_bytes)
        figures["large_wall_s"] = push.run(*options)
        watch.require_equal_trees(push.a.folder, push.b.folder)
    return figures | {"tree_disk_ratio": written / manifest.total_bytes}


def edit_session(work: Path, scale: Scale) -> Figures:
    """Bytes on the wire for the two edits of the large file."""
    figures: Figures = {}
    with open_push(work) as push:
        large.place(push.a, scale.large_bytes)
        push.run()
        large.insert(push.a)
        figures["insert_wire_bytes"] = _wire(push)
        large.overwrite_pieces(push.a, scale.overwrites)
        figures["overwrite_wire_bytes"] = _wire(push)
    return figures


def _wire(push: Push) -> int:
    """Bytes of one push of the large file. File times are ignored: two edits may fall in one tick."""
    before = push.relay.count()
    push.run("--ignore-times", relayed=True)
    watch.require_equal_trees(push.a.folder, push.b.folder)
    return push.relay.count() - before


@contextmanager
def open_push(work: Path, files: int = 0, bytes_per_s: float | None = None) -> Iterator[Push]:
    """Two sides, a running daemon on B and a relay to it; bytes_per_s: the relay's."""
    require("rsync", "rsync")
    with ExitStack() as stack:
        a, b, processes = stack.enter_context(two_sides(work, stack, files))
        port = free_port()
        config = b.home / "rsyncd.conf"
        config.write_text(DAEMON_CONFIG.format(folder=b.folder))
        _serve(processes, port, config)
        yield Push(a, b, stack.enter_context(Relay(port, bytes_per_s)), port, processes)


def _serve(processes: Processes, port: int, config: Path) -> None:
    processes.start(
        "rsyncd",
        "rsync",
        "--daemon",
        "--no-detach",
        "--address=127.0.0.1",
        f"--port={port}",
        f"--config={config}",
    )
    wait_port(port, processes)
