"""The device's own server: who may tell it things, who may have chunks, and what rude clients cost."""

import subprocess
import sys
import threading
import time

import pytest

from authority import authority, other_authority
from hosted import Hosted, members
from toastbox.core.auth import hook_key
from toastbox.core.bundle import BundleReader
from toastbox.device import hook, listener
from toastbox.device.listener import MAX_HEADERS, BadHead, parse_head


@pytest.fixture
def hosted():
    with Hosted() as made:
        yield made


def peer(number: int = 2, hub=authority, **other):
    return hub().credentials("https://hub", number, **other)


# --- posts


def test_signed_post_is_told(hosted):
    assert hosted.post(7, 6) == 204
    assert hosted.heads == [(7, 6)]


def test_post_over_plain_tcp_needs_no_less_of_a_signature():
    with Hosted(tls=False) as hosted:
        assert hosted.post(7, 6) == 204
        assert hosted.post(7, 9, signature="v1,AAAA") == 401
        assert hosted.heads == [(7, 6)]


@pytest.mark.parametrize(
    "forgery",
    [
        {"signature": ""},
        {"signature": "v1,"},
        {"signature": "v1," + "A" * 43 + "="},
        {"signature": "v2,x v1,y " * 100},
        {"id": "7:9"},
        {"timestamp": "13"},
        {"sent": b'{"folder": "x", "epoch": "7", "seq": 9}'},
        {"sent": b""},
        {"key": "cd" * 32},
    ],
)
def test_forged_post_is_refused_without_effect(hosted, forgery):
    assert hosted.post(7, 6, **forgery) == 401
    assert hosted.heads == []


def test_replayed_post_has_no_effect(hosted):
    hosted.post(7, 6)
    assert [hosted.post(7, 6), hosted.post(7, 3)] == [204, 204]
    hosted.cursor = (8, 2)
    hosted.post(7, 6)
    hosted.post(8, 2)
    assert hosted.heads == [(7, 6)]


def test_new_epoch_and_later_heads_are_told(hosted):
    for head in [(7, 6), (7, 8), (7, 7), (9, 1)]:
        hosted.post(*head)
    assert hosted.heads == [(7, 6), (7, 8), (9, 1)]


def test_epochs_remembered_are_bounded(hosted):
    for epoch in range(100, 112):
        hosted.post(epoch, 1)
    assert len(hosted.heads) == 12
    assert len(hosted.hook._told) <= hook.REMEMBERED_EPOCHS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"nul",
        b"[" * 4000,
        b'{"folder": "%s", "epoch": 7, "seq": 6}',
        b'{"folder": "%s", "epoch": "x", "seq": 6}',
        b'{"folder": "%s", "epoch": "7", "seq": "6"}',
        b'{"folder": "%s", "epoch": "7", "seq": -1}',
        b'{"folder": "%s", "epoch": "7", "seq": true}',
        b'{"folder": "other", "epoch": "7", "seq": 6}',
    ],
)
def test_signed_nonsense_is_refused(hosted, body):
    body = body.replace(b"%s", hosted.credentials.folder.encode())
    assert hosted.post_body(body, hook_key(bytes.fromhex(hosted.credentials.key))) == 400
    assert hosted.heads == []


# --- chunks


def read(answer: tuple[int, bytes]) -> list[tuple[bytes, bytes | None]]:
    assert answer[0] == 200
    reader = BundleReader(1 << 20)
    got = [(digest, data and bytes(data)) for digest, data in reader.feed(answer[1])]
    reader.close()
    return got


def test_member_gets_chunks_in_the_order_asked(hosted):
    big, small = hosted.add(b"x" * (1 << 20)), hosted.add(b"y")
    got = read(hosted.ask("POST", "/v1/fetch", big + bytes(32) + small, credentials=peer()))
    assert got == [(big, b"x" * (1 << 20)), (bytes(32), None), (small, b"y")]
    assert hosted.hook.served_chunks == 2


def test_whole_list_of_hashes_may_be_asked(hosted):
    digest = hosted.add(b"y")
    assert len(read(hosted.ask("POST", "/v1/fetch", digest * 8192, credentials=peer()))) == 8192
    head = b"POST /v1/fetch HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    assert b" 413 " in hosted.say(head % (8193 * 32), peer())


