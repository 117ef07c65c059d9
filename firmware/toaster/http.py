"""HTTP/1.1 to the hub: one kept connection, bodies through a buffer that is given. No body is read whole unasked.

What a connection adds to each request, and how answers prove themselves, is for plain.py to change (docs/SPEC.md, 16).

TLS: the hub's certificate is the only authority trusted and the name in it is checked, because it also signs devices'
certificates, which have other names. Nothing is sent before.
"""

import socket

from toaster.watchdog import WATCHDOG

HUB_NAME = "toastbox hub"
MAX_LINE = 2048
LINE_PART = 128  # what readline() takes at once, whatever the line's length
MAX_HEADERS = 32
TIMEOUT_S = 20


class Refused(Exception):
    """The hub's answer is no: status, code of the problem."""

    def __init__(self, status, body=b""):
        super().__init__("the hub answered %d %s" % (status, bytes(body[:200])))
        self.status = status


class BadPeer(OSError):
    """What answers is not the hub, or breaks HTTP."""


def open_stream(host, port, certificate, timeout_s=TIMEOUT_S):
    """A TLS stream to the hub; certificate: DER, None: not verified (pairing only). Raises OSError."""
    import ssl  # not there in builds without TLS

    raw = open_plain(host, port, timeout_s)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if certificate is None:
            context.verify_mode = ssl.CERT_NONE
        else:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=certificate)
        try:
            stream = context.wrap_socket(raw, server_hostname=HUB_NAME)
        except ValueError as error:
            raise BadPeer(str(error))
        return stream
    except Exception:
        raw.close()
        raise


def open_plain(host, port, timeout_s=TIMEOUT_S):
    """A socket. Raises OSError."""
    raw = socket.socket()
    try:
        raw.settimeout(timeout_s)
        raw.connect(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][-1])
        return raw
    except Exception:
        raw.close()
        raise


class Connection:
    """open: makes a stream. head: lines sent with every request. sent, received: bytes of bodies. date: last heard."""

    date = b""

    def __init__(self, open_, head):
        self._open = open_
        self._head = head
        self._stream = None
        self.sent = self.received = 0

    def close(self):
        if self._stream is not None:
            stream, self._stream = self._stream, None
            try:
                stream.close()
            except OSError:
                pass

    @property
    def stream(self):
        return self._stream

    def ask(self, method, target, body=b"", length=None):
        """An Answer whose body is not yet read. body: bytes, or what iterates over buffers of `length` bytes in all.

        A kept connection that the hub has closed is made anew, once. Raises OSError.
        """
        for fresh in (self._stream is None, True):
            try:
                if self._stream is None:
                    self._stream = self._open()
                return self._try(method, target, body, length)
            except OSError:
                self.close()
                if fresh or length is not None:
                    raise
        raise BadPeer("no answer")

    def _try(self, method, target, body, length):
        size = len(body) if length is None else length
        head = "%s %s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n%s" % (method, target, size, self._head)
        self._write((head + self.proof(method, target, body, size) + "\r\n").encode())
        if length is None:
            self._write(body)
        else:
            for piece in body:
                self._write(piece)
        self.sent += size
        return self.answer()

    def proof(self, method, target, body, size):
        """More lines of the head."""
        return ""

    def answer(self):
        return Answer(self)

    def _write(self, data):
        view = memoryview(data)
        at = 0
        while at < len(view):
            count = self._stream.write(view[at:])
            if not count:
                raise BadPeer("the hub takes nothing")
            at += count
            WATCHDOG.alive()

    def line(self):
        text = b""
        while text[-1:] != b"\n":
            part = self._stream.readline(LINE_PART)
            text += part or b""
            if not part or len(text) > MAX_LINE:
                raise BadPeer("the hub hung up")
        return text.rstrip()

    def into(self, view):
        """Fill a buffer. Raises OSError."""
        at = 0
        while at < len(view):
            count = self._stream.readinto(view[at:])
            if not count:
                raise BadPeer("the hub hung up")
            at += count
        WATCHDOG.alive()
        self.received += at


class Answer:
    """status, length (-1: in HTTP chunks). Its body must be read to the end, or the connection closed."""

    def __init__(self, connection):
        self._connection = connection
        parts = connection.line().split(b" ", 2)
        if parts[0][:5] != b"HTTP/" or len(parts) < 2:
            raise BadPeer("not HTTP")
        self.status = int(parts[1])
        self.length = 0
        self.total = 0
        self._closing = False
        for _ in range(MAX_HEADERS):
            name, _, value = connection.line().partition(b":")
            if not name:
                break
            self._take(name.lower(), value.strip().lower())
        else:
            raise BadPeer("too many headers")
        self._left = self.length
        if self.length == -1:
            self._left = 0

    def _take(self, name, value):
        if name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.length = -1
        elif name == b"toastbox-chunks":
            self.total = int(value)
        elif name == b"date":
            self._connection.date = value
        elif name == b"connection":
            self._closing = value == b"close"

    def read(self, view):
        """Fill view as far as the body goes; bytes read, less than asked for at the end only."""
        done = 0
        while done < len(view):
            if not self._left and not self._next():
                break
            count = min(self._left, len(view) - done)
            self._connection.into(view[done : done + count])
            self._left -= count
            done += count
            if not self._left and self.length == -1:
                self._connection.line()
        return done

    def _next(self):
        """Begin the next HTTP chunk; False at the end of the body."""
        if self.length != -1:
            return False
        self._left = int(self._connection.line(), 16)
        if not self._left:
            self._connection.line()
            self.length = 0
        return self._left > 0

    def all(self, buffer):
        """The whole body as a view of buffer. Raises Refused unless the status is good, BadPeer if it is too long."""
        view = memoryview(buffer)
        size = self.read(view)
        if size == len(view) and (self._left or (self.length == -1 and self._next())):
            self._connection.close()
            raise BadPeer("an answer is longer than its buffer")
        self.check(view[:size])
        self.done()
        if self.status >= 300:
            raise Refused(self.status, view[:size])
        return view[:size]

    def check(self, body):
        """Raises BadPeer if this is not the hub's body; None: of an answer whose body proves itself."""

    def done(self):
        if self._closing:
            self._connection.close()
