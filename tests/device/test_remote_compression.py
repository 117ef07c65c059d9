"""The hub's client and compression: only towards hubs that inflate, and no hub makes it take more than it asked for."""

import hashlib
import zlib

import pytest

from remotekit import chunk, client, problem
from scripted import Connection, ScriptedServer, answering
from toastbox.compression import inflate, inflate_body, pack
from toastbox.core.bundle import MAX_SEGMENT, BundleReader, chunk_head, segment_head
from toastbox.errors import HostilePeer, HubRefused

INFLATES = "Accept-Encoding: deflate"
ANSWER = b'{"stored": 20}'
TEXTS = [b"some line of text %d, and another\n" % number * 30 for number in range(20)]


def parts(datas: list[bytes]) -> list[bytes]:
    return [part for data in datas for part in (chunk_head(hashlib.sha256(data).digest(), len(data)), data)]


def upload(made, datas: list[bytes]) -> None:
    made.upload(parts(datas), sum(map(len, parts(datas))))


def unpacked(body: bytes) -> list[bytes]:
    reader = BundleReader(1 << 20, inflate)
    return [bytes(data or b"") for _, data in reader.feed(body)]


def test_nothing_compressed_goes_to_a_hub_that_did_not_say_it_inflates():
    with ScriptedServer(answering(ANSWER)) as server:
        made = client(server, compress="always")
        made.pull(0, 0, 1, 4096)
        upload(made, TEXTS)
        made.commit(b"c" * 5000)
    _, sent, committed = server.requests
    assert sent.body == b"".join(parts(TEXTS)) and committed.body == b"c" * 5000
    assert "content-encoding" not in committed.headers


def test_a_hub_that_inflates_gets_segments_and_a_compressed_commit():
    with ScriptedServer(answering(ANSWER, 200, INFLATES)) as server:
        made = client(server, compress="always")
        made.pull(0, 0, 1, 4096)
        upload(made, TEXTS)
        made.commit(b"c" * 5000)
        made.commit(b"small")
    asked, sent, committed, small = server.requests
    assert asked.headers["accept-encoding"] == "deflate"
    assert unpacked(sent.body) == TEXTS and len(sent.body) < sum(map(len, TEXTS)) / 3
    assert inflate_body(committed.body, int(committed.headers["toastbox-size"])) == b"c" * 5000
    assert small.body == b"small" and "content-encoding" not in small.headers


def test_never_means_never():
    with ScriptedServer(answering(ANSWER, 200, INFLATES)) as server:
        made = client(server, compress="never")
        made.pull(0, 0, 1, 4096)
        upload(made, TEXTS)
    assert "accept-encoding" not in server.requests[0].headers
    assert server.requests[1].body == b"".join(parts(TEXTS))


def test_a_refusal_makes_the_next_try_plain():
    def script(connection: Connection) -> None:
        connection.receive()
        connection.answer(ANSWER, 200, INFLATES)
        connection.receive()
        connection.answer(problem(400, "bad-request"), 400)
        connection.receive()
        connection.answer(ANSWER, 200)

    with ScriptedServer(script) as server:
        made = client(server, compress="always")
        made.folder_json = made._json("GET", "/v1/folder", limit=100)
        with pytest.raises(HubRefused):
            upload(made, TEXTS)
        upload(made, TEXTS)
    assert server.requests[2].body == b"".join(parts(TEXTS))


def test_a_compressed_fetch_comes_out_in_the_order_asked():
    datas = [*TEXTS, bytes(range(256)) * 2, b"z"]
    named = [(hashlib.sha256(data).digest(), data) for data in datas]
    body = b"".join(part for run in pack(named) for part in run)
    with ScriptedServer(answering(body)) as server:
        made = client(server, compress="always")
        found = [(name, bytes(data)) for name, data in made.fetch(b"".join(name for name, _ in named))]
    assert found == named
    assert server.requests[0].headers["accept-encoding"] == "deflate"


def test_segments_that_were_not_asked_for_are_hostile():
    body = b"".join(part for run in pack((hashlib.sha256(d).digest(), d) for d in TEXTS) for part in run)
    asked = b"".join(hashlib.sha256(data).digest() for data in TEXTS)
    with ScriptedServer(answering(body)) as server, pytest.raises(HostilePeer):
        list(client(server, compress="never").fetch(asked))


def bombs() -> list[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = packer.compress(bytes(8 << 20)) + packer.flush()
    return [segment_head(len(zeros), size) + zeros for size in (MAX_SEGMENT, MAX_SEGMENT + 1, 1 << 31)]


@pytest.mark.parametrize("body", [*bombs(), segment_head(1 << 27, MAX_SEGMENT), segment_head(4, 5) + b"abcd"])
def test_hostile_segments_are_refused(body):
    with ScriptedServer(answering(body)) as server, pytest.raises(HostilePeer):
        list(client(server, compress="always").fetch(chunk(b"x")[0]))


def test_more_chunks_than_were_asked_for_are_hostile():
    body = b"".join(part for run in pack((hashlib.sha256(d).digest(), d) for d in TEXTS) for part in run)
    with ScriptedServer(answering(body)) as server, pytest.raises(HostilePeer):
        list(client(server, compress="always").fetch(hashlib.sha256(TEXTS[0]).digest()))


def test_a_broken_off_fetch_leaves_no_answer_open():
    """Also while somebody still holds the error, and with it every frame that it passed."""
    stray = chunk(b"stray")[1]

    def hostile(connection: Connection) -> None:
        connection.receive()
        connection.send(b"HTTP/1.1 200 x\r\nContent-Length: 9999999\r\n\r\n" + stray + bytes(600_000))
        connection.receive()

    with ScriptedServer(hostile, answering(b"{}")) as server:
        made = client(server)
        with pytest.raises(HostilePeer) as held:
            list(made.fetch(chunk(b"x")[0]))
        assert made.pull(0, 0, 1, 4096) == b"{}"
        assert held.value.__traceback__ is not None
    assert server.connections == 2


def test_a_compressed_pull_is_read():
    plain = b"journal " * 500
    with ScriptedServer(
        answering(zlib.compress(plain), 200, "Content-Encoding: deflate", "Toastbox-Size: 4000")
    ) as server:
        assert client(server).pull(0, 0, 1, 4096) == plain


@pytest.mark.parametrize("size", ["", "3999", "4001", "0", "-1", "99999999", "x"])
def test_a_pull_that_does_not_inflate_to_what_it_says_is_hostile(size):
    body = zlib.compress(b"journal " * 500)
    headers = ("Content-Encoding: deflate", f"Toastbox-Size: {size}")
    with ScriptedServer(answering(body, 200, *headers)) as server, pytest.raises(HostilePeer):
        client(server).pull(0, 0, 1, 4096)
