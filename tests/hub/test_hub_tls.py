"""TLS connections of a hub: one buffer for all that mixes nothing up, and little kept when they rest."""

import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from hubkit import Caller, Running
from toastbox.core.bundle import chunk_head
from toastbox.native import posix

PIECES = 40
CONNECTIONS = 6


def test_uploads_side_by_side_do_not_mix(hub: Running) -> None:
    callers = [hub.device(f"pi-{number}") for number in range(CONNECTIONS)]
    start = threading.Barrier(CONNECTIONS)

    def upload(number: int) -> int:
        pieces = [bytes([number, at]) * 30_000 for at in range(PIECES)]
        body = b"".join(chunk_head(sha256(piece).digest(), len(piece)) + piece for piece in pieces)
        start.wait()
        return int(callers[number].ask("POST", "/v1/chunks", body).json["stored"])

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        assert list(threads.map(upload, range(CONNECTIONS))) == [PIECES] * CONNECTIONS


def test_connection_that_has_moved_much_keeps_little_of_it(hub: Running) -> None:
    pieces = [bytes([at]) * 200_000 for at in range(6)]
    names = b"".join(sha256(piece).digest() for piece in pieces)
    body = b"".join(chunk_head(sha256(piece).digest(), len(piece)) + piece for piece in pieces)
    callers = [hub.device(f"pi-{number}") for number in range(24)]

    def move(caller: Caller) -> None:
        assert caller.ask("POST", "/v1/chunks", body).status == 200
        assert len(caller.ask("POST", "/v1/fetch", names).body) == len(body)

    for caller in callers[:4]:
        move(caller)
    before = posix.malloc_figures().in_use
    for caller in callers[4:]:
        move(caller)
    assert (posix.malloc_figures().in_use - before) / 20 < 300_000  # 700,000 where the BIOs take what there is