@pytest.mark.parametrize("body", [b"", b"x" * 33])
def test_list_that_is_no_list_is_refused(hosted, body):
    assert hosted.ask("POST", "/v1/fetch", body, credentials=peer())[0] == 400


def test_only_proven_members_get_chunks(hosted):
    digest = hosted.add(b"secret")
    for credentials in (None, peer(3), peer(2, folder="ff" * 16), peer(2, folder="")):
        assert hosted.ask("POST", "/v1/fetch", digest, credentials=credentials) == (403, b"")
    assert hosted.hook.served_chunks == 0


def test_certificate_of_another_hub_does_not_even_get_a_connection(hosted):
    digest = hosted.add(b"secret")
    stranger = peer(2, other_authority)
    disguised = type(stranger)(**{n: getattr(stranger, n) for n in stranger.__slots__} | {"ca": authority().pem})
    with pytest.raises(OSError):
        hosted.ask("POST", "/v1/fetch", digest, credentials=disguised)


def test_hubs_certificate_is_no_members(hosted):
    """The hub's own certificate is trusted to sign, not to ask."""
    digest = hosted.add(b"secret")
    certificate, key = authority().issue(0)
    credentials = peer(2)
    fields = {name: getattr(credentials, name) for name in credentials.__slots__}
    fields |= {"certificate": certificate, "private_key": key}
    assert hosted.ask("POST", "/v1/fetch", digest, credentials=type(credentials)(**fields))[0] == 403


def test_revoked_member_is_refused_at_once(hosted):
    digest = hosted.add(b"data")
    assert hosted.ask("POST", "/v1/fetch", digest, credentials=peer())[0] == 200
    peers = [{"number": 2, "name": "x", "revoked": True}]
    hosted.members.update({"version": 2, "peers": peers})
    assert hosted.ask("POST", "/v1/fetch", digest, credentials=peer())[0] == 403


def test_plain_tcp_gives_no_chunks():
    with Hosted(tls=False) as hosted:
        assert hosted.ask("POST", "/v1/fetch", hosted.add(b"x"))[0] == 403


@pytest.mark.parametrize("tls", [True, False])
def test_who_is_refused_before_the_body_was_read_learns_why(tls):
    """Closed with bytes unread, the kernel resets the connection, and the answer may be lost."""
    head = b"POST /v1/fetch HTTP/1.1\r\nContent-Length: 400000\r\n\r\n"
    with Hosted(tls=tls) as hosted:
        for _ in range(5):
            assert b" 403 " in hosted.say(head + b"x" * 400_000)


def test_too_many_bundles_at_once_are_refused(hosted, monkeypatch):
    monkeypatch.setattr(hook, "MAX_BUNDLES", 0)
    assert hosted.ask("POST", "/v1/fetch", hosted.add(b"x"), credentials=peer())[0] == 503


def test_chunks_are_loaded_by_one_thread(hosted):
    """What loads them keeps descriptors and a database of its own."""
    digest, threads = hosted.add(b"y"), set()
    hosted.on_load = lambda: threads.add(threading.get_ident())
    for _ in range(3):
        hosted.ask("POST", "/v1/fetch", digest * 20, credentials=peer())
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_bundle_that_nobody_reads_on_is_counted_off(hosted):
    digest = hosted.add(b"x" * (1 << 20))
    with hosted.connect(peer()) as sock:
        sock.sendall(b"POST /v1/fetch HTTP/1.1\r\nContent-Length: 3200\r\n\r\n" + digest * 100)
        sock.recv(1000)
    wait_until(lambda: hosted.hook._bundles == 0 and not hosted.hook._listener._by_address)


