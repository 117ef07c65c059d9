"""One HTTP/1.1 connection over TLS: made when needed, kept, and remade once when it turns out to be broken.

A kept connection may have died unseen (the hub restarted, a router forgot it). Before a request, an idle
connection that has something to read is taken for ended: no honest server speaks unasked. If it breaks later,
before an answer's head has come, the request is sent once more on a new one: every request of this protocol
may be repeated.

Bodies pass through one buffer of the channel, in both directions: memory does not depend on what is sent.
"""

import http.client
import select
import socket
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from toastbox.device import sockets
from toastbox.device.interfaces import Buffer
from toastbox.device.throttle import Throttle
from toastbox.device.whereabouts import Place, Whereabouts
from toastbox.errors import HostilePeer, HubUnreachable

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
BUFFER_SIZE = 256 * 1024
SEND_SIZE = 64 * 1024

Check = Callable[[ssl.SSLSocket], None]


class Channel:
    """A connection to host:port. up, down: bandwidth limits of bodies. where: other places to look for it.

    check: called after the handshake; raises if the other side is not the right one. Used by one thread;
    `close` may be called by any.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        check: Check,
        *,
        up: Throttle | None = None,
        down: Throttle | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        dead_after_ms: int = sockets.DEAD_TRANSFER_MS,
        where: Whereabouts | None = None,
    ) -> None:
        self.place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.host = host
        self.port = port
        self.timeout_s = timeout_s
        self._up = up
        self._down = down
        self._context = context
        self._check = check
        self._dead_after_ms = dead_after_ms
        self._where = where
        self._socket: socket.socket | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._buffer = bytearray()
        self._closed = False
        self._counted = (0, 0)

    # --- one exchange

    def exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        parts: Sequence[Buffer] = (),
    ) -> http.client.HTTPResponse:
        """Send a request, return the answer's head; its body is to be read to the end, or `drop` called.

        HubUnreachable: no connection, a broken one, or no answer in time. HostilePeer: not HTTP, or not who
        it should be.
        """
        if self._response is not None and not self._response.isclosed():
            raise RuntimeError("the answer before is still open")
        if self._connection is not None and (self._connection.sock is None or self._ended()):
            self.drop()
        kept = self._connection is not None
        with self.translated():
            try:
                return self._attempt(method, target, headers, parts)
            except OSError as error:
                self.drop()
                if self._closed or not kept or _is_patience(error):
                    raise
            return self._attempt(method, target, headers, parts)

    def read(self, response: http.client.HTTPResponse, limit: int) -> bytes:
        """The whole body. HostilePeer: longer than limit bytes, or not framed by HTTP."""
        expected = response.length
        if (expected is None and not response.chunked) or (expected or 0) > limit:
            self.drop()
            raise HostilePeer(f"{self.place} sent an answer without end, or one longer than {limit} bytes")
        with self.translated():
            data = response.read(limit + 1)
            if len(data) > limit:
                raise http.client.HTTPException(f"an answer longer than {limit} bytes")
            if expected is not None and len(data) != expected:
                raise ConnectionResetError("the connection ended within an answer")
            if not response.isclosed() and response.read(1):  # the end mark of a body of exactly limit bytes
                raise http.client.HTTPException(f"an answer longer than {limit} bytes")
        return data

    def read_windows(self, response: http.client.HTTPResponse) -> Generator[memoryview, None, None]:
        """The body in windows of the channel's buffer, each valid until the next.

        Broken off by the caller: the connection is dropped.
        """
        view = memoryview(self._room())
        if self._down:
            view = view[: self._down.slice_bytes]
        try:
            while count := self._read_into(response, view):
                if self._down:
                    self._down.spend(count)
                yield view[:count]
        finally:
            if not response.isclosed():
                self.drop()

    # --- the connection

    def drop(self) -> None:
        """Close the connection; the next exchange makes another."""
        connection, self._connection = self._connection, None
        response, self._response = self._response, None
        if self._socket is not None:
            self._counted = self.counters()
            self._socket.close()
            self._socket = None
        if response is not None:
            response.close()
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """End for good, from any thread: a wait in progress ends with HubUnreachable."""
        self._closed = True
        sock = self._socket
        if sock is not None:
            sockets.wake(sock)

    def counters(self) -> tuple[int, int]:
        """Bytes (sent and acknowledged, received) since the start, TLS and all, as the kernel counts."""
        live = sockets.counters(self._socket) if self._socket is not None else (0, 0)
        return self._counted[0] + live[0], self._counted[1] + live[1]

    def set_timeout(self, timeout_s: float | None) -> None:
        """For the reads of the open answer only; None waits for ever without waking."""
        if self._socket is not None:
            self._socket.settimeout(timeout_s)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Network errors as ours; the connection is dropped."""
        try:
            yield
        except (HostilePeer, HubUnreachable):
            self.drop()
            raise
        except ssl.SSLCertVerificationError as error:
            self.drop()
            raise HostilePeer(f"{self.place} is not who it should be: {error.verify_message}") from error
        except (OSError, http.client.IncompleteRead) as error:
            self.drop()
            raise HubUnreachable(f"{self.place} does not answer: {_reason(error)}") from error
        except http.client.HTTPException as error:
            self.drop()
            raise HostilePeer(f"{self.place} does not speak our HTTP: {_reason(error)}") from error

    def _attempt(
        self, method: str, target: str, headers: Mapping[str, str], parts: Sequence[Buffer]
    ) -> http.client.HTTPResponse:
        connection = self._connect()
        with sockets.together(connection.sock):
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if parts or method in ("POST", "PUT"):
                connection.putheader("Content-Length", str(sum(map(len, parts))))
            connection.endheaders()
            try:
                self._send(connection, parts)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                if self._closed:
                    raise
                # A refusal (too large, revoked) may have come before all was sent: it says more than the break.
        response = connection.getresponse()
        self._response = response
        return response

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._dial()
            connection = http.client.HTTPConnection(self.host, self.port)
            connection.auto_open = 0
            connection.sock = self._socket
            self._connection = connection
        self.set_timeout(self.timeout_s)
        return self._connection

    def _dial(self) -> None:
        """Set _socket to a connected, checked one. Each place, and each address of a name, may be the right one.

        When none is, who answered but was another tells more than an address where nobody is.
        """
        paired = self.host, self.port
        failure: Exception = ConnectionAbortedError("closed")
        for place in self._where.places(paired) if self._where else [paired]:
            try:
                self._dial_at(place)
            except (OSError, HostilePeer) as error:
                failure = _more_telling(failure, error)
                continue
            if self._where:
                self._where.reached(place)
            return
        raise failure

    def _dial_at(self, place: Place) -> None:
        failure: Exception = OSError("the name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(*place, 0, socket.SOCK_STREAM):
            try:
                self._try(socket.socket(family, kind, protocol), address)
                return
            except (OSError, HostilePeer) as error:
                self._let_go()
                failure = _more_telling(failure, error)
        raise failure

    def _try(self, raw: socket.socket, address: Any) -> None:
        self._hold(raw)
        raw.settimeout(min(CONNECT_TIMEOUT_S, self.timeout_s))
        raw.connect(address)
        sockets.tune(raw, self._dead_after_ms)
        secured = self._context.wrap_socket(raw, do_handshake_on_connect=False)
        self._hold(secured)
        secured.do_handshake()
        self._check(secured)

    def _let_go(self) -> None:
        """Close a socket that came to nothing. After `close` no other address is tried."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._closed:
            raise ConnectionAbortedError("closed")

    def _hold(self, sock: socket.socket) -> None:
        """Before each wait, so that `close` can end it."""
        self._socket = sock
        if self._closed:
            raise ConnectionAbortedError("closed")

    def _ended(self) -> bool:
        """Whether the idle connection can be read, which is its end."""
        waiting = select.poll()
        waiting.register(self._socket or -1, select.POLLIN)
        return bool(waiting.poll(0))

    # --- bodies

    def _send(self, connection: http.client.HTTPConnection, parts: Sequence[Buffer]) -> None:
        if len(parts) == 1 and memoryview(parts[0]).nbytes <= SEND_SIZE:
            connection.send(parts[0])
            return
        size = min(SEND_SIZE, self._up.slice_bytes) if self._up else SEND_SIZE
        for piece in gather(parts, size):
            if self._up:
                self._up.spend(len(piece))
            connection.send(piece)

    def _read_into(self, response: http.client.HTTPResponse, view: memoryview) -> int:
        with self.translated():
            count = response.readinto(view)
            if not count and response.length:
                raise ConnectionResetError("the connection ended within an answer")
        return count

    def _room(self) -> bytearray:
        if not self._buffer:
            self._buffer = bytearray(BUFFER_SIZE)
        return self._buffer


def gather(parts: Sequence[Buffer], size: int) -> Iterator[Buffer]:
    """The parts' bytes in pieces of `size` bytes (the last one may be shorter).

    Small parts share a TLS record and a system call; copying costs a fraction of the encryption.
    """
    few: list[Buffer] = []
    filled = 0
    for part in parts:
        if filled + len(part) < size:
            few.append(part)
            filled += len(part)
            continue
        rest = memoryview(part).cast("B")
        while filled + len(rest) >= size:
            few.append(rest[: size - filled])
            yield b"".join(few)
            rest = rest[size - filled :]
            few, filled = [], 0
        few.append(rest)
        filled = len(rest)
    if filled:
        yield b"".join(few)


def _more_telling(before: Exception, error: Exception) -> Exception:
    return before if isinstance(before, HostilePeer) else error


def _is_patience(error: OSError) -> bool:
    """Whether our own time-out ended the wait: asking again would double it. The kernel's has an errno."""
    return isinstance(error, TimeoutError) and error.errno is None


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or error or type(error).__name__)
