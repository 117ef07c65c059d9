"""One buffer for all TLS connections: what arrives on one never shows on another."""

import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from hubkit import Running
from toastbox.core.bundle import chunk_head

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
