"""A board without TLS: paired and in sync with signed requests only, against a real hub and liars on the way."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boardkit import Board, ask, free_port, put

from hubkit import Caller, Running, big_file, bundle, file, running
from toastbox.core.plain import COUNTER_STATUS
from toastbox.hub.home import find_folder
from toastbox.hub.plain import COUNTER_BLOCK

NO_TLS = "raise ImportError('this build has no TLS')\n"


class Wire:
    """Between board and hub. heard: all that went over it; change(data): what becomes of what the hub says."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        self.change: Callable[[bytes], bytes] = lambda data: data
        self.requests: list[bytes] = []
        self._hub = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                board, _ = self._listener.accept()
            except OSError:
                return
            try:
                hub = socket.create_connection(("127.0.0.1", self._hub))
            except OSError:
                board.close()
                continue
            for source, sink, changes in ((board, hub, False), (hub, board, True)):
                threading.Thread(target=self._pass, args=(source, sink, changes), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, changes: bool) -> None:
        try:
            while data := source.recv(65536):
                self.heard += data
                if not changes:
                    self.requests.append(data)
                sink.sendall(self.change(data) if changes else data)
        except OSError:
            pass
        for each in (source, sink):
            each.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "hub", announce=False, listen_plain="127.0.0.1:0") as started:
        yield started


@pytest.fixture
def wire(hub: Running) -> Iterator[Wire]:
    made = Wire(hub.server.plain_port)
    yield made
    made.close()


@pytest.fixture
def board(tmp_path: Path, hub: Running, wire: Wire) -> Iterator[Callable[..., Board]]:
    """Makes a board whose build has no TLS, paired over its serial line by way of the wire."""
    made: list[Board] = []

    def make(**settings: Any) -> Board:
        one = Board(tmp_path / f"board{len(made)}")
        made.append(one)
        (one.place / "ssl.py").write_text(NO_TLS)
        one.plug()
        settings = {"port_here": free_port(), "scan": 1, **settings}
        one.write_record(settings)
        one.on()
        code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600, True))
        url = f"http://127.0.0.1:{wire.port}"
        assert ask(one, 1, "set", values={"hub": url, "name": "toast"})["ok"]
        answer = ask(one, 2, "pair", code=code)
        assert answer["ok"], answer
        assert answer["result"]["hub"] == url
        return one

    yield make
    for one in made:
        one.off()


@pytest.mark.parametrize("push", ["hook", "events"])
def test_both_ways_and_pushed_to_without_a_secret_on_the_wire(
    board: Callable[..., Board], hub: Running, caller: Caller, wire: Wire, push: str
) -> None:
    one = board(push=push)
    one.wait_for_status(syncs=1, trouble="")
    put(caller, "down", b"from the hub")
    one.wait(lambda: one.files() == {"down": b"from the hub"})
    assert one.status()["hints"] >= 1
    pieces = [os.urandom(60_000) for _ in range(10)]
    caller.upload(*pieces)
    assert caller.commit(caller.epoch(), big_file("large", pieces))[0][0] == 0
    one.wait(lambda: one.files().get("large") == b"".join(pieces))
    one.write("up", b"u" * 200_000)
    one.forget_age("up")
    one.wait(lambda: caller.ask("GET", "/v1/folder").json["live"] == 3)
    device = hub.service.device(one.read_record()["device"])
    assert device is not None and device.plain
    assert device.key.hex().encode() not in wire.heard and device.key not in wire.heard
    assert b"Authorization: Toastbox-Plain " in wire.heard and b"Authorization: Toastbox " not in wire.heard
    assert b"from the hub" in wire.heard, "who listens can read: that is the price"
    assert one.wait_for_status(trouble="")["faults"] == 0 and one.starts == 1


def test_a_power_cut_and_a_hub_that_starts_anew_lose_no_counter(
    board: Callable[..., Board], hub: Running, caller: Caller, wire: Wire
) -> None:
    one = board(push="")
    one.wait_for_status(syncs=1, trouble="")
    before = int(one.read_record("counter"))
    counters = sent_counters(wire)
    assert counters == sorted(set(counters)) and before >= counters[-1]
    one.off()
    wire.requests.clear()
    put(caller, "a", b"a")
    one.on()
    one.wait(lambda: one.files() == {"a": b"a"})
    assert sent_counters(wire)[0] == before + 1, "it goes on behind what flash says, not behind what was used"
    one.off()
    (one.place / "conf/counter").unlink()  # a flash that forgot: the hub says where to go on
    put(caller, "b", b"b")
    one.on()
    one.wait(lambda: set(one.files()) == {"a", "b"})
    assert f"HTTP/1.1 {COUNTER_STATUS}".encode() in wire.heard
    assert one.wait_for_status(trouble="")["faults"] == 0
    assert before < int(one.read_record("counter")) < before + 2 * COUNTER_BLOCK


