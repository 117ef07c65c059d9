"""The hub's event stream: a second connection, held open, read when the poller says so. For boards behind NAT.

It costs a TLS session of memory all the time, which is why posts (notify.py) are what is used unless told otherwise.
"""

from toastbox.core.errors import WireError
from toastbox.core.sse import EventParser
from toaster.http import BadPeer

MAX_SIZE_LINE = 16


class Unchunked:
    """HTTP chunks taken off a stream that comes in any pieces (RFC 9112, section 7.1)."""

    def __init__(self):
        self._left = 0
        self._line = b""
        self._in_data = False

    def feed(self, data):
        """The bytes of the body in data. Raises BadPeer at its end, or when it is none."""
        out = b""
        while data:
            if self._in_data and self._left:
                part = data[: self._left]
                out += part
                self._left -= len(part)
                data = data[len(part) :]
                continue
            line, end, data = data.partition(b"\n")
            self._line += line
            if len(self._line) > MAX_SIZE_LINE:
                raise BadPeer("not HTTP chunks")
            if end:
                self._end_line()
        return out

    def _end_line(self):
        line, self._line = self._line.strip(), b""
        if self._in_data:
            self._in_data = False
            return
        try:
            self._left = int(line, 16)
        except ValueError:
            raise BadPeer("not HTTP chunks")
        if self._left <= 0:
            raise BadPeer("the stream has ended")
        self._in_data = True


class Events:
    """One open stream. Raises OSError, Refused when it cannot be opened. stream: for the poller."""

    def __init__(self, remote, cursor):
        self._connection = remote.connect("Last-Event-ID: %d:%d\r\n" % cursor)
        answer = self._connection.ask("GET", "/v1/events")
        try:
            if answer.status != 200:
                answer.all(remote.buffer)
            if answer.length != -1:
                raise BadPeer("no event stream: %d" % answer.status)
            answer.check(None)
        except Exception:
            self._connection.close()
            raise
        self._chunks, self._parser = Unchunked(), EventParser()
        self.stream = self._connection.stream
        self.stream.setblocking(False)

    def heads(self):
        """[(epoch, seq)] that came. Raises OSError when the stream is over."""
        heads = []
        try:
            data = self.stream.read(256)
            while data:
                for number, event, _ in self._parser.feed(self._chunks.feed(data)):
                    if event == "head":
                        epoch, _, seq = number.partition(":")
                        heads.append((int(epoch), int(seq)))
                data = self.stream.read(256)
        except (WireError, ValueError):
            raise BadPeer("not an event stream")
        if data == b"":
            raise BadPeer("the stream has ended")
        return heads

    def close(self):
        self._connection.close()
