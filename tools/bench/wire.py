"""Counting the bytes of one leg: a TCP relay on the loopback, in front of the hub or the peer.

Bytes are moved by splice(2) through a pipe, so they never enter this process's memory and the relay costs the
machine little. Counted are TCP payload bytes, TLS included, TCP/IP headers not.
"""

import os
import socket
import threading
from typing import Self

PIPE_BYTES = 1 << 16


class Relay:
    """Listens on a port of its own and passes every connection on to `target_port`. A context manager."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
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
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """One direction of one connection, until its end; a half-closed connection stays half-closed."""
        read_end, write_end = os.pipe()
        try:
            while moved := os.splice(source.fileno(), write_end, PIPE_BYTES):
                with self._lock:
                    self._total += moved
                while moved:
                    moved -= os.splice(read_end, sink.fileno(), moved)
        except OSError:
            _shut(source, socket.SHUT_RDWR)
        finally:
            _shut(sink, socket.SHUT_WR)
            os.close(read_end)
            os.close(write_end)


def _shut(end: socket.socket, how: int) -> None:
    """Ends a direction; the descriptor is closed with the object, so that no thread meets a reused one."""
    try:
        end.shutdown(how)
    except OSError:
        return
