"""Connections and what a peer may make of them: how many, how long for a request's head, which device's.

A connection belongs to an address (hub/door.py) until a request on it proves which device it is, then to that
device. So strangers at one address cannot crowd out its devices, and a revoked device's connections are found and cut.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from toastbox.hub.door import Strangers
from toastbox.hub.refusal import Refusal, bad_request, busy

MAX_LINE_BYTES = 8190
MAX_HEADERS = 32
MAX_FIELD_BYTES = 2048
READ_BYTES = 256 << 10
IDLE_S = 1800  # a connection without a request is closed; devices pull more often than this
_LINGER_S = 2.0
_KEEPALIVE = (120, 20, 3)  # seconds before the first probe, between probes, probes
_USER_TIMEOUT_MS = 60_000  # data that is not acknowledged for so long ends the connection
ALIVE_S = 240  # whoever is at the other end of a connection with these time-outs is not dead for longer

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Seal(NamedTuple):
    """Of a signed request (hub/plain.py): the key for its answer, its counter, the SHA-256 that its body must have.

    head: fields for the head of an answer that is streamed.
    """

    key: bytes
    counter: int
    body: bytes
    head: dict[str, str]


class Connection(RequestHandler):
    """aiohttp's connection, known to the Connections it counts with. seal: of the request in hand, if it is signed.

    stream_s: since when (time.monotonic) it is an event stream, 0.0: it is none.
    """

    __slots__ = ("_all", "_answered", "_head_timer", "address", "device", "seal", "stream_s")

    def __init__(self, server: "Connections", loop: asyncio.AbstractEventLoop, **settings: Any) -> None:
        super().__init__(server, loop=loop, **settings)
        self._all = server
        self._answered = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self.address = ""
        self.device = 0
        self.seal: Seal | None = None
        self.stream_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        self._all.strangers.enters(self.address, peer[1] if peer else 0)
        _set_timeouts(transport.get_extra_info("socket"))
        if self._all.admit(self):
            self._expect_head()
        else:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_arrived()
        self._all.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head that has begun must be followed by the rest of it in time."""
        before = self._request_count
        if self._head_timer is None and before == self._answered:
            self._expect_head()
        super().data_received(data)
        if self._request_count != before:
            self._head_arrived()

    def answered(self) -> None:
        """The request in hand has its answer: the next bytes are another head."""
        self._answered = self._request_count

    def abort(self) -> None:
        """End the connection now, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP is told so, and nothing else."""
        response = problem(bad_request("not a request of HTTP/1.1"))
        response.force_close()
        return response

    def _expect_head(self) -> None:
        self._head_timer = self._all.loop.call_later(self._all.header_timeout_s, self.abort)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Connections(web.Server):
    """Makes connections for the event loop's server, and counts them."""

    def __init__(
        self,
        handler: Handler,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        limit_per_device: int,
        header_timeout_s: float,
    ) -> None:
        super().__init__(handler, handler_cancellation=True, loop=loop)
        self.loop = loop
        self.header_timeout_s = header_timeout_s
        self._limit = limit
        self._limit_per_device = limit_per_device
        self._all: set[Connection] = set()
        self.strangers = Strangers(limit)
        self._devices: dict[int, set[Connection]] = {}

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            self.loop,
            keepalive_timeout=IDLE_S,
            tcp_keepalive=False,
            access_log=None,
            max_line_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            max_field_size=MAX_FIELD_BYTES,
            lingering_time=_LINGER_S,
            read_bufsize=READ_BYTES,
            auto_decompress=False,  # what may be compressed says its size: transfer.py judges it first
        )

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; whether there is room for it. The door has counted strangers before."""
        self._all.add(connection)
        return len(self._all) <= self._limit

    def claim(self, connection: Connection, device: int) -> None:
        """The connection has proved to be this device's. Raises Refusal if it has too many."""
        if connection.device == device:
            return
        owned = self._devices.setdefault(device, set())
        if len(owned) >= self._limit_per_device:
            raise busy(429, 30)
        self._disown(connection)
        connection.device = device
        owned.add(connection)

    def release(self, connection: Connection) -> None:
        if connection in self._all:
            self._all.remove(connection)
            self._disown(connection)

    def cut(self, device: int) -> None:
        """End all connections of a device."""
        for connection in list(self._devices.get(device, ())):
            connection.abort()

    def twice(self, now_s: float) -> list[int]:
        """Devices of which two event streams live side by side: two machines have one key, as of a copied card.

        A stream that was left behind by a device that moved, or lost its power, has ended by then.
        """
        steady = {number: [each.stream_s for each in owned] for number, owned in self._devices.items()}
        return [n for n, since in steady.items() if sum(0.0 < s <= now_s - ALIVE_S for s in since) > 1]

    async def end(self) -> None:
        """Let answers under way be finished, then end every connection. Event streams end at once."""
        for connection in list(self._all):
            connection.close()
        await self.shutdown(timeout=0.2)

    def _disown(self, connection: Connection) -> None:
        if connection.device:
            owned = self._devices[connection.device]
            owned.remove(connection)
            if not owned:
                del self._devices[connection.device]
        else:
            self.strangers.leaves(connection.address)


def connection_of(request: web.BaseRequest) -> Connection:
    protocol = request.protocol
    assert isinstance(protocol, Connection)
    return protocol


def problem(refusal: Refusal) -> web.Response:
    """A refusal as an answer."""
    headers = {}
    if "retry_after" in refusal.extra:
        headers["Retry-After"] = str(refusal.extra["retry_after"])
    return web.Response(
        status=refusal.status,
        body=refusal.problem(),
        content_type="application/problem+json",
        headers=headers,
    )


def _set_timeouts(sock: socket.socket | None) -> None:
    """The kernel notices a dead peer; nobody has to chatter."""
    if sock is None:
        return
    with contextlib.suppress(OSError):  # the peer has gone meanwhile
        idle, interval, count = _KEEPALIVE
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
