"""Fetching from LAN peers: real servers, and liars of every kind."""

import dataclasses
import hashlib
import random
import ssl
import tempfile
import time

import pytest

from authority import authority, other_authority
from hosted import Hosted, members
from manual import ManualClock
from scripted import Connection, ScriptedServer, answering
from toastbox.core.bundle import chunk_head, missing_head
from toastbox.device import peers
from toastbox.device.members import Members
from toastbox.device.peers import ASIDE_BASE_S, ASIDE_CAP_S, FEWEST_HASHES, MAX_PEERS, PeerSet


class Asking:
    """Device 2, looking for chunks."""

    def __init__(self, known: Members | None = None) -> None:
        self.clock = ManualClock()
        self.members = members(1, 2, 3, 4) if known is None else known
        credentials = authority().credentials("https://hub", 2)
        self.peers = PeerSet(credentials, self.members, self.clock, random.Random(1))

    def fetch(self, *digests: bytes) -> dict[bytes, bytes]:
        return {digest: bytes(data) for digest, data in self.peers.fetch(b"".join(digests))}


def chunks(count: int = FEWEST_HASHES) -> dict[bytes, bytes]:
    datas = [b"chunk %d" % number * 5000 for number in range(count)]
    return {hashlib.sha256(data).digest(): data for data in datas}


def record(digest: bytes, data: bytes) -> bytes:
    return chunk_head(digest, len(data)) + data


