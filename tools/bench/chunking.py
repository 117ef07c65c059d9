"""Where chunks end, for 256 MiB of random bytes in memory on one core: ours and `pyfastcdc` in turns.

Both are given the same sizes, and count CPU time. Each figure is the median of its rounds.
"""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from toastbox.device.send import CHUNK_AVERAGE, CHUNK_MAX, CHUNK_MIN
from toastbox.native.chunker import Chunker
from tools.bench.figures import Figures
from tools.bench.workload import SEED, Scale

ROUNDS = 7


def session(_: Path, scale: Scale) -> Figures:
    """Bytes a second of both, and how many times as fast ours is."""
    source = random.Random(SEED)
    data = b"".join(source.randbytes(1 << 20) for _ in range(scale.large_bytes >> 20))
    ours, theirs = [], []
    for _round in range(ROUNDS):
        ours.append(_cpu_s(lambda: _cut(data)))
        theirs.append(_cpu_s(lambda: _cut_fastcdc(data)))
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    return {
        "chunk_bytes_per_s": len(data) / statistics.median(ours),
        "chunk_pyfastcdc_bytes_per_s": len(data) / statistics.median(theirs),
        "chunk_times_pyfastcdc": statistics.median(ratios),
    }


def _cut(data: bytes) -> int:
    return len(Chunker(CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX).cuts(data))


def _cut_fastcdc(data: bytes) -> int:
    from pyfastcdc import FastCDC

    chunker = FastCDC(avg_size=CHUNK_AVERAGE, min_size=CHUNK_MIN, max_size=CHUNK_MAX)
    return sum(1 for _ in chunker.cut_buf(data))


def _cpu_s(work: Callable[[], int]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before
