"""How long a new small file takes: made on A one at a time, with irregular pauses, until whole on B."""

import random
import time
from pathlib import Path

from tools.bench import watch
from tools.bench.figures import Figures, percentile
from tools.bench.workload import SEED

FILE_BYTES = 2048


def measure(a: Path, b: Path, count: int) -> Figures:
    """The clock starts before the file is made in folder a and stops when its content is in folder b."""
    source = random.Random(SEED + 2)
    delays = []
    for number in range(count):
        time.sleep(source.uniform(0.5, 1.5))
        name, content = f"new-{number:03}.txt", source.randbytes(FILE_BYTES)
        started = time.monotonic()
        (a / name).write_bytes(content)
        delays.append(watch.wait_content(b / name, content) - started)
    return {"latency_p50_ms": percentile(delays, 50) * 1000, "latency_p95_ms": percentile(delays, 95) * 1000}
