"""Who may come in, counted before TLS takes memory for anybody."""

import socket
import time

import pytest

from hubkit import Running, connect
from toastbox.hub import door
from toastbox.hub.door import Strangers

MOST = 6


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "STRANGERS_PER_ADDRESS", MOST)


def test_count_follows_every_way_a_connection_may_go() -> None:
    strangers = Strangers(100)
    assert [strangers.arrives("a", port) for port in range(MOST + 1)] == [True] * MOST + [False]
    assert strangers.arrives("b", 0)
    strangers.closed("a", 0)  # no handshake was made
    strangers.closed("a", 0)
    assert [strangers.arrives("a", port) for port in (10, 11)] == [True, False]
    strangers.enters("a", 1)
    assert not strangers.arrives("a", 11)
    strangers.leaves("a")  # it proved a device
    strangers.closed("a", 1)
    assert [strangers.arrives("a", port) for port in (12, 13)] == [True, False]


def test_all_that_arrive_are_counted_together() -> None:
    strangers = Strangers(3)
    assert [strangers.arrives(address, 1) for address in "abcd"] == [True, True, True, False]
    strangers.enters("a", 1)
    assert strangers.arrives("d", 1)


def silent(hub: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", hub.port), 5)


def is_open(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def wait_until_answers(hub: Running) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            connect(hub.port).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_connections_without_a_handshake_are_counted(hub: Running) -> None:
    caller = hub.device()
    stream = caller.events()
    stream.wait_for(b"event: head")
    socks = [silent(hub) for _ in range(3 * MOST)]
    deadline = time.monotonic() + 5
    while sum(map(is_open, socks)) > MOST:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [is_open(sock) for sock in socks] == [True] * MOST + [False] * 2 * MOST
    for sock in socks:
        sock.close()
    wait_until_answers(hub)
    assert hub.device("other").ask("GET", "/v1/folder").status == 200


def test_door_forgets_whoever_went(hub: Running) -> None:
    for _ in range(3):
        for sock in [connect(hub.port) for _ in range(MOST)] + [silent(hub)]:
            sock.close()
        wait_until_answers(hub)
    assert hub.device().ask("GET", "/v1/folder").status == 200


def test_connection_takes_little_memory_before_it_says_anything(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "STRANGERS_PER_ADDRESS", 200)
    hub.device()

    def resident_bytes() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    before = resident_bytes()
    arriving, deadline = hub.server.connections.strangers._arriving, time.monotonic() + 9
    socks = []
    while len(arriving) < 200:
        assert time.monotonic() < deadline
        if len(socks) < min(200, len(arriving) + 20):  # more at once than the kernel's backlog have to come again
            socks.append(silent(hub))
        else:
            time.sleep(0.01)
    assert (resident_bytes() - before) / len(socks) < 60_000
