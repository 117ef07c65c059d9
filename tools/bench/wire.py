"""Counting the bytes of one leg: a TCP relay on the loopback, in front of the hub or the peer.

Bytes are moved by splice(2) through a pipe, so they never enter this process's memory and the relay costs the
machine little. Counted are TCP payload bytes, TLS included, TCP/IP headers not. A relay may also be a slow link: each
direction then passes so many bytes a second, all connections together, in small pieces.
"""

import os
import socket
import threading
import time
from typing import Self

PIPE_BYTES = 1 << 16
SLOW_PIECE_BYTES = 1 << 13
SLOW_BUFFER_BYTES = 1 << 15  # of the kernel's on both sides, or they would hide the link


class Relay:
    """Listens on a port of its own and passes every connection on to `target_port`. A context manager.

    bytes_per_s: of each direction; None: as fast as it goes.
    """

    def __init__(self, target_port: int, bytes_per_s: float | None = None) -> None:
        self._target_port = target_port
        self._bytes_per_s = bytes_per_s
        self._free_at = {True: 0.0, False: 0.0}  # by direction: when the link has passed on what it was given
        self._listener = socket.create_server(("127.0.0.1", 0))
        if bytes_per_s:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._total = 0
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._listener, socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                _shut(each, socket.SHUT_RDWR)

    def count(self) -> int:
        """Bytes passed on so far, both directions together."""
        with self._lock:
            return self._total

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return  # closed: the run is over
            self._connect(inner)

    def _connect(self, inner: socket.socket) -> None:
        try:
            outer = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            inner.close()  # the target is down: its client sees a broken connection, as without a relay
            return
        with self._lock:
            self._sockets += [inner, outer]
        for source, sink in ((inner, outer), (outer, inner)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(source, sink, source is inner), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, onward: bool) -> None:
        """One direction of one connection, until its end; a half-closed connection stays half-closed."""
        read_end, write_end = os.pipe()
        try:
            most = SLOW_PIECE_BYTES if self._bytes_per_s else PIPE_BYTES
            while moved := os.splice(source.fileno(), write_end, most):
                self._pass(moved, onward)
                while moved:
                    moved -= os.splice(read_end, sink.fileno(), moved)
        except OSError:
            _shut(source, socket.SHUT_RDWR)
        finally:
            _shut(sink, socket.SHUT_WR)
            os.close(read_end)
            os.close(write_end)

    def _pass(self, moved: int, onward: bool) -> None:
        """Counts bytes, and waits as long as the link takes for them."""
        with self._lock:
            self._total += moved
            if self._bytes_per_s is None:
                return
            now = time.monotonic()
            self._free_at[onward] = max(now, self._free_at[onward]) + moved / self._bytes_per_s
            wait_s = self._free_at[onward] - now
        time.sleep(wait_s)


def _shut(end: socket.socket, how: int) -> None:
    """Ends a direction; the descriptor is closed with the object, so that no thread meets a reused one."""
    try:
        end.shutdown(how)
    except OSError:
        return
