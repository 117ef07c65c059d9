"""Accepting connections on a board: few at once, few from one address, none for long before it has asked something.

Refusing comes before allocating: a connection is counted before its TLS handshake starts, and its request
is a small head and a body that the head's target may have, or nothing.

    accepted --handshake, 10 s--> secured --head, 5 s, 4 KiB--> judged --body, 30 s--> served --each write
    30 s--> heard out --1 s, 512 KiB--> closed

Closing with bytes unread makes the kernel send a reset, which may overtake the answer: who was refused before
his body was read would not learn why. So what the head announced is read and dropped, within bounds.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

MAX_CONNECTIONS = 32
MAX_PER_ADDRESS = 8
BACKLOG = 64
HANDSHAKE_TIMEOUT_S = 10.0
HEAD_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 30.0
DISCARD_TIMEOUT_S = 1.0
MAX_DISCARD = 512 * 1024
GOODBYE_TIMEOUT_S = 2.0  # for the other side's end of TLS, which it need not send
MAX_HEAD = 4096
MAX_HEADERS = 32
RESERVE_PAUSE_S = 1.0  # when the process is out of descriptors


class Head(NamedTuple):
    """A request's head. headers: names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    length: int


class BadHead(ValueError):
    """Not a request that anything honest here sends. status: what to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


def parse_head(data: bytes) -> Head:
    """Raises BadHead: no HTTP/1 request, ambiguous, or with a body of unknown length."""
    try:
        first, *lines = data.decode("ascii").rstrip("\r\n").split("\r\n")
        method, target, version = first.split(" ")
    except ValueError as error:
        raise BadHead(400) from error
    if not version.startswith("HTTP/1.") or not target.startswith("/") or len(lines) > MAX_HEADERS:
        raise BadHead(400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or name in headers:
            raise BadHead(400)
        headers[name] = value.strip()
    if "transfer-encoding" in headers:
        raise BadHead(411)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 10:
        raise BadHead(400)
    return Head(method, target, headers, int(length))


def listen_at(host: str, port: int) -> socket.socket:
    """A socket that listens; host "" for every address. OSError: the port is taken, or the address is not ours."""
    family = socket.AF_INET6 if not host or ":" in host else socket.AF_INET
    dual = not host and socket.has_dualstack_ipv6()
    if not host and not dual:
        family = socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    listening.setblocking(False)
    return listening


Serve = Callable[["Connection"], Awaitable[None]]


class Connection:
    """An accepted, secured connection: one request is read from it and answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unread = 0  # bytes of the body that the head announced

    @property
    def address(self) -> str:
        return str(self._writer.get_extra_info("peername")[0])

    @property
    def certificate(self) -> dict[str, object] | None:
        """What the other side has proved to be, as SSLSocket.getpeercert(); None: it showed nothing."""
        return self._writer.get_extra_info("peercert") or None

    async def read_head(self) -> Head:
        """BadHead, or TimeoutError, asyncio.IncompleteReadError, OSError when there is nobody to answer."""
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                head = parse_head(await self._reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError as error:
            self._unread = MAX_DISCARD
            raise BadHead(431) from error
        self._unread = head.length
        return head

    async def read_body(self, head: Head, limit: int) -> bytes:
        if head.length > limit:
            raise BadHead(413)
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await self._reader.readexactly(head.length)
        self._unread = 0
        return body

    async def awrite(self, data: bytes | memoryview) -> None:
        """Write and wait until the other side keeps up (the name is microdot's)."""
        self._writer.write(data)
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await self._writer.drain()

    async def close(self) -> None:
        """After what was written has gone, and the other side has had its say."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(DISCARD_TIMEOUT_S):
                await self._discard(min(self._unread, MAX_DISCARD))
        self._writer.close()
        with suppress(OSError, TimeoutError):
            await self._writer.wait_closed()

    async def _discard(self, count: int) -> None:
        """Read `count` bytes, fewer if no more come."""
        while count > 0 and (piece := await self._reader.read(min(count, MAX_HEAD))):
            count -= len(piece)

    def abort(self) -> None:
        self._writer.transport.abort()


class Listener:
    """Listens, and gives each connection to `serve`. context: None for plain TCP."""

    def __init__(self, serve: Serve, context: ssl.SSLContext | None) -> None:
        self._serve = serve
        self._context = context
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._by_address: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None

    async def start(self, listening: socket.socket) -> None:
        """Accept what comes to a socket of `listen_at`, which is this object's from now on."""
        self._socket = listening
        self._start(self._accept(listening))

    async def stop(self) -> None:
        """End listening and every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        """While all slots are taken nothing is accepted: the kernel's backlog is bounded too."""
        loop = asyncio.get_running_loop()
        while True:
            await self._slots.acquire()
            try:
                raw, address = await loop.sock_accept(listening)
            except OSError:
                self._slots.release()
                await asyncio.sleep(RESERVE_PAUSE_S)
                continue
            if self._by_address[address[0]] >= MAX_PER_ADDRESS:
                raw.close()
                self._slots.release()
                continue
            self._by_address[address[0]] += 1
            self._start(self._handle(raw, address[0]))

    async def _handle(self, raw: socket.socket, address: str) -> None:
        try:
            connection = await self._secure(raw)
            try:
                await self._serve(connection)
                await connection.close()
            finally:
                connection.abort()
        except (OSError, TimeoutError, EOFError):
            return  # gone, or too slow: there is nobody to tell
        finally:
            raw.close()
            self._slots.release()
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def _secure(self, raw: socket.socket) -> Connection:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_HEAD)
        protocol = asyncio.StreamReaderProtocol(reader)
        raw.setblocking(False)
        timeouts = {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S, "ssl_shutdown_timeout": GOODBYE_TIMEOUT_S}
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, raw, ssl=self._context, **(timeouts if self._context else {})
        )
        return Connection(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
