"""Uploads in progress over HTTP: told to the other devices of the folder, to nobody else, and forgotten soon."""

import asyncio
import http.client
from hashlib import sha256

import pytest

from hubkit import Caller, Running, file, pair
from toastbox.core.ahead import MAX_ITEMS, MAX_RUN, Run, decode_ahead, encode_run
from toastbox.core.content import chunk_item
from toastbox.hub.subscribers import AHEAD_PAUSE_S, Subscribers

RUN = encode_run(Run(b"0123456789abcdef", 0, chunk_item(sha256(b"data").digest(), 4)))


def told(caller: Caller, after: int = 0) -> list[bytes]:
    answered = caller.ask("GET", f"/v1/ahead?after={after}")
    assert answered.status == 200
    return [encode_run(run) for run in decode_ahead(answered.body)[1]]


def test_other_devices_hear_of_an_upload_and_ask(hub: Running) -> None:
    author, reader = hub.device("author"), hub.device("reader")
    stream, own = reader.events(), author.events()
    for each in (stream, own):
        each.wait_for(b"data: 0\n")
    assert author.ask("POST", "/v1/ahead", RUN).status == 204
    stream.wait_for(b"event: ahead\ndata: 1\n\n")
    assert told(reader) == [RUN]
    assert told(author) == []
    change = author.ask("GET", "/v1/ahead?after=0")
    position, _ = decode_ahead(change.body)
    assert told(reader, position) == []
    author.upload(b"data")
    author.commit(author.epoch(), file("data", b"data"))
    assert b"event: ahead" not in own.wait_for(b"data: 1\n")
    assert told(reader) == []


def test_nothing_is_kept_when_nobody_listens(hub: Running) -> None:
    author, reader = hub.device("author"), hub.device("reader")
    author.events().wait_for(b"data: 0\n")
    assert author.ask("POST", "/v1/ahead", RUN).status == 204
    assert told(reader) == []


def test_another_folder_hears_nothing(hub: Running) -> None:
    author, reader = hub.device("author"), hub.device("reader")
    hub.server.writer.call(lambda: hub.service.journal.add_folder("other", bytes(16)))
    folder = next(each for each in hub.service.journal.folders() if each.name == "other")
    code = hub.server.writer.call(lambda: hub.home.pairing.invite(folder, 600))
    stranger = pair(hub.port, code, "stranger")
    elsewhere, stream = stranger.events(), reader.events()
    for each in (elsewhere, stream):
        each.wait_for(b"data: 0\n")
    author.ask("POST", "/v1/ahead", RUN)
    stream.wait_for(b"event: ahead")
    assert told(stranger) == []
    stranger.upload(b"data")
    stranger.commit(stranger.epoch(), file("data", b"data"))
    assert b"ahead" not in elsewhere.wait_for(b"data: 1\n")


def test_many_windows_are_told_few_times() -> None:
    async def tell() -> tuple[int, bytes]:
        subscribers = Subscribers()
        listener = subscribers.add(1, None, 7)
        assert not subscribers.tell_ahead(1, 7)
        told = 0
        for _ in range(50):
            assert subscribers.tell_ahead(1, 8)
            told += listener.take() != b""
            await asyncio.sleep(0.001)
        subscribers.tell_ahead(1, 8)
        await asyncio.sleep(3 * AHEAD_PAUSE_S)
        return told, listener.take()

    told, last = asyncio.run(tell())
    assert 1 <= told < 25
    assert last == b"event: ahead\ndata: 1\n\n"  # what came last is never left out


@pytest.mark.parametrize("body", [b"", RUN[:-1], RUN[:24], RUN[:-4] + bytes(4)])
def test_what_is_no_run_is_refused(hub: Running, body: bytes) -> None:
    answered = hub.device().ask("POST", "/v1/ahead", body)
    assert (answered.status, answered.json["code"]) == (400, "bad-request")


def test_the_longest_run_is_taken(hub: Running) -> None:
    longest = RUN[:24] + RUN[24:] * MAX_ITEMS
    assert len(longest) == MAX_RUN
    assert hub.device().ask("POST", "/v1/ahead", longest).status == 204


def test_a_long_run_is_refused_before_it_is_read(hub: Running) -> None:
    answered = hub.device().ask("POST", "/v1/ahead", bytes(MAX_RUN + 1))
    assert (answered.status, answered.json["code"]) == (413, "too-large")


def test_strangers_are_refused(hub: Running) -> None:
    for method, body in (("POST", RUN), ("GET", None)):
        assert Caller(hub.port).ask(method, "/v1/ahead", body).status == http.client.UNAUTHORIZED
