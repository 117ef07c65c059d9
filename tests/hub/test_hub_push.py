"""Event streams and webhooks: who is told what, how often, and how it ends."""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubkit import Caller, Running, file, folder
from toastbox.core.auth import hook_key, verify_hook
from toastbox.core.backoff import delay_s
from toastbox.hub import connections, webhooks
from toastbox.hub.subscribers import Subscriber, Subscribers


def change(caller: Caller, name: str) -> int:
    [(status, seq)] = caller.commit(caller.epoch(), folder(name))
    assert status == 0
    return seq


def test_stream_tells_the_head_and_each_change(hub: Running) -> None:
    caller = hub.device()
    epoch = caller.epoch()
    stream = caller.events()
    seen = stream.wait_for(f"id: {epoch}:0\nevent: head\ndata: 0\n\n".encode())
    assert b"retry: 2000\n\n" in seen and b"text/event-stream" in seen
    change(caller, "a")
    stream.wait_for(f"id: {epoch}:1\nevent: head\ndata: 1\n\n".encode())
    change(caller, "b")
    stream.wait_for(f"id: {epoch}:2\nevent: head\ndata: 2\n\n".encode())


def test_stream_resumes_where_it_ended(hub: Running) -> None:
    caller = hub.device()
    epoch = caller.epoch()
    change(caller, "a")
    stream = caller.events(**{"Last-Event-ID": f"{epoch}:1"})
    stream.wait_for(b"retry: 2000\n\n")
    change(caller, "b")
    assert b"data: 1\n" not in stream.wait_for(b"data: 2\n")


@pytest.mark.parametrize("known", ["{e}:0", "{other}:1", "x", ":", "{e}:", "1:-1", "9" * 300 + ":1"])
def test_stream_that_knows_something_else_is_told_the_head(hub: Running, known: str) -> None:
    caller = hub.device()
    epoch = caller.epoch()
    change(caller, "a")
    stream = caller.events(**{"Last-Event-ID": known.format(e=epoch, other=epoch + 1)})
    stream.wait_for(f"id: {epoch}:1\n".encode())


def test_change_reaches_the_others_quickly_and_only_its_folder(hub: Running) -> None:
    one, two = hub.device("one"), hub.device("two")
    stream = two.events()
    stream.wait_for(b"data: 0\n")
    change(one, "a")
    stream.wait_for(b"data: 1\n")
    other = next(folder for folder in hub.service.journal.folders()).number + 1
    hub.loop.call_soon_threadsafe(hub.server.subscribers.tell_head, other, (1, 99))
    change(one, "b")
    assert b"data: 99" not in stream.wait_for(b"data: 2\n")


