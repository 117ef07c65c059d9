"""What Linux says about running processes: memory, processor time, wake-ups, bytes written.

A program under test may be several processes (Syncthing runs a monitor and a worker), so every figure here is
of a process *tree*: the process named and its descendants, summed. Nothing is read from the program itself.
Source of every field: proc(5).
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SAMPLE_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Usage:
    """Counters of one process tree since it was started; subtract two for an interval."""

    cpu_s: float
    wakeups: int
    disk_bytes: int
    written_bytes: int

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(
            self.cpu_s - earlier.cpu_s,
            self.wakeups - earlier.wakeups,
            self.disk_bytes - earlier.disk_bytes,
            self.written_bytes - earlier.written_bytes,
        )


@dataclass
class Peak:
    """Highest memory of one process tree; resident by the kernel's own marks, private as sampled."""

    resident_bytes: int = 0
    private_bytes: int = 0


def tree(pid: int) -> list[int]:
    """The process and its descendants that are alive, parents first."""
    found = [pid]
    for parent in found:
        for children in (PROC / str(parent) / "task").glob("*/children"):
            found.extend(int(child) for child in _read(children).split())
    return found


def usage(pid: int) -> Usage:
    """Counters of the tree. `disk_bytes` go to a disk, `written_bytes` is all that write() took."""
    pids = tree(pid)
    io = [_fields(each, "io") for each in pids]
    return Usage(
        sum(cpu_seconds(each) for each in pids),
        sum(wakeups(each) for each in pids),
        sum(fields.get("write_bytes", 0) for fields in io),
        sum(fields.get("wchar", 0) for fields in io),
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of one process, threads that ended included; 0 when it is gone.

    The process's CPU clock counts nanoseconds where /proc/PID/stat counts ticks of 10 ms, too coarse for an
    idle process. Its clock id is ~pid << 3 | 2 (clock_getcpuclockid(3), CPUCLOCK_SCHED).
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def wakeups(pid: int) -> int:
    """Times that the threads of one process, alive now, gave up the processor by waiting for something."""
    total = 0
    for status in (PROC / str(pid) / "task").glob("*/status"):
        total += _parse(_read(status)).get("voluntary_ctxt_switches", 0)
    return total


def resident_bytes(pid: int) -> int:
    """Memory of the tree that is resident now."""
    return sum(_fields(each, "status").get("VmRSS", 0) * 1024 for each in tree(pid))


def peak_resident_bytes(pid: int) -> int:
    """Sum over the tree of each process's own high-water mark."""
    return sum(_fields(each, "status").get("VmHWM", 0) * 1024 for each in tree(pid))


def private_bytes(pid: int) -> int:
    """Memory of the tree that no other process shares, now."""
    total_kib = 0
    for each in tree(pid):
        rollup = _fields(each, "smaps_rollup")
        total_kib += rollup.get("Private_Clean", 0) + rollup.get("Private_Dirty", 0)
    return total_kib * 1024


class Sampler:
    """Follows the memory of named process trees from a thread of its own; use as a context manager.

    A tree that is restarted under the same name keeps its name's peak.
    """

    def __init__(self, interval_s: float = SAMPLE_INTERVAL_S) -> None:
        self.peaks: dict[str, Peak] = {}
        self._pids: dict[str, int] = {}
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def follow(self, name: str, pid: int) -> None:
        """Adds a tree, or replaces the one of this name."""
        with self._lock:
            self._pids[name] = pid
            self.peaks.setdefault(name, Peak())

    def sample(self) -> None:
        """Takes one sample now: call before a tree is ended, so that its last peak counts."""
        with self._lock:
            for name, pid in self._pids.items():
                peak = self.peaks[name]
                peak.resident_bytes = max(peak.resident_bytes, peak_resident_bytes(pid))
                peak.private_bytes = max(peak.private_bytes, private_bytes(pid))

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.sample()


def _fields(pid: int, name: str) -> dict[str, int]:
    return _parse(_read(PROC / str(pid) / name))


def _parse(text: str) -> dict[str, int]:
    """`key: number unit` lines; lines without a number are left out."""
    fields = {}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            fields[key] = int(words[0])
    return fields


def _read(path: Path) -> str:
    """A process may end between being listed and being read: then there is nothing to count."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
