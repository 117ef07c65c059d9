"""How many new files a second a hub saves: clients that upload and commit as fast as they are answered.

A save is a chunk stored and an entry committed, on stable storage when the answer comes (docs/SPEC.md,
section 4). Four clients commit files of 1 KiB in batches of 1, 16 and 256, eight in batches of 256: with one file a
commit the disk's flush is most of the time, with many it is shared. The clients run in this process, in threads, and
cost some processor time that the hub then does not have.
"""

import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tools.bench import ours
from tools.bench.client import HubClient, pair
from tools.bench.disks import fresh_disk
from tools.bench.errors import ProgramFailed
from tools.bench.figures import Figures
from tools.bench.procs import Processes
from tools.bench.workload import SEED, Scale

RUNS = {"saves_1": (4, 1), "saves_16": (4, 16), "saves_256": (4, 256), "saves_8x256": (8, 256)}  # clients, batch
FILE_BYTES = 1024


def session(work: Path, scale: Scale) -> Figures:
    """Saved files a second for each number of clients and batch size."""
    with ExitStack() as stack:
        disk = stack.enter_context(fresh_disk(work, "hub"))
        processes = stack.enter_context(Processes(work))
        data = disk.mount / "data"
        _, port = ours.start_hub(processes, data)
        clients = [pair(ours.invite(data), port, f"saver-{number}") for number in range(8)]
        return {f"{name}_per_s": _rate(clients[:count], batch, scale.saves_s) for name, (count, batch) in RUNS.items()}


def _rate(clients: list[HubClient], batch: int, seconds: float) -> float:
    """All clients at once for this long; files committed by all, over the time until the last one stopped."""
    savers = [
        _Saver(client, f"client-{len(clients)}-{number}-{batch}", batch, seconds)
        for number, client in enumerate(clients)
    ]
    started = time.monotonic()
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    elapsed = time.monotonic() - started
    for saver in savers:
        if saver.failure is not None:
            raise saver.failure
    return sum(saver.saved for saver in savers) / elapsed


class _Saver(threading.Thread):
    """One client. `saved` counts files whose commit was acknowledged; `failure` is what ended it early."""

    def __init__(self, client: HubClient, prefix: str, batch: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self.saved = 0
        self.failure: ProgramFailed | None = None
        self._client = client
        self._prefix = prefix  # of the names, which are new in every run
        self._source = random.Random(f"{SEED} {prefix}")
        self._batch = batch
        self._seconds = seconds

    def run(self) -> None:
        try:
            self._save()
        except ProgramFailed as error:  # handed to the caller, which raises it
            self.failure = error

    def _save(self) -> None:
        deadline = time.monotonic() + self._seconds
        while time.monotonic() < deadline:
            names = [f"{self._prefix}-{self.saved + index:07}" for index in range(self._batch)]
            self._client.save([(name, self._source.randbytes(FILE_BYTES)) for name in names])
            self.saved += self._batch
