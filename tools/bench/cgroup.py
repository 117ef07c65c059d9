"""A memory limit for one program: a cgroup of version 2, or of version 1 where the kernel has the controller there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.errors import BenchError

V1 = Path("/sys/fs/cgroup/memory")
V2 = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
REMOVE_TRIES = 50


@dataclass(frozen=True)
class Cgroup:
    """A group with a limit. All that its processes have counts: memory of their own, and the file cache they fill."""

    path: Path
    version: int

    def wrap(self, argv: tuple[str | Path, ...]) -> tuple[str | Path, ...]:
        """A command that runs argv in this group from its first instruction on."""
        return ("/bin/sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh", *argv)

    def kills(self) -> int:
        """How often the kernel has killed a process of this group."""
        text = (self.path / ("memory.events" if self.version == 2 else "memory.oom_control")).read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == "oom_kill")

    def peak_bytes(self) -> int:
        """Most that counted at a time; 0 where the kernel does not tell."""
        file = self.path / ("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes")
        return int(file.read_text()) if file.exists() else 0


@contextmanager
def limited(name: str, limit_bytes: int) -> Iterator[Cgroup]:
    """A group for the length of a `with` block; its processes must have ended by then. No swap."""
    group = _make(f"toastbox-{name}")
    try:
        if group.version == 2:
            (group.path / "memory.max").write_text(str(limit_bytes))
            swap = group.path / "memory.swap.max"
        else:
            (group.path / "memory.limit_in_bytes").write_text(str(limit_bytes))
            swap = group.path / "memory.memsw.limit_in_bytes"
        if swap.exists():
            swap.write_text("0" if group.version == 2 else str(limit_bytes))
        yield group
    finally:
        _remove(group.path)


def _make(name: str) -> Cgroup:
    for root in V2:
        controllers = root / "cgroup.controllers"
        if controllers.exists() and "memory" in controllers.read_text().split():
            (root / "cgroup.subtree_control").write_text("+memory")
            return _made(root / name, 2)
    if (V1 / "memory.limit_in_bytes").exists():
        return _made(V1 / name, 1)
    raise BenchError("this kernel has no memory cgroup that could be used")


def _made(path: Path, version: int) -> Cgroup:
    if path.exists():  # of a run that was killed: its counts are not ours
        _remove(path)
    path.mkdir()
    return Cgroup(path, version)


def _remove(path: Path) -> None:
    """A process that was just ended may be in it for a moment."""
    for _ in range(REMOVE_TRIES):
        try:
            path.rmdir()
            return
        except OSError:
            time.sleep(0.1)
