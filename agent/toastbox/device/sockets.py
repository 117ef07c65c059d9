"""TCP as this project uses it: no delay, dead connections found by the kernel, bytes counted by the kernel.

Nothing is sent on an idle connection but the kernel's keep-alive probes, and no program is woken by them.
Times: a transfer that is not acknowledged for 30 s is dead. A stream that is quiet for 60 s is probed each 15
s and is dead 120 s after the last sign of life; lossy Wi-Fi may lose three probes in a row.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

KEEPALIVE_IDLE_S = 60
KEEPALIVE_INTERVAL_S = 15
KEEPALIVE_PROBES = 4
DEAD_TRANSFER_MS = 30_000
DEAD_STREAM_MS = 120_000

# struct tcp_info of <linux/tcp.h>: u64 tcpi_bytes_acked, u64 tcpi_bytes_received (kernel 4.1 and newer)
_COUNTERS = struct.Struct("=QQ")
_COUNTERS_OFFSET = 120


def tune(sock: socket.socket, dead_after_ms: int) -> None:
    """Set the options above. dead_after_ms: how long sent data or a probe may stay unanswered."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, dead_after_ms)


@contextmanager
def together(sock: socket.socket) -> Iterator[None]:
    """What is sent meanwhile leaves in full packets (tcp(7), TCP_CORK), the last one at the end or after 0.2 s.

    TLS is written record by record, 16 KiB each: apart, each wakes the receiver where packets hold more than that.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    try:
        yield
    finally:
        with suppress(OSError):  # it is broken, and whoever sends or reads is told so
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def wake(sock: socket.socket) -> None:
    """End every wait on the socket, in any thread; its owner then sees the connection as ended.

    Not SSLSocket.shutdown: that one drops the TLS state first, and a writer in another thread would go on in
    clear.
    """
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # not connected (any more): nobody waits


def counters(sock: socket.socket) -> tuple[int, int]:
    """(sent and acknowledged, received) bytes of TCP payload so far: TLS, heads and all. (0, 0): unknown."""
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _COUNTERS_OFFSET + _COUNTERS.size)
    except OSError:
        return 0, 0
    if len(raw) < _COUNTERS_OFFSET + _COUNTERS.size:
        return 0, 0
    sent, received = _COUNTERS.unpack_from(raw, _COUNTERS_OFFSET)
    return sent, received
