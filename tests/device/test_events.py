"""The event stream against a scripted hub: resuming, refusing, breaking off, stopping."""

import queue
import random
import threading
import time

import pytest

from authority import authority, other_authority
from scripted import Connection, ScriptedServer
from toastbox.core.sse import encode_event
from toastbox.device import events
from toastbox.device.events import EventStream, parse_id
from toastbox.device.interfaces import SystemClock
from toastbox.errors import HostilePeer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Listener:
    def __init__(self) -> None:
        self.heard: queue.Queue[tuple] = queue.Queue()

    def on_head(self, epoch, seq):
        self.heard.put(("head", epoch, seq))

    def on_peers(self):
        self.heard.put(("peers",))

    def on_wanted(self):
        self.heard.put(("wanted",))

    def on_connected(self, connected):
        self.heard.put(("connected", connected))

    def on_denied(self, reason):
        self.heard.put(("denied",))

    def next(self) -> tuple:
        return self.heard.get(timeout=5)


class Cursor:
    """Where the device has got to."""

    def __init__(self) -> None:
        self.place = (0, 0)

    def __call__(self) -> tuple[int, int]:
        return self.place


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(events, "BASE_S", 0.01)
    monkeypatch.setattr(events, "CAP_S", 0.05)


@pytest.fixture
def listening():
    """Start a stream to a server; stop it in the end, within a second."""
    streams = []

    def start(server: ScriptedServer, cursor=None) -> tuple[EventStream, Listener]:
        listener = Listener()
        credentials = authority().credentials(server.url)
        stream = EventStream(credentials, listener, cursor or Cursor(), SystemClock(), random.Random(1))
        stream.start()
        streams.append(stream)
        return stream, listener

    yield start
    for stream in streams:
        stream.stop()
        assert not stream._thread.is_alive()


def send(connection: Connection, *messages: bytes) -> None:
    for message in messages:
        connection.send(b"%x\r\n%s\r\n" % (len(message), message))


def open_until_gone(connection: Connection) -> None:
    connection.receive()