# --- rude clients


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /notify HTTP/1.1\r\n\r\n", 405),
        (b"DELETE /v1/fetch HTTP/1.1\r\n\r\n", 405),
        (b"POST /elsewhere HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 413),
        (b"POST /notify HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", 413),
        (b"POST /notify HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 400),
        (b"POST /notify HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /notify HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /notify HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"\xff\xfe\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nname : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"a%d: x\r\n" % n for n in range(MAX_HEADERS + 1)) + b"\r\n", 400),
        (b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_bad_requests_are_answered_and_cost_no_memory(hosted, data, status):
    assert hosted.say(data).split(b" ")[1] == b"%d" % status
    assert hosted.post(7, 6) == 204


def test_endless_head_is_cut_off(hosted):
    with hosted.connect() as sock, pytest.raises(OSError):
        while True:
            sock.sendall(b"x" * 10_000)
    assert hosted.post(7, 6) == 204


@pytest.mark.parametrize("data", [b"", b"POST /notify HT", b"POST /notify HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"])
def test_clients_that_do_not_finish_are_let_go(hosted, monkeypatch, data):
    for name in ("HEAD_TIMEOUT_S", "BODY_TIMEOUT_S"):
        monkeypatch.setattr(listener, name, 0.1)
    assert hosted.say(data) == b""
    wait_until(lambda: not hosted.hook._listener._by_address)


def test_handshake_that_does_not_come_is_let_go(hosted, monkeypatch):
    import socket

    monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT_S", 0.1)
    with socket.create_connection(("127.0.0.1", hosted.port), timeout=5) as sock:
        assert sock.recv(1) == b""
    wait_until(lambda: not hosted.hook._listener._by_address)


def test_one_address_gets_few_connections(hosted):
    idle = [hosted.connect() for _ in range(listener.MAX_PER_ADDRESS)]
    with pytest.raises(OSError):
        hosted.post(7, 6)
    for sock in idle:
        sock.close()
    wait_until(lambda: not hosted.hook._listener._by_address)
    assert hosted.post(7, 6) == 204


def test_more_connections_than_slots_wait_for_one(hosted, monkeypatch):
    monkeypatch.setattr(listener, "MAX_PER_ADDRESS", 1000)
    monkeypatch.setattr(listener, "HEAD_TIMEOUT_S", 1.0)
    idle = [hosted.connect() for _ in range(listener.MAX_CONNECTIONS)]
    assert hosted.post(7, 6) == 204
    for sock in idle:
        sock.close()


def test_stop_ends_open_connections(hosted):
    with hosted.connect() as sock:
        hosted.do(hosted.hook.stop())
        assert sock.recv(1) == b""


def test_every_address_is_listened_on_when_none_is_named():
    import asyncio

    async def run() -> bool:
        listening = listener.Listener(lambda connection: connection.awrite(b"hello"), None)
        accepting = listener.listen_at("", 0)
        port = accepting.getsockname()[1]
        await listening.start(accepting)
        heard = []
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, port)
            heard.append(await reader.read())
            writer.close()
        await listening.stop()
        return heard == [b"hello", b"hello"]

    assert asyncio.run(run())


def test_parsed_head_has_lower_case_names():
    head = parse_head(b"POST /notify HTTP/1.1\r\nWebhook-Id:  7:6 \r\nCONTENT-LENGTH: 12\r\n\r\n")
    assert head == ("POST", "/notify", {"webhook-id": "7:6", "content-length": "12"}, 12)


def test_head_of_unicode_digits_is_bad():
    with pytest.raises(BadHead):
        parse_head("GET / HTTP/1.1\r\nContent-Length: ²\r\n\r\n".encode())


def test_server_is_not_loaded_before_it_is_made():
    code = "import sys, toastbox.device.hook; print('microdot' in sys.modules, 'zeroconf' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]


# --- members


def test_nobody_is_a_member_before_the_hub_was_asked():
    from toastbox.device.members import Members

    assert not Members().has(1)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 1},
        {"version": "1", "peers": []},
        {"version": 1, "peers": {}},
        {"version": 2, "peers": [{"number": 0, "revoked": False}]},
        {"version": 2, "peers": [{"number": True, "revoked": False}]},
        {"version": 2, "peers": [{"revoked": False}]},
    ],
)
def test_list_of_devices_that_cannot_be_read_changes_nothing(document):
    from toastbox.errors import HostilePeer

    known = members(1, 2)
    with pytest.raises(HostilePeer):
        known.update(document)
    assert known.has(2)


def test_whoever_is_not_clearly_welcome_is_not():
    known = members(1)
    known.update({"version": 2, "peers": [{"number": 1}, {"number": 2, "revoked": None}, 3]})
    assert not known.has(1) and not known.has(2) and not known.has(3)


def test_older_list_does_not_bring_back_the_revoked():
    known = members(1, 2, version=5)
    known.update({"version": 6, "peers": [{"number": 2, "revoked": True}]})
    known.update({"version": 5, "peers": [{"number": 2, "revoked": False}]})
    assert not known.has(2)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
