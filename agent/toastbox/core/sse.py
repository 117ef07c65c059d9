"""Server-Sent Events (WHATWG HTML, section 9.2): bytes in, events out. Only what the hub sends is understood."""

MAX_LINE = 4096


class EventError(ValueError):
    """An event stream that no honest hub sends."""


def encode_event(event_id: str, event: str, data: str) -> bytes:
    """One event; no field may hold a line end. event_id "": without one."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {data}\n\n".encode()


class EventParser:
    """Feed it what arrives, in any pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._event = ""
        self._data = ""

    def feed(self, data: bytes) -> list[tuple[str, str, str]]:
        """(id, event, data) of each event that is complete. Raises EventError when a line or an event is too long."""
        events = []
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            raise EventError("an event line is too long")
        for line in lines:
            if len(line) > MAX_LINE:
                raise EventError("an event line is too long")
            event = self._line(line.rstrip(b"\r"))
            if event is not None:
                events.append(event)
        return events

    def _line(self, line: bytes) -> tuple[str, str, str] | None:
        if not line:
            return self._dispatch()
        try:
            text = line.decode()
        except UnicodeError:
            raise EventError("an event is not UTF-8")
        name, _, value = text.partition(":")
        value = value[1:] if value[:1] == " " else value
        if name == "id":
            self._id = value
        elif name == "event":
            self._event = value
        elif name == "data":
            self._data = self._data + "\n" + value if self._data else value
            if len(self._data) > MAX_LINE:
                raise EventError("an event is too long")
        return None

    def _dispatch(self) -> tuple[str, str, str] | None:
        event, data = self._event, self._data
        self._event = self._data = ""
        return (self._id, event or "message", data) if event or data else None
