"""A file cut and hashed from the page cache, beside two `openssl dgst -sha256` that hash half of it each, side by side.

Ours is the agent's own reader, as the agent makes it. In turns; each figure is the median of its rounds. Where
other work takes the processors the two come near each other whatever they could use of idle ones: processor time is
given beside it.
"""

import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from toastbox.config import AgentSettings
from toastbox.device.folder import Folder
from toastbox.device.parts import make_arena, processors, take_buffers
from toastbox.device.reading import Reader
from tools.bench.errors import ProgramFailed
from tools.bench.figures import Figures
from tools.bench.workload import SEED, Scale

ROUNDS = 5
BLOCK_BYTES = 64 << 20
NAME = b"file"


def session(work: Path, scale: Scale) -> Figures:
    """Bytes a second of both, and ours in theirs."""
    block = random.Random(SEED).randbytes(BLOCK_BYTES)
    half = scale.hashed_bytes // 2
    for name, size in ((NAME.decode(), 2 * half), ("half-1", half), ("half-2", half)):
        with (work / name).open("wb") as file:
            for _ in range(size // BLOCK_BYTES):
                file.write(block)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_times(lambda: _cut_and_hash(work)))
        theirs.append(_times(lambda: _openssl(work)))
    wall, cpu = ([their[i] / our[i] for our, their in zip(ours, theirs, strict=True)] for i in range(2))
    return {
        "hash_bytes_per_s": 2 * half / statistics.median(each for each, _ in ours),
        "hash_openssl_bytes_per_s": 2 * half / statistics.median(each for each, _ in theirs),
        "hash_times_openssl": statistics.median(wall),
        "hash_cpu_times_openssl": statistics.median(cpu),
    }


def _cut_and_hash(work: Path) -> None:
    settings = AgentSettings()
    arena = make_arena(settings, 2)
    folder = Folder(str(work), arena.regions["listings"])
    seen = folder.lstat(NAME)
    if seen is None:
        raise ProgramFailed("the file to be hashed is gone")
    Reader(folder, take_buffers(arena, settings)[-1], processors()).chunks(seen)
    folder.close()


def _openssl(work: Path) -> None:
    argv = ("openssl", "dgst", "-sha256")
    running = [subprocess.Popen([*argv, str(work / name)], stdout=subprocess.DEVNULL) for name in ("half-1", "half-2")]
    if any([each.wait() for each in running]):
        raise ProgramFailed("openssl dgst failed")


def _times(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the clock, and of processors: this process's and those of the programs it ran."""
    started, before = time.monotonic(), os.times()
    work()
    return time.monotonic() - started, sum(os.times()[:4]) - sum(before[:4])
