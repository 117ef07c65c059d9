"""The hub's client against servers that behave, misbehave and break off."""

import hashlib
import socket
import ssl
import tempfile
import threading
import time
import warnings
from collections.abc import Callable

import pytest

from authority import authority, other_authority
from remotekit import client, problem
from scripted import Connection, ScriptedServer, answering
from toastbox.device.channel import Channel
from toastbox.device.remote import HubClient, open_channel
from toastbox.device.tls import Pin
from toastbox.device.whereabouts import MOST, Place, Whereabouts
from toastbox.errors import AccessDenied, EpochChanged, HostilePeer, HubRefused, HubUnreachable, WrongUse
from town import PATIENCE

# --- one connection


def test_connection_is_kept_between_requests():
    with ScriptedServer(answering(b"\1")) as server:
        hub = client(server)
        assert [hub.missing(bytes(32)) for _ in range(3)] == [b"\1"] * 3
        assert server.connections == 1
        assert server.requests[0].headers["authorization"].startswith("Toastbox 7:")
        assert server.requests[0].body == bytes(32)


def test_connection_closed_while_idle_is_remade_without_a_failed_request():
    def once(connection: Connection) -> None:
        connection.receive()
        connection.answer(b"\1")

    with ScriptedServer(once, answering(b"\2")) as server:
        hub = client(server)
        assert hub.missing(bytes(32)) == b"\1"
        wait_until(hub._channel._ended)
        assert hub.missing(bytes(32)) == b"\2"
        assert (server.connections, len(server.requests)) == (2, 2)


def test_request_on_a_connection_that_breaks_is_sent_again_once():
    def break_on_second(connection: Connection) -> None:
        connection.receive()
        connection.answer(b"\1")
        connection.receive()

    with ScriptedServer(break_on_second, answering(b"\2")) as server:
        hub = client(server)
        assert hub.missing(bytes(32)) == b"\1"
        assert hub.missing(b"x" * 32) == b"\2"
        assert [request.body[:1] for request in server.requests] == [b"\0", b"x", b"x"]


def test_fresh_connection_that_breaks_is_not_repeated():
    with ScriptedServer(lambda connection: connection.receive()) as server:
        with pytest.raises(HubUnreachable):
            client(server).missing(bytes(32))
        assert server.connections == 1


def test_silence_ends_in_unreachable_and_is_not_repeated():
    asked = threading.Event()

    def silent(connection: Connection) -> None:
        connection.receive()
        connection.answer(b"\1")
        connection.receive()
        asked.wait(5 * PATIENCE)

    with ScriptedServer(silent) as server:
        hub = client(server, timeout_s=0.2 * PATIENCE)
        hub.missing(bytes(32))
        with pytest.raises(HubUnreachable):
            hub.missing(bytes(32))
        asked.set()
        assert server.connections == 1


def test_nobody_listening_is_unreachable():
    with ScriptedServer(answering()) as server:
        hub = client(server)
    with pytest.raises(HubUnreachable, match=str(server.port)):
        hub.missing(bytes(32))


def test_close_from_another_thread_ends_a_wait():
    with ScriptedServer(lambda connection: connection.receive() and connection.receive()) as server:
        hub = client(server)
        failures = []

        def ask() -> None:
            try:
                hub.missing(bytes(32))
            except HubUnreachable as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: server.requests)
        hub.close()
        thread.join(5)
        assert len(failures) == 1
        with pytest.raises(HubUnreachable):
            hub.missing(bytes(32))


def test_kernel_counts_bytes_of_all_connections():
    def once(connection: Connection) -> None:
        connection.receive()
        connection.answer(b"\1")

    with ScriptedServer(once) as server:
        hub = client(server)
        hub.missing(bytes(32))
        one = (hub.bytes_sent, hub.bytes_received)
        wait_until(hub._channel._ended)
        hub.missing(bytes(32))
        assert min(one) > 300
        assert hub.bytes_sent > 1.5 * one[0] and hub.bytes_received > 1.5 * one[1]


# --- who is there


def refusing(connection: Connection) -> None:
    """Never reached: used with a server whose handshake fails."""


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., HubClient]:
    """A client of a hub whose name has the addresses of these servers, in this order."""

    def make(*servers: ScriptedServer) -> HubClient:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)) for server in servers]
        real = socket.getaddrinfo
        ours = lambda host, *more: found if host == "hub.example" else real(host, *more)  # noqa: E731
        monkeypatch.setattr(socket, "getaddrinfo", ours)
        return HubClient(authority().credentials("https://hub.example:1"), timeout_s=5 * PATIENCE)

    return make


def test_next_address_of_a_name_is_tried_when_the_handshake_fails(named: Callable[..., HubClient]) -> None:
    """The first address is that of a proxy which hangs up, or of another server."""
    other = other_authority().server_context()
    with ScriptedServer(refusing, context=only_tls_1_1()) as broken, ScriptedServer(refusing, context=other) as foreign:
        with ScriptedServer(answering(b"\1")) as right:
            assert named(broken, foreign, right).missing(bytes(32)) == b"\1"
            assert (broken.connections, foreign.connections, right.connections) == (1, 1, 1)
        with pytest.raises(HostilePeer, match="not the paired hub"):
            named(foreign, broken).missing(bytes(32))


def test_hub_that_moved_is_found_where_it_is_announced() -> None:
    where = Whereabouts()
    with ScriptedServer(answering(b"\1")) as old:
        hub = client(old, where=where)
        hub.missing(bytes(32))
    with pytest.raises(HubUnreachable):
        hub.missing(bytes(32))
    with (
        ScriptedServer(answering(b"\1"), context=other_authority().server_context()) as liar,
        ScriptedServer(answering(b"\1")) as new,
    ):
        assert where.found(("127.0.0.1", new.port)) and where.found(("127.0.0.1", liar.port))
        assert not where.found(("127.0.0.1", new.port)), "announced again"
        assert hub.missing(bytes(32)) == b"\1"
        assert liar.requests == [] and next(where.places(("old", 1))) == ("127.0.0.1", new.port)


