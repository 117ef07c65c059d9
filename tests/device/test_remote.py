"""The hub's client against servers that behave, misbehave and break off."""

import hashlib
import json
import ssl
import tempfile
import threading
import time
import warnings

import pytest
from authority import authority, other_authority
from scripted import Connection, ScriptedServer, answering
from toastbox.core.bundle import chunk_head, missing_head
from toastbox.core.pairing import encode_code
from toastbox.device.channel import BUFFER_SIZE, Channel, gather
from toastbox.device.remote import HubClient, open_channel, pair
from toastbox.device.throttle import Throttle
from toastbox.device.tls import Pin
from toastbox.errors import AccessDenied, EpochChanged, HostilePeer, HubRefused, HubUnreachable, WrongUse


def client(server: ScriptedServer, **settings) -> HubClient:
    return HubClient(authority().credentials(server.url), **settings)


def problem(status: int, code: str, **extra) -> bytes:
    return json.dumps({"title": "a title", "status": status, "code": code, **extra}).encode()


def chunk(data: bytes) -> tuple[bytes, bytes]:
    digest = hashlib.sha256(data).digest()
    return digest, chunk_head(digest, len(data)) + data


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
        asked.wait(5)

    with ScriptedServer(silent) as server:
        hub = client(server, timeout_s=0.2)
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


def test_tls_below_1_2_is_refused():
    context = authority().server_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with ScriptedServer(answering(), context=context) as server, pytest.raises(HubUnreachable):
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


# --- answers


def test_folder_is_read():
    body = {
        "folder": "f",
        "name": "n",
        "epoch": "18446744073709551615",
        "seq": 5,
        "live": 3,
        "device": {"number": 7, "name": "d"},
    }
    with ScriptedServer(answering(json.dumps(body).encode())) as server:
        assert client(server).folder() == ("f", "n", 2**64 - 1, 5, 3, 7, "d")


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 5},
        {"epoch": "-1"},
        {"epoch": "1" * 30},
        {"seq": "5"},
        {"seq": -5},
        {"seq": True},
        {"device": 7},
        {"device": {}},
        {"folder": None},
    ],
)
def test_folder_of_wrong_types_is_hostile(change):
    body = {
        "folder": "f",
        "name": "n",
        "epoch": "1",
        "seq": 5,
        "live": 3,
        "device": {"number": 7, "name": "d"},
    }
    with ScriptedServer(answering(json.dumps(body | change).encode())) as server, pytest.raises(HostilePeer):
        client(server).folder()


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 60000, b"nul"])
def test_what_is_no_json_object_is_hostile(body):
    with ScriptedServer(answering(body)) as server, pytest.raises(HostilePeer):
        client(server).folder()


@pytest.mark.parametrize("bitmap", [b"", b"\0\0\0"])
def test_bitmap_of_wrong_size_is_hostile(bitmap):
    with ScriptedServer(answering(bitmap)) as server, pytest.raises(HostilePeer):
        client(server).missing(bytes(32 * 9))


def test_answer_larger_than_it_may_be_is_not_read():
    def endless(connection: Connection) -> None:
        connection.receive()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    for script in (endless, answering(bytes(200_000))):
        with ScriptedServer(script) as server, pytest.raises(HostilePeer):
            client(server).commit(b"x")


def test_answer_without_frame_is_hostile():
    def unframed(connection: Connection) -> None:
        connection.receive()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n\1")

    with ScriptedServer(unframed) as server, pytest.raises(HostilePeer):
        client(server).missing(bytes(32))


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 50\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"],
)
def test_answer_cut_off_is_unreachable_not_short(head):
    def cut(connection: Connection) -> None:
        connection.receive()
        connection.send(b"HTTP/1.1 200 OK\r\n" + head)

    with ScriptedServer(cut) as server, pytest.raises(HubUnreachable):
        client(server).commit(b"x")


@pytest.mark.parametrize(
    "noise", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200]
)
def test_what_is_no_http_is_hostile(noise):
    def speak(connection: Connection) -> None:
        connection.receive()
        connection.send(noise)

    with ScriptedServer(speak) as server, pytest.raises(HostilePeer):
        client(server).folder()


def test_chunk_list_is_read_with_its_total():
    with ScriptedServer(answering(bytes(72), 200, "Toastbox-Chunks: 99")) as server:
        assert client(server).chunk_list(b"\xab" * 32, 5, 2) == (bytes(72), 99)
        assert server.requests[0].target == f"/v1/list?content={'ab' * 32}&from=5&count=2"


