"""The bare relay: what the large file costs whoever moves it from A through a hub to B.

Three processes do what any of them has to: A reads and hashes; the hub hashes, writes and passes on; B hashes and
writes. Both legs are TLS, and the file has its name when it is on both disks. Nothing is decided, cut, noted or done
twice, and blocks are as large as one likes. So it is no peer, but the part of our time that is this machine's.
"""

import hashlib
import os
import queue
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from toastbox.native.posix import write_back
from tools.bench import large, watch
from tools.bench.disks import fresh_disk
from tools.bench.figures import Figures
from tools.bench.pair import two_sides
from tools.bench.procs import free_port, run, wait_port
from tools.bench.workload import Scale
from tools.procfs import usage

BLOCK_BYTES = 256 << 10
CHUNK_BYTES = 64 << 10  # of each a hash, as of Toastbox's chunks on average
QUEUED = 16  # blocks that the hub holds for B
WRITE_BACK_BLOCKS = 16
SETTLE_S = 3.0
CERTIFICATE = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bare"


def session(work: Path, scale: Scale) -> Figures:
    """The large file, from when A is told to send it until B has it in place; processor time of the three."""
    with ExitStack() as stack:
        a, b, processes = stack.enter_context(two_sides(work, stack))
        hub = stack.enter_context(fresh_disk(work, "hub")).mount
        stack.enter_context(processes)
        run("openssl", "req", *CERTIFICATE.split(), "-keyout", hub / "key", "-out", hub / "certificate")
        port = free_port()
        large.place(a, scale.large_bytes)
        os.sync()
        pids = []
        for name, place in (("hub", hub), ("b", b.folder), ("a", a.folder)):
            argv = (name, str(port), place, str(scale.large_bytes // BLOCK_BYTES))
            pids.append(processes.start(name, sys.executable, "-m", "tools.bench.bare", *argv))
            if name == "hub":
                wait_port(port, processes)
        time.sleep(SETTLE_S)
        before = [usage(pid).cpu_s for pid in pids]
        started = time.monotonic()
        os.kill(pids[-1], signal.SIGUSR1)
        target = b.folder / large.NAME
        wall = watch.wait_change(target, scale.large_bytes, (0, 0), processes) - started
        cpu = sum(usage(pid).cpu_s for pid in pids) - sum(before)
        watch.require_equal_files(a.folder / large.NAME, target)
    return {"large_wall_s": wall, "large_cpu_s": cpu}


class Leg:
    """One end of a TLS connection that is asked for whole blocks, and moves as many bytes by a call as there are."""

    def __init__(self, end: socket.socket, context: ssl.SSLContext, server: bool) -> None:
        self._socket = end
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server)
        self._raw = memoryview(bytearray(BLOCK_BYTES))
        while not self._shaken():
            self._receive()

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._socket.sendall(self._out.read())
        return True

    def _receive(self) -> None:
        count = self._socket.recv_into(self._raw)
        if count == 0:
            raise EOFError
        self._in.write(self._raw[:count])

    def send(self, block: memoryview) -> None:
        """All of it, encrypted."""
        self._tls.write(block)
        self._socket.sendall(self._out.read())

    def fill(self, block: memoryview) -> None:
        """Wait for as many bytes. EOFError: there are no more."""
        at = 0
        while at < len(block):
            try:
                at += self._tls.read(len(block) - at, block[at:])  # type: ignore[arg-type]
            except ssl.SSLWantReadError:
                self._receive()

    def blocks(self, count: int) -> Iterator[memoryview]:
        """So many, each in memory of its own, and hashed."""
        for _ in range(count):
            block = memoryview(bytearray(BLOCK_BYTES))
            self.fill(block)
            _hash(block)
            yield block


def run_hub(port: int, place: Path, count: int) -> None:
    """Whoever connects says first which one it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "certificate", place / "key")
    ends: dict[bytes, socket.socket] = {}
    with socket.create_server(("127.0.0.1", port)) as door:
        while not {b"a", b"b"} <= ends.keys():
            end = door.accept()[0]
            ends[end.recv(1)] = end
    b, a = (Leg(ends[name], context, server=True) for name in (b"b", b"a"))
    waiting: queue.Queue[memoryview] = queue.Queue(QUEUED)

    def pass_on() -> None:
        while block := waiting.get():
            b.send(block)

    def passed() -> Iterator[memoryview]:
        for block in a.blocks(count):
            waiting.put(block)
            yield block

    passing = threading.Thread(target=pass_on)
    passing.start()
    _write(place / large.NAME, passed())
    waiting.put(memoryview(b""))
    passing.join()
    b.send(memoryview(b"durable"))
    signal.pause()


def run_b(port: int, place: Path, count: int) -> None:
    """The file gets its name when the hub's copy and its own are on their disks."""
    leg = _connect(port, b"b")
    _write(place / "received", leg.blocks(count))
    leg.fill(memoryview(bytearray(len(b"durable"))))
    (place / "received").rename(place / large.NAME)
    signal.pause()


def run_a(port: int, place: Path, count: int) -> None:
    """Sends when it gets SIGUSR1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    leg = _connect(port, b"a")
    block = memoryview(bytearray(BLOCK_BYTES))
    with (place / large.NAME).open("rb", buffering=0) as file:
        signal.sigwait({signal.SIGUSR1})
        for _ in range(count):
            file.readinto(block)
            _hash(block)
            leg.send(block)
    signal.pause()


def _connect(port: int, name: bytes) -> Leg:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    end = socket.create_connection(("127.0.0.1", port))
    end.sendall(name)
    return Leg(end, context, server=False)


def _hash(block: memoryview) -> None:
    for at in range(0, len(block), CHUNK_BYTES):
        hashlib.sha256(block[at : at + CHUNK_BYTES]).digest()


def _write(path: Path, blocks: Iterator[memoryview]) -> None:
    """A file of these blocks, on its disk when this returns: most of them are on their way there before the last."""
    with path.open("xb", buffering=0) as file:
        for number, block in enumerate(blocks, 1):
            file.write(block)
            if number % WRITE_BACK_BLOCKS == 0:
                write_back(file.fileno())
        os.fdatasync(file.fileno())


if __name__ == "__main__":
    {"hub": run_hub, "a": run_a, "b": run_b}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
