"""Debian's Unison, once from A to B over a socket on the loopback: no encryption, no watching, no history."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.errors import ProgramFailed
from tools.bench.pair import Side, two_sides
from tools.bench.procs import LOG_TAIL_BYTES, Processes, free_port, require, wait_port
from tools.procfs import peak_resident_bytes

POLL_S = 0.01


@dataclass(frozen=True)
class Roots:
    """A server on B, and what is run on A. Each side has its archive on its own disk."""

    a: Side
    b: Side
    processes: Processes
    port: int
    server_pid: int

    def run(self) -> tuple[float, int]:
        """Makes both equal; seconds, and the peak of the program on A. Raises ProgramFailed."""
        argv = (
            "unison",
            self.a.folder,
            f"socket://127.0.0.1:{self.port}/{self.b.folder}",
            "-batch",
            "-auto",
            "-silent",
        )
        started, peak, log = time.monotonic(), 0, self.processes.log("unison")
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv, env={**os.environ, **_home(self.a)}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            while process.poll() is None:
                peak = max(peak, peak_resident_bytes(process.pid))
                time.sleep(POLL_S)
        finally:
            process.kill()  # does nothing to one that has ended
        if process.returncode:
            said = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
            raise ProgramFailed(f"unison ended with {process.returncode}: {said}")
        return time.monotonic() - started, peak


def _home(side: Side) -> dict[str, str]:
    return {"HOME": str(side.home), "UNISON": str(side.home)}


@contextmanager
def open_roots(work: Path, files: int = 0) -> Iterator[Roots]:
    """Two sides and a running server on B."""
    require("unison", "unison")
    with ExitStack() as stack:
        a, b, processes = stack.enter_context(two_sides(work, stack, files))
        port = free_port()
        pid = processes.start("unison-server", "unison", "-socket", str(port), "-host", "127.0.0.1", env=_home(b))
        wait_port(port, processes)
        yield Roots(a, b, processes, port, pid)