def sent_counters(wire: Wire) -> list[int]:
    marks = [request.partition(b"Toastbox-Plain ")[2] for request in wire.requests if b"Toastbox-Plain " in request]
    return [int(mark.split(b":")[1]) for mark in marks]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"truth", b"a lie"),  # a chunk
        (b"TBJ1", b"TBJ2"),
        (b"\x01\0\0\0\0\0\0\0", b"\x02\0\0\0\0\0\0\0"),  # a cursor or a seq
        (b"HTTP/1.1 200", b"HTTP/1.1 409"),
        (b"Toastbox-Signature: ", b"Toastbox-Signature: 0"),
        (b"Toastbox-Signature", b"X-Something-Else-00"),
    ],
)
def test_an_answer_that_was_changed_is_not_believed(
    board: Callable[..., Board], hub: Running, caller: Caller, wire: Wire, old: bytes, new: bytes
) -> None:
    one = board(push="", safety=1)
    one.wait_for_status(syncs=1, trouble="")
    lied: list[bytes] = []

    def lie(data: bytes) -> bytes:
        if old in data:
            lied.append(data)
        return data.replace(old, new)

    wire.change = lie
    put(caller, "a", b"truth")
    one.wait(lambda: bool(lied) and one.status()["trouble"] != "")
    status = one.status()
    assert "BadPeer" in status["trouble"] and one.files() == {} and status["cursor"] == 0
    wire.change = lambda data: data
    one.wait(lambda: one.files() == {"a": b"truth"})
    assert one.wait_for_status(trouble="")["faults"] == 0


def test_not_allowed_any_more(board: Callable[..., Board], hub: Running, caller: Caller) -> None:
    one = board(push="events", safety=1)
    one.wait_for_status(syncs=1, trouble="")
    device = hub.service.device(one.read_record()["device"])
    assert device is not None
    hub.server.writer.call(lambda: hub.service.set_plain(device, False))
    one.wait(lambda: "is this board allowed plain" in one.status()["trouble"])
    put(caller, "secret", b"for TLS only")
    assert one.files() == {}
    hub.server.writer.call(lambda: hub.service.set_plain(device, True))
    one.wait(lambda: one.files() == {"secret": b"for TLS only"})


def test_pairing_with_who_has_not_the_code(tmp_path: Path, hub: Running, wire: Wire) -> None:
    one = Board(tmp_path / "board")
    one.plug()
    one.write_record({"port_here": free_port()})
    one.on()
    try:
        code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600, True))
        assert ask(one, 1, "set", values={"hub": f"http://127.0.0.1:{wire.port}"})["ok"]
        wire.change = lambda data: data.replace(b'"device": ', b'"device":1')
        answer = ask(one, 2, "pair", code=code)
        assert answer["code"] == "failed" and "not the hub" in answer["error"]
        wire.change = lambda data: data
        for wrong in ("http://127.0.0.1", "http://a b:1", "ftp://127.0.0.1:1"):
            assert ask(one, 3, "set", values={"hub": wrong})["code"] == "wrong-use"
        assert ask(one, 4, "pair", code=code)["code"] == "failed", "the lie had used the code up"
    finally:
        one.off()


def test_a_board_paired_over_tls_goes_on_without_when_both_sides_say_so(tmp_path: Path, hub: Running) -> None:
    one = Board(tmp_path / "board")
    one.pair(hub, "toast", scan=1)
    caller = one.caller
    assert caller is not None
    device = hub.service.device(caller.number)
    assert device is not None
    one.settings.update(plain=True, port=hub.server.plain_port)
    one.write_settings()
    one.on()
    try:
        one.wait(lambda: "is this board allowed plain" in one.status()["trouble"])
        hub.server.writer.call(lambda: hub.service.set_plain(device, True))
        caller.ask("POST", "/v1/chunks", bundle(b"hello"))
        assert caller.commit(caller.epoch(), file("hello", b"hello"))[0][0] == 0
        one.wait(lambda: one.files() == {"hello": b"hello"})
    finally:
        one.off()
