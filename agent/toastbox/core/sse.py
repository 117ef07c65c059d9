"""Server-Sent Events (WHATWG HTML, section 9.2): bytes in, events out.

Line ends may be LF, CRLF or CR, and may be cut anywhere. What a peer can make us keep is bounded by MAX_LINE bytes
for an open line and MAX_DATA characters for an open event.
"""

from toastbox.core.errors import WireError

MAX_LINE = 4096
MAX_DATA = 4096


def encode_event(event_id: str, event: str, data: str, retry_ms: int = 0) -> bytes:
    """One event; no field may hold a line end. event_id "": without one; retry_ms 0: not said."""
    text = f"retry: {retry_ms}\n" if retry_ms else ""
    if event_id:
        text += f"id: {event_id}\n"
    return f"{text}event: {event}\ndata: {data}\n\n".encode()


class EventParser:
    """Takes an event stream apart. last_id: for Last-Event-ID when connecting again; retry_ms: 0 if never said."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_ms = 0
        self._line = bytearray()
        self._after_cr = False
        self._first = True
        self._event = ""
        self._data: list[str] = []
        self._data_size = 0

    def feed(self, data: bytes) -> list[tuple[str, str, str]]:
        """(id, event, data) of each event that is complete. id is the last one seen, "" for none.

        Raises WireError: too long, or not UTF-8.
        """
        if self._after_cr and data:
            self._after_cr = False
            data = data[1:] if data[:1] == b"\n" else data
        if data.endswith(b"\r"):
            self._after_cr = True
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        events: list[tuple[str, str, str]] = []
        for line in lines[:-1]:
            self._add(line)
            self._end_line(events)
        self._add(lines[-1])
        return events

    def _add(self, part: bytes) -> None:
        if len(self._line) + len(part) > MAX_LINE:
            raise WireError("an event line is too long")
        self._line.extend(part)

    def _end_line(self, events: list[tuple[str, str, str]]) -> None:
        line = bytes(self._line)
        self._line = bytearray()
        if self._first and line[:3] == b"\xef\xbb\xbf":
            line = line[3:]
        self._first = False
        if line:
            self._take_field(line)
        else:
            self._dispatch(events)

    def _take_field(self, line: bytes) -> None:
        try:
            text = line.decode()
        except UnicodeError as error:
            raise WireError("an event is not UTF-8") from error
        name, _, value = text.partition(":")
        if value[:1] == " ":
            value = value[1:]
        if name == "data":
            self._data_size += len(value) + 1
            if self._data_size > MAX_DATA:
                raise WireError("an event is too long")
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and 0 < len(value) < 9 and all(["0" <= digit <= "9" for digit in value]):
            self.retry_ms = int(value)

    def _dispatch(self, events: list[tuple[str, str, str]]) -> None:
        """An event without data is none."""
        if self._data:
            events.append((self.last_id, self._event or "message", "\n".join(self._data)))
        self._event = ""
        self._data = []
        self._data_size = 0
