"""What the hub's client makes of answers: the honest, the malformed, the endless and the cut off."""

import json

import pytest

from remotekit import chunk, client
from scripted import Connection, ScriptedServer, answering
from toastbox.core.bundle import chunk_head, missing_head
from toastbox.device.channel import BUFFER_SIZE, gather
from toastbox.device.throttle import Throttle
from toastbox.errors import HostilePeer, HubUnreachable

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
    with ScriptedServer(answering(b'{"stored": 2, "bytes": 5}')) as server:
        assert client(server).upload(parts, 36 + 5 + 200_000 + 65_536) == 2
        assert server.requests[0].body == b"".join(parts)


def test_upload_of_another_size_than_announced_is_not_sent():
    with ScriptedServer(answering(b"{}")) as server:
        with pytest.raises(ValueError):
            client(server).upload([b"abc"], 4)
        assert server.requests == []


def test_gather_fills_every_piece_but_the_last():
    parts = [bytes([number]) * size for number, size in enumerate([1, 0, 9, 10, 11, 35, 3])]
    windows = [bytes(piece) for piece in gather(parts, 10)]
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
    with ScriptedServer(answering(b'{"stored": 1}')) as server:
        client(server, up=throttle).upload([record], len(record))
        assert sum(spent) == len(record)


# --- what the hub lacks


def wanting(*marks: str, hashes: bytes):
    """A hub that says one mark after the other with its pull answers."""

    def script(connection: Connection) -> None:
        left = list(marks)
        while request := connection.receive():
            if request.target == "/v1/wanted":
                connection.answer(hashes)
            else:
                mark = left.pop(0)
                connection.answer(b"", 200, *([f"Toastbox-Wanted: {mark}"] if mark else []))

    return script


def test_what_the_hub_lacks_is_asked_for_once_for_each_mark():
    with ScriptedServer(wanting("", "7", "7", "9", hashes=b"h" * 64)) as server:
        hub = client(server)
        found = []
        for _ in range(4):
            hub.pull(1, 1, 1, 4096)
            found.append(hub.wanted())
        assert found == [b"", b"h" * 64, b"", b"h" * 64]
        assert [request.target for request in server.requests].count("/v1/wanted") == 2


@pytest.mark.parametrize("hashes", [b"h" * 33, b"h" * (32 * 8193)])
def test_list_of_what_the_hub_lacks_of_a_wrong_size_is_hostile(hashes):
    with ScriptedServer(wanting("7", hashes=hashes)) as server:
        hub = client(server)
        hub.pull(1, 1, 1, 4096)
        with pytest.raises(HostilePeer):
            hub.wanted()