@pytest.mark.parametrize(("body", "total"), [(bytes(71), "1"), (bytes(72), ""), (bytes(72), "x"), (bytes(108), "3")])
def test_damaged_chunk_list_is_hostile(body, total):
    with (
        ScriptedServer(answering(body, 200, f"Toastbox-Chunks: {total}")) as server,
        pytest.raises(HostilePeer),
    ):
        client(server).chunk_list(bytes(32), 0, 2)


def test_path_is_quoted():
    with ScriptedServer(answering(b'{"entries": []}')) as server:
        assert client(server).versions("a b/ü?&".encode()) == []
        assert server.requests[0].target == "/v1/versions?path=a%20b%2F%C3%BC%3F%26"


def test_webhook_requests_have_no_answer_body():
    def script(connection: Connection) -> None:
        while connection.receive():
            connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    with ScriptedServer(script) as server:
        hub = client(server)
        hub.put_webhook(8000, True, "/notify")
        hub.delete_webhook()
        assert json.loads(server.requests[0].body) == {"port": 8000, "tls": True, "path": "/notify"}
        assert [request.method for request in server.requests] == ["PUT", "DELETE"]


# --- chunks


def test_upload_sends_all_parts_in_order():
    parts = [b"a" * 36, bytearray(b"b" * 5), memoryview(b"c" * 200_000), b"", b"d" * 65_536]
    with ScriptedServer(answering(b"{}")) as server:
        client(server).upload(parts, 36 + 5 + 200_000 + 65_536)
        assert server.requests[0].body == b"".join(parts)


def test_upload_of_another_size_than_announced_is_not_sent():
    with ScriptedServer(answering(b"{}")) as server:
        with pytest.raises(ValueError):
            client(server).upload([b"abc"], 4)
        assert server.requests == []


def test_gather_fills_every_window_but_the_last():
    parts = [bytes([number]) * size for number, size in enumerate([1, 0, 9, 10, 11, 35, 3])]
    windows = [bytes(window) for window in gather(parts, memoryview(bytearray(10)))]
    assert b"".join(windows) == b"".join(parts)
    assert {len(window) for window in windows[:-1]} == {10}


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_fetch_yields_chunks_in_order_across_buffers(framing):
    datas = [b"a", b"b" * 36, b"c" * (BUFFER_SIZE - 40), b"d" * (1 << 20), b"e" * 70_000]
    pairs = [chunk(data) for data in datas]
    missing = bytes(range(32))
    body = pairs[0][1] + missing_head(missing) + b"".join(record for _, record in pairs[1:])

    def script(connection: Connection) -> None:
        while connection.receive():
            if framing == "length":
                connection.answer(body)
                continue
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(body), 50_000):
                piece = body[start : start + 50_000]
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")

    with ScriptedServer(script) as server:
        hub = client(server)
        asked = [pairs[0][0], missing, *(digest for digest, _ in pairs[1:])]
        for _ in range(2):
            got = [(digest, data and bytes(data)) for digest, data in hub.fetch(b"".join(asked))]
            assert got == list(zip(asked, [datas[0], None, *datas[1:]], strict=True))
        assert server.connections == 1


def test_fetch_that_is_broken_off_does_not_disturb_the_next_request():
    digest, record = chunk(b"x" * 100_000)

    def first(connection: Connection) -> None:
        connection.receive()
        connection.answer(record * 20)
        connection.receive()

    with ScriptedServer(first, answering(b"\1")) as server:
        hub = client(server)
        chunks = hub.fetch(digest * 20)
        assert next(chunks)[0] == digest
        with pytest.raises(RuntimeError):
            hub.missing(bytes(32))
        chunks.close()
        assert hub.missing(bytes(32)) == b"\1"


def test_fetch_refuses_chunks_it_did_not_ask_for():
    digest, record = chunk(b"x")
    other, _ = chunk(b"y")
    for body, asked in ((record, other), (record * 2, digest), (record, other + digest)):
        with ScriptedServer(answering(body)) as server, pytest.raises(HostilePeer):
            list(client(server).fetch(asked))