def peer_server(*scripts, number: int = 1, hub=authority) -> ScriptedServer:
    """Somebody who shows the certificate of this device and says what the scripts say."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("".join(hub().issue(number)))
        file.flush()
        context.load_cert_chain(file.name)
    return ScriptedServer(*scripts, context=context)


def test_peer_gives_what_it_has_and_the_rest_is_left():
    wanted = chunks(6)
    *there, missing = wanted
    asking = Asking()
    with Hosted() as hosted:
        hosted.chunks = {digest: wanted[digest] for digest in there}
        asking.peers.found(1, "127.0.0.1", hosted.port)
        assert asking.fetch(*wanted) == hosted.chunks
        assert missing not in hosted.chunks
        assert asking.peers.fetched_chunks == 5
        assert asking.peers.fetched_bytes == sum(map(len, hosted.chunks.values()))


def test_second_peer_fills_what_the_first_lacks():
    wanted = chunks()
    halves = list(wanted)[:2], list(wanted)[2:]
    asking = Asking()
    servers = []
    for number, half in zip((3, 4), halves, strict=True):
        body = b"".join(record(d, wanted[d]) if d in half else missing_head(d) for d in wanted)
        rest = b"".join(record(d, wanted[d]) for d in half)
        servers.append(peer_server(asked_for(wanted, body, rest), number=number))
    for number, server in zip((3, 4), servers, strict=True):
        asking.peers.found(number, "127.0.0.1", server.port)
    assert asking.fetch(*wanted) == wanted
    for server in servers:
        server.__exit__()


def asked_for(wanted, whole: bytes, rest: bytes):
    """Answers with `whole` when everything is asked for, else with `rest`."""

    def script(connection: Connection) -> None:
        request = connection.receive()
        connection.answer(whole if len(request.body) == 32 * len(wanted) else rest)

    return script


def test_few_chunks_are_not_worth_a_handshake():
    asking = Asking()
    with peer_server(answering()) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        assert asking.fetch(*chunks(FEWEST_HASHES - 1)) == {}
        assert server.connections == 0


def test_wrong_data_is_never_yielded_and_the_rest_not_believed():
    wanted = chunks()
    good, bad, *_ = wanted
    body = record(good, wanted[good]) + record(bad, b"evil") + b"".join(record(d, wanted[d]) for d in _)
    asking = Asking()
    with peer_server(answering(body)) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        assert asking.fetch(*wanted) == {good: wanted[good]}
        assert asking.fetch(*wanted) == {}
        assert server.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        answering(b"", 403),
        answering(b"", 500),
        answering(b"x" * 100),
        answering(chunk_head(bytes(32), (1 << 20) + 1)),
        lambda connection: connection.receive(),
        lambda connection: None,
        lambda connection: connection.receive() and connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"),
        lambda connection: connection.send(b"garbage\r\n\r\n"),
    ],
)
def test_peer_that_fails_is_put_aside_and_asked_again_later(script):
    wanted = chunks()
    asking = Asking()
    with peer_server(script) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        assert asking.fetch(*wanted) == {}
        assert asking.fetch(*wanted) == {}
        assert server.connections == 1
        asking.clock.now_s += ASIDE_BASE_S
        assert asking.fetch(*wanted) == {}
        assert server.connections == 2


def test_silence_costs_one_timeout(monkeypatch):
    monkeypatch.setattr(peers, "ANSWER_TIMEOUT_S", 0.1)
    asking = Asking()
    with peer_server(lambda connection: connection.receive() and connection.receive()) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        assert asking.fetch(*chunks()) == {}


def test_dripping_answer_is_ended_by_the_clock(monkeypatch):
    monkeypatch.setattr(peers, "FETCH_TIMEOUT_S", 0.3)

    def drip(connection: Connection) -> None:
        connection.receive()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        while True:
            connection.send(b"x")
            time.sleep(0.01)

    asking = Asking()
    with peer_server(drip) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        assert asking.fetch(*chunks()) == {}


def test_waits_grow_to_their_cap():
    asking = Asking()
    asking.peers.found(1, "127.0.0.1", 1)
    peer = asking.peers._peers[1]
    waits = []
    for _ in range(20):
        asking.peers._judge(peer, False)
        waits.append(peer.aside_until_s - asking.clock.now_s)
    assert waits[0] <= ASIDE_BASE_S
    assert ASIDE_CAP_S / 2 <= waits[-1] <= ASIDE_CAP_S
    asking.peers._judge(peer, True)
    assert peer.failures == 0


def test_impostors_get_no_question():
    """Another hub's device, the hub itself, another device of ours, another folder's: all behind number 1."""
    wanted = chunks()
    servers = [
        peer_server(answering(), hub=other_authority),
        ScriptedServer(answering()),
        peer_server(answering(), number=3),
        ScriptedServer(answering(), context=other_authority().server_context()),
    ]
    for server in servers:
        asking = Asking()
        asking.peers.found(1, "127.0.0.1", server.port)
        assert asking.fetch(*wanted) == {}
        assert server.connections == 1
        assert server.requests == []
        server.__exit__()


def test_peer_of_another_folder_of_the_same_hub_is_no_peer():
    asking = Asking()
    with Hosted() as hosted:
        foreign = authority().credentials("https://hub", 2, "ff" * 16)
        asking.peers = PeerSet(foreign, asking.members, asking.clock, random.Random(1))
        hosted.chunks = chunks()
        asking.peers.found(1, "127.0.0.1", hosted.port)
        assert asking.fetch(*hosted.chunks) == {}


def test_revoked_peer_is_not_asked():
    asking = Asking(members(2, revoked=(1,)))
    with peer_server(answering()) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        assert asking.fetch(*chunks()) == {}
        assert server.connections == 0


def test_peer_revoked_after_it_was_found_is_not_asked():
    asking = Asking()
    with peer_server(answering()) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        asking.members.update({"version": 9, "peers": [{"number": 1, "revoked": True}]})
        assert asking.fetch(*chunks()) == {}
        assert server.connections == 0


def test_own_announcement_is_not_a_peer():
    asking = Asking()
    asking.peers.found(2, "127.0.0.1", 1)
    assert len(asking.peers) == 0


def test_flood_of_announcements_is_bounded_and_members_come_first():
    asking = Asking(Members())
    for number in range(10, 1000):
        asking.peers.found(number, "127.0.0.1", number)
    assert len(asking.peers) == MAX_PEERS
    asking = Asking()
    for number in [*range(10, 1000), 3]:
        asking.peers.found(number, "127.0.0.1", number)
    assert list(asking.peers._peers) == [3]


def test_new_address_is_used_but_does_not_make_up_for_failures():
    asking = Asking()
    asking.peers.found(1, "127.0.0.1", 1)
    assert asking.fetch(*chunks()) == {}
    with Hosted() as hosted:
        hosted.chunks = chunks()
        asking.peers.found(1, "127.0.0.1", hosted.port)
        assert asking.fetch(*hosted.chunks) == {}
        asking.clock.now_s += ASIDE_BASE_S
        assert asking.fetch(*hosted.chunks) == hosted.chunks


def test_lost_peer_is_not_asked():
    asking = Asking()
    with peer_server(answering()) as server:
        asking.peers.found(1, "127.0.0.1", server.port)
        asking.peers.lost(1)
        asking.peers.lost(1)
        assert asking.fetch(*chunks()) == {}
        assert server.connections == 0


def test_dates_are_not_looked_at_but_signatures_are():
    """All certificates of these tests ended on the second of January 1970; a copied subject is no signature."""
    honest = authority().credentials("https://hub", 1)
    certificate, key = other_authority().issue(1)
    forged = dataclasses.replace(honest, certificate=certificate, private_key=key)
    wanted = chunks()
    for credentials, expected in ((honest, wanted), (forged, {})):
        asking = Asking()
        with Hosted() as hosted:
            hosted.do(hosted.hook.stop())
            hosted.credentials = credentials
            hosted.port = hosted.do(hosted._start())
            hosted.chunks.update(wanted)
            asking.peers.found(1, "127.0.0.1", hosted.port)
            assert asking.fetch(*wanted) == expected