def test_hub_is_looked_for_once_when_it_is_nowhere_it_was_known_to_be() -> None:
    looked = []
    with ScriptedServer(answering(b"\1")) as new:

        def look() -> list[Place]:
            looked.append(1)
            return [("127.0.0.1", new.port)]

        where = Whereabouts(look)
        with ScriptedServer(answering(b"\1")) as old:
            client(old, where=where).missing(bytes(32))
            assert not looked, "it was where it was paired"
        assert client(old, where=where).missing(bytes(32)) == b"\1"
    with pytest.raises(HubUnreachable):
        client(old, where=where).missing(bytes(32))
    assert looked == [1]


def test_announcements_of_hubs_are_bounded() -> None:
    where = Whereabouts()
    for port in range(1, 1000):
        where.found(("liar", port))
    assert len(list(where.places(("paired", 8269)))) <= MOST + 1


def test_other_certificate_gets_not_one_byte():
    heard = []

    def listen(connection: Connection) -> None:
        heard.append(connection.socket.recv(1))

    context = other_authority().server_context()
    with ScriptedServer(listen, context=context) as server, pytest.raises(HostilePeer, match="not the pair"):
        client(server).folder()
    assert heard in ([], [b""])


def test_certificate_issued_by_the_hub_is_not_the_hub():
    """A LAN device must not be able to play the hub to another one."""
    context = authority().server_context()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("".join(authority().issue(8)))
        file.flush()
        context.load_cert_chain(file.name)
    with ScriptedServer(answering(), context=context) as server:
        with pytest.raises(HostilePeer):
            client(server).folder()
        assert server.requests == []


def test_pin_by_fingerprint_takes_only_its_certificate():
    fingerprint = hashlib.sha256(authority().der).digest()[:16]
    assert Pin(fingerprint=fingerprint).matches(authority().der)
    assert not Pin(fingerprint=fingerprint).matches(other_authority().der)


@pytest.mark.parametrize("fingerprint", [b"", b"x" * 15, b"x" * 17])
def test_half_given_pin_is_refused(fingerprint):
    with pytest.raises(ValueError):
        Pin(fingerprint=fingerprint)


def only_tls_1_1() -> ssl.SSLContext:
    context = authority().server_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def test_tls_below_1_2_is_refused():
    with ScriptedServer(answering(), context=only_tls_1_1()) as server, pytest.raises(HubUnreachable):
        client(server).folder()


@pytest.mark.parametrize(
    "url", ["http://hub:1", "hub:1", "https://", "https://hub:99999", "https://hub/x", "https://a..b"]
)
def test_bad_address_is_wrong_use(url):
    with pytest.raises(WrongUse):
        open_channel(url, Pin(certificate=b"x"))


# --- refusals


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, "unauthorized", AccessDenied),
        (403, "revoked", AccessDenied),
        (403, "pairing", AccessDenied),
        (429, "busy", HubUnreachable),
        (503, "busy", HubUnreachable),
        (500, "", HubUnreachable),
        (400, "bad-request", HubRefused),
        (413, "too-large", HubRefused),
        (507, "full", HubRefused),
        (302, "", HubRefused),
    ],
)
def test_refusals_are_errors_of_their_own(status, code, error):
    with ScriptedServer(answering(problem(status, code), status)) as server:
        with pytest.raises(error) as caught:
            client(server).commit(b"")
        if error is HubRefused:
            assert (caught.value.code, caught.value.status) == (code, status)


def test_new_epoch_is_carried():
    epoch = 2**64 - 1
    with ScriptedServer(answering(problem(409, "epoch", epoch=str(epoch)), 409)) as server:
        with pytest.raises(EpochChanged) as caught:
            client(server).pull(0, 1, 512, 4096)
        assert caught.value.epoch == epoch


def test_connection_outlives_a_refusal():
    def script(connection: Connection) -> None:
        connection.receive()
        connection.answer(problem(400, "bad-request"), 400)
        connection.receive()
        connection.answer(b"\1")

    with ScriptedServer(script) as server:
        hub = client(server)
        with pytest.raises(HubRefused):
            hub.missing(bytes(32))
        assert hub.missing(bytes(32)) == b"\1"
        assert server.connections == 1


def test_refusal_of_a_proxy_is_told_with_its_status():
    with ScriptedServer(answering(b"<html>", 404)) as server, pytest.raises(HubRefused, match="404"):
        client(server).folder()


def test_title_is_cut_and_cleaned():
    body = problem(400, "bad-request", title="\x1b[2Jx" * 1000)
    with ScriptedServer(answering(body, 400)) as server, pytest.raises(HubRefused) as caught:
        client(server).folder()
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("error", [BrokenPipeError, ConnectionResetError, ssl.SSLEOFError])
def test_refusal_sent_before_the_upload_is_through_is_heard(monkeypatch, error):
    """Whether the kernel keeps such an answer is chance; when it does, it is heard."""

    def refuse_early(connection: Connection) -> None:
        connection.socket.recv(1000)
        connection.answer(problem(413, "too-large"), 413)
        connection.receive()

    def break_off(channel, connection, parts):
        raise error

    monkeypatch.setattr(Channel, "_send", break_off)
    with ScriptedServer(refuse_early) as server, pytest.raises(HubRefused, match="a title"):
        client(server).upload([bytes(1000)], 1000)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