def test_heads_and_peers_are_told(listening):
    def script(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        send(connection, b"retry: 2000\n\n", encode_event("7:1", "head", "1"), encode_event("", "peers", "x"))
        send(connection, encode_event("", "wanted", "1"))
        send(connection, encode_event("7:2", "head", "2")[:9], encode_event("7:2", "head", "2")[9:])
        send(connection, encode_event("7:3", "news", "x"), encode_event("7:4", "head", "4"))
        open_until_gone(connection)

    with ScriptedServer(script) as server:
        _, listener = listening(server)
        expected = [("connected", True), ("head", 7, 1), ("peers",), ("wanted",), ("head", 7, 2), ("head", 7, 4)]
        assert [listener.next() for _ in expected] == expected
        assert server.requests[0].target == "/v1/events"
        assert "last-event-id" not in server.requests[0].headers


def test_stream_resumes_at_the_cursor_not_at_what_was_heard(listening):
    def first(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        send(connection, encode_event("7:9", "head", "9"))

    def second(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        open_until_gone(connection)

    cursor = Cursor()
    cursor.place = (7, 5)
    with ScriptedServer(first, second) as server:
        _, listener = listening(server, cursor)
        expected = [("connected", True), ("head", 7, 9), ("connected", False), ("connected", True)]
        assert [listener.next() for _ in expected] == expected
        assert [request.headers["last-event-id"] for request in server.requests] == ["7:5", "7:5"]


def test_hub_that_is_down_is_tried_until_it_is_back(listening):
    def refuse(connection: Connection) -> None:
        connection.receive()
        connection.answer(b"", 503)

    def well(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        open_until_gone(connection)

    with ScriptedServer(refuse, lambda connection: None, refuse, well) as server:
        _, listener = listening(server)
        assert listener.next() == ("connected", True)
        assert server.connections == 4


def test_denied_device_is_told_once_and_asks_rarely(listening, monkeypatch):
    monkeypatch.setattr(events, "DENIED_CAP_S", 0.02)

    def refuse(connection: Connection) -> None:
        connection.receive()
        connection.answer(b'{"code": "revoked", "title": "t"}', 403)

    with ScriptedServer(refuse) as server:
        stream, listener = listening(server)
        assert listener.next() == ("denied",)
        wait_until(lambda: server.connections >= 3)
        assert listener.heard.empty()
        assert "toastbox join" in stream.last_error


@pytest.mark.parametrize(
    "message",
    [
        encode_event("7:x", "head", "1"),
        encode_event("", "head", "1"),
        encode_event(f"7:{2**64}", "head", "1"),
        b"data: " + b"x" * 10_000 + b"\n\n",
        b"\xff\xfe: x\n\n",
    ],
)
def test_nonsense_ends_the_connection_and_is_not_told(listening, message):
    def bad(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        send(connection, message)
        open_until_gone(connection)

    def well(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        open_until_gone(connection)

    with ScriptedServer(bad, well) as server:
        _, listener = listening(server)
        expected = [("connected", True), ("connected", False), ("connected", True)]
        assert [listener.next() for _ in expected] == expected


def test_answer_that_is_no_event_stream_is_not_listened_to(listening):
    def page(connection: Connection) -> None:
        connection.receive()
        connection.answer(encode_event("7:1", "head", "1"), 200, "Content-Type: text/html")

    with ScriptedServer(page) as server:
        stream, listener = listening(server)
        wait_until(lambda: server.connections >= 2)
        assert listener.heard.empty()
        assert "no event stream" in stream.last_error


def test_impostor_learns_no_token(listening):
    with ScriptedServer(open_until_gone, context=other_authority().server_context()) as server:
        _, listener = listening(server)
        wait_until(lambda: server.connections >= 2)
        assert server.requests == []
        assert listener.heard.empty()


def test_stop_ends_a_wait_in_recv_at_once(listening):
    def script(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        open_until_gone(connection)

    with ScriptedServer(script) as server:
        stream, listener = listening(server)
        assert listener.next() == ("connected", True)
        stream.stop()
        assert not stream._thread.is_alive()
        assert listener.heard.empty(), "stopping is no news"


def test_stop_ends_a_handshake_that_nobody_answers(listening):
    blocked = threading.Event()

    class Deaf:
        def wrap_socket(self, raw, **_):
            blocked.wait(5)
            raise OSError("deaf")

    with ScriptedServer(open_until_gone, context=Deaf()) as server:
        stream, _ = listening(server)
        wait_until(lambda: server.connections)
        stream.stop()
        assert not stream._thread.is_alive()
        blocked.set()


def test_stop_ends_the_wait_before_the_next_try(listening, monkeypatch):
    monkeypatch.setattr(events, "BASE_S", 1000)
    monkeypatch.setattr(events, "CAP_S", 1000)
    with ScriptedServer(lambda connection: None) as server:
        stream, _ = listening(server)
        wait_until(lambda: stream._failures == 1)
        stream.stop()
        assert not stream._thread.is_alive()


def test_hurry_tries_now(listening, monkeypatch):
    monkeypatch.setattr(events, "BASE_S", 1000)
    monkeypatch.setattr(events, "CAP_S", 1000)

    def well(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        open_until_gone(connection)

    with ScriptedServer(lambda connection: None, well) as server:
        stream, listener = listening(server)
        wait_until(lambda: stream._failures == 1)
        stream.hurry()
        assert listener.next() == ("connected", True)


def test_waits_grow_while_connections_do_not_last():
    stream = EventStream(authority().credentials("https://hub"), Listener(), Cursor(), SystemClock(), random.Random(1))
    delays = []
    for failures in range(12):
        stream._failures = failures
        delays.append(stream._delay_s())
    assert delays[0] < delays[3]
    assert max(delays) <= events.CAP_S
    stream._denied = True
    assert stream._delay_s() > events.CAP_S


def test_idle_stream_does_not_wake_its_thread(listening):
    def script(connection: Connection) -> None:
        connection.receive()
        connection.send(HEAD)
        open_until_gone(connection)

    with ScriptedServer(script) as server:
        stream, listener = listening(server)
        assert listener.next() == ("connected", True)
        wait_until(lambda: switches(stream._thread) == (time.sleep(0.05), switches(stream._thread))[1])
        before = switches(stream._thread)
        time.sleep(0.5)
        assert switches(stream._thread) == before


@pytest.mark.parametrize("identifier", ["", "1", "1:", ":1", "-1:1", "1:2:3", "1:²", f"{2**64}:1", "1 :1"])
def test_bad_ids_are_hostile(identifier):
    with pytest.raises(HostilePeer):
        parse_id(identifier)


def switches(thread: threading.Thread) -> int:
    with open(f"/proc/self/task/{thread.native_id}/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