def test_fetch_that_ends_early_is_unreachable():
    digest, record = chunk(b"x" * 1000)

    def cut(connection: Connection) -> None:
        connection.receive()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(record)))
        connection.send(record + record[:500])

    with ScriptedServer(cut) as server:
        got = []
        with pytest.raises(HubUnreachable):
            got.extend(client(server).fetch(digest * 2))
    with ScriptedServer(answering(record)) as server, pytest.raises(HubUnreachable):
        list(client(server).fetch(digest * 2))


def test_fetch_of_a_damaged_bundle_is_hostile():
    digest, _ = chunk(b"x")
    for body in (chunk_head(digest, (1 << 20) + 1) + b"x" * 100, chunk_head(digest, 100) + b"x"):
        with ScriptedServer(answering(body)) as server, pytest.raises(HostilePeer):
            list(client(server).fetch(digest))


def test_throttle_is_spent_both_ways():
    spent = []
    throttle = Throttle(1e9, lambda: 0.0, lambda seconds: None)
    throttle.spend = spent.append
    digest, record = chunk(b"x" * 100_000)
    with ScriptedServer(answering(record)) as server:
        hub = client(server, down=throttle)
        list(hub.fetch(digest))
        assert sum(spent) == len(record)
        spent.clear()
    with ScriptedServer(answering(b"{}")) as server:
        client(server, up=throttle).upload([record], len(record))
        assert sum(spent) == len(record)


# --- pairing


SECRET = b"0123456789"


def pairing_answer(**changes) -> bytes:
    certificate, key = authority().issue(3)
    answer = {
        "device": 3,
        "name": "pi 2",
        "folder": "ab" * 16,
        "folder_name": "f",
        "epoch": "1",
        "ca": authority().pem,
        "certificate": certificate,
        "private_key": key,
    }
    return json.dumps(answer | changes).encode()


def code() -> str:
    return encode_code(hashlib.sha256(authority().der).digest()[:16], SECRET)


def test_pairing_gives_credentials_that_survive_storage():
    with ScriptedServer(answering(pairing_answer())) as server:
        credentials = pair(server.url + "/", code(), "pi")
    sent = json.loads(server.requests[0].body)
    assert sent == {"secret": SECRET.hex(), "name": "pi", "key": credentials.key}
    assert (credentials.url, credentials.device, credentials.name) == (server.url, 3, "pi 2")
    assert type(credentials).from_json(credentials.to_json()) == credentials
    assert "authorization" not in server.requests[0].headers


def test_lost_pairing_answer_is_asked_for_with_the_same_key():
    with ScriptedServer(lambda connection: connection.receive(), answering(pairing_answer())) as server:
        pair(server.url, code(), "pi")
        assert len({request.body for request in server.requests}) == 1
        assert len(server.requests) == 2


def test_pairing_gives_up_on_a_dead_hub():
    with ScriptedServer(lambda connection: connection.receive()) as server:
        with pytest.raises(HubUnreachable):
            pair(server.url, code(), "pi")
        assert server.connections == 3


def test_pairing_with_an_impostor_tells_it_nothing():
    with ScriptedServer(answering(pairing_answer()), context=other_authority().server_context()) as server:
        with pytest.raises(HostilePeer):
            pair(server.url, code(), "pi")
        assert server.requests == []


def test_certificate_to_pin_must_be_the_hubs_own():
    with (
        ScriptedServer(answering(pairing_answer(ca=other_authority().pem))) as server,
        pytest.raises(HostilePeer),
    ):
        pair(server.url, code(), "pi")
    with ScriptedServer(answering(pairing_answer(ca="nonsense"))) as server, pytest.raises(HostilePeer):
        pair(server.url, code(), "pi")


def test_used_code_says_what_to_do():
    with ScriptedServer(answering(problem(403, "pairing"), 403)) as server:
        with pytest.raises(AccessDenied, match="toastbox invite"):
            pair(server.url, code(), "pi")
        assert server.connections == 1


def test_mistyped_code_is_wrong_use():
    with pytest.raises(WrongUse):
        pair("https://127.0.0.1:1", "TBX1-NONSENSE", "pi")


def test_damaged_stored_pairing_is_wrong_use():
    text = authority().credentials("https://hub").to_json()
    for damaged in (
        "",
        "[]",
        text.replace('"device": 7', '"device": "7"'),
        text.replace("abab", "ab", 1),
        "{}",
    ):
        with pytest.raises(WrongUse):
            type(authority().credentials("https://hub")).from_json(damaged)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