def test_copied_card_is_noticed(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines with one key have an event stream each, and neither of them ends."""
    one, other, copy = hub.device("one"), hub.device("other"), hub.device("copied")
    clone = Caller(copy.port, copy.number, copy.key)
    streams = [caller.events() for caller in (one, other, copy, clone)]
    for stream in streams:
        stream.wait_for(b"event: head")
    assert hub.twice() == []
    monkeypatch.setattr(connections, "ALIVE_S", 0)
    assert hub.twice() == ["copied"]
    streams[-1].close()
    end = time.monotonic() + 15
    while hub.twice():
        assert time.monotonic() < end, "an ended stream counts for ever"
        time.sleep(0.02)


def test_new_and_revoked_devices_are_told(hub: Running) -> None:
    caller = hub.device("one")
    stream = caller.events()
    stream.wait_for(b"event: head")
    two = hub.device("two")
    stream.wait_for(b"event: peers\ndata: 1\n\n")
    stream.seen = b""
    hub.server.writer.call(lambda: hub.service.revoke(hub.service.authenticate(*_proof(two))))
    stream.wait_for(b"event: peers\ndata: 1\n\n")


def _proof(caller: Caller) -> tuple[int, str]:
    number, _, token = (caller.authorization or "").removeprefix("Toastbox ").partition(":")
    return int(number), token


def test_revoked_device_is_cut_off_at_once(hub: Running) -> None:
    caller = hub.device()
    streams = [caller.events(), caller.events()]
    for stream in streams:
        stream.wait_for(b"event: head")
    assert caller.ask("GET", "/v1/folder").status == 200
    hub.server.writer.call(lambda: hub.service.revoke(hub.service.authenticate(*_proof(caller))))
    for stream in streams:
        with pytest.raises(EOFError):
            stream.wait_for(b"never")
    caller.close()
    refused = caller.ask("GET", "/v1/folder")
    assert (refused.status, refused.json["code"]) == (403, "revoked")
    caller.authorization = f"Toastbox {caller.number}:{'0' * 64}"
    assert caller.ask("GET", "/v1/folder").json["code"] == "unauthorized", "who proves nothing is told nothing"


def test_stream_that_ends_is_forgotten(hub: Running) -> None:
    caller = hub.device()
    streams = [caller.events() for _ in range(5)]
    for stream in streams:
        stream.wait_for(b"event: head")
    assert len(hub.server.subscribers) == 5
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 10
    while len(hub.server.subscribers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_new_epoch_is_told_with_its_head(hub: Running) -> None:
    caller = hub.device()
    change(caller, "a")
    stream = caller.events()
    stream.wait_for(b"data: 1\n")
    refused = caller.ask("GET", f"/v1/pull?after=9&epoch={hub.service.epoch}")
    assert (refused.status, refused.json["epoch"]) == (409, str(hub.service.epoch))
    stream.wait_for(f"id: {hub.service.epoch}:{(1 << 32) + 1}\n".encode())


def test_slow_listener_is_told_the_last_head_only() -> None:
    subscribers = Subscribers()
    slow = subscribers.add(1, None)
    for seq in range(100_000):
        subscribers.tell_head(1, (7, seq))
    assert slow.take() == b"id: 7:99999\nevent: head\ndata: 99999\n\n"
    assert slow.take() == b""


def test_listener_that_knows_the_head_is_not_told() -> None:
    listener = Subscriber(1, (7, 5), 1)
    listener.tell_head((7, 5))
    assert listener.take() == b""
    listener.tell_peers()
    assert listener.take() == b"event: peers\ndata: 1\n\n"


class Board:
    """A device's own small server, which notes what is posted to it. status: what it answers."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 204
        self.came = threading.Condition()
        board = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with board.came:
                    board.posts.append((self.path, dict(self.headers), body))
                    board.came.notify_all()
                self.send_response(board.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, count: int, timeout_s: float = 15) -> None:
        with self.came:
            assert self.came.wait_for(lambda: len(self.posts) >= count, timeout_s), self.posts

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    yield board
    board.close()


def register(caller: Caller, port: int, tls: bool = False) -> None:
    body = json.dumps({"port": port, "tls": tls, "path": "/notify"}).encode()
    assert caller.ask("PUT", "/v1/webhook", body).status == 204


def test_webhook_is_signed_and_names_the_head(hub: Running, board: Board) -> None:
    caller = hub.device()
    register(caller, board.port)
    change(caller, "a")
    board.wait_for(1)
    path, headers, body = board.posts[0]
    epoch = caller.epoch()
    assert path == "/notify"
    assert json.loads(body) == {"folder": caller.answer["folder"], "epoch": str(epoch), "seq": 1}
    assert headers["webhook-id"] == f"{epoch}:1"
    signed = headers["webhook-id"], headers["webhook-timestamp"], body, headers["webhook-signature"]
    assert verify_hook(hook_key(caller.key), *signed)
    assert not verify_hook(hook_key(bytes(32)), *signed)


def test_webhook_ends_when_it_is_deleted(hub: Running, board: Board) -> None:
    caller = hub.device()
    register(caller, board.port)
    change(caller, "a")
    board.wait_for(1)
    assert caller.ask("DELETE", "/v1/webhook").status == 204
    change(caller, "b")
    time.sleep(0.5)
    assert len(board.posts) == 1


def test_webhook_is_silent_after_some_tries_until_the_device_asks(
    hub: Running, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toastbox.hub.webhooks._BASE_S", 0.02)
    monkeypatch.setattr("toastbox.hub.webhooks.ATTEMPTS", 4)
    board.status = 500
    caller, writer = hub.device("board"), hub.device("writer")
    register(caller, board.port)
    change(writer, "a")
    board.wait_for(4)
    change(writer, "b")
    time.sleep(0.5)
    assert len(board.posts) == 4
    board.status = 200
    caller.ask("GET", "/v1/folder")
    board.wait_for(5)
    assert json.loads(board.posts[4][2])["seq"] == 2


def test_device_that_is_out_of_reach_for_three_minutes_is_still_posted_to() -> None:
    waits = [delay_s(attempt, 0.0, webhooks._BASE_S, webhooks._CAP_S) for attempt in range(1, webhooks.ATTEMPTS)]
    assert 180 < sum(waits) < 300


def test_redirect_is_not_followed(hub: Running, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toastbox.hub.webhooks._BASE_S", 0.02)
    monkeypatch.setattr("toastbox.hub.webhooks.ATTEMPTS", 4)
    board.status = 307
    caller = hub.device()
    register(caller, board.port)
    change(caller, "a")
    board.wait_for(4)
    assert {path for path, _, _ in board.posts} == {"/notify"}


def test_webhook_over_tls_needs_a_certificate_of_this_hub(
    hub: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toastbox.hub.webhooks._BASE_S", 0.02)
    caller = hub.device()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "chain").write_text(caller.answer["certificate"] + caller.answer["private_key"])
    context.load_cert_chain(tmp_path / "chain")
    honest = Board(context)
    register(caller, honest.port, tls=True)
    change(caller, "a")
    honest.wait_for(1)
    honest.close()

    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.load_cert_chain(*_foreign(tmp_path))
    forged = Board(stranger)
    register(caller, forged.port, tls=True)
    change(caller, "b")
    time.sleep(1)
    assert forged.posts == []
    forged.close()


def _foreign(tmp_path: Path) -> tuple[str, str]:
    """Certificate and key of another hub."""
    from toastbox.hub.keys import authority_paths, open_authority

    other = tmp_path / "other"
    other.mkdir()
    open_authority(str(other))
    return authority_paths(str(other))


def test_webhook_survives_a_restart_of_the_hub(tmp_path: Path, board: Board) -> None:
    from hubkit import running

    with running(tmp_path / "hub", announce=False) as hub:
        caller = hub.device()
        register(caller, board.port)
    with running(tmp_path / "hub", announce=False) as hub:
        caller.close()
        caller.port = hub.port
        change(caller, "a")
        board.wait_for(1)


def test_burst_is_told_as_few_times_as_listeners_can_bear(hub: Running, board: Board) -> None:
    caller = hub.device()
    stream = caller.events()
    stream.wait_for(b"data: 0\n")
    caller.upload(b"one")
    epoch = caller.epoch()
    for n in range(100):
        caller.commit(epoch, file(f"f{n}", b"one"))
    seen = stream.wait_for(b"data: 100\n")
    assert seen.count(b"event: head") <= 101
