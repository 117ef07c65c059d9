"""Requests without TLS: what is signed is taken once, from who may; everything else changes nothing."""

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hubkit import Answered, Caller, Running, bundle, file, running
from toastbox.core.auth import token
from toastbox.core.pairing import decode_code
from toastbox.core.plain import (
    STREAMED,
    authorization,
    paired_key,
    plain_key,
    prove_paired,
    prove_secret,
    sign_answer,
    sign_request,
)
from toastbox.core.wire import decode_answer, decode_pull, default_form, encode_commit, encode_entry
from toastbox.hub.home import find_folder
from toastbox.hub.plain import COUNTER_BLOCK

ANYWHERE = "127.0.0.1:0"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "hub", announce=False, listen_plain=ANYWHERE) as started:
        yield started


class Signer:
    """A device that signs by hand. Every answer is checked unless it is asked for raw."""

    def __init__(self, port: int, number: int, key: bytes) -> None:
        self.port = port
        self.number = number
        self.key = plain_key(key)
        self.counter = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def proof(self, method: str, target: str, body: bytes = b"", key: bytes | None = None) -> str:
        self.counter += 1
        digest = sha256(body).hexdigest()
        signed = sign_request(key or self.key, method, target, self.counter, len(body), digest)
        return authorization(self.number, self.counter, digest, signed)

    def raw(self, method: str, target: str, body: bytes, proof: str, **headers: str) -> Answered:
        """Sent as it is, on a kept connection."""
        try:
            self._connection.request(method, target, body or None, {"Authorization": proof, **headers})
            return Answered(self._connection.getresponse())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def ask(self, method: str, target: str, body: bytes = b"") -> Answered:
        answered = self.raw(method, target, body, self.proof(method, target, body))
        total = int(answered.headers.get("Toastbox-Chunks", "0"))
        given = answered.headers.get("Toastbox-Signature", "")
        digests = [STREAMED if target == "/v1/fetch" and answered.status == 200 else sha256(answered.body).hexdigest()]
        assert given in [sign_answer(self.key, self.counter, answered.status, total, digest) for digest in digests]
        return answered

    def commit(self, epoch: int, *entries: Any) -> list[tuple[int, int]]:
        records = [encode_entry(entry, default_form(entry)) for entry in entries]
        return decode_answer(self.ask("POST", "/v1/commit", encode_commit(epoch, 0, records)).body).results

    def close(self) -> None:
        self._connection.close()


def allow(hub: Running, caller: Caller, allowed: bool = True) -> None:
    device = hub.service.device(caller.number)
    assert device is not None
    hub.server.writer.call(lambda: hub.service.set_plain(device, allowed))


def signer(hub: Running, caller: Caller) -> Signer:
    return Signer(hub.server.plain_port, caller.number, caller.key)


def unsigned(answered: Answered) -> bool:
    return answered.status == 401 and "Toastbox-Signature" not in answered.headers


def test_up_and_down_signed(hub: Running) -> None:
    caller = hub.device()
    allow(hub, caller)
    device = signer(hub, caller)
    epoch = int(device.ask("GET", "/v1/folder").json["epoch"])
    assert device.ask("POST", "/v1/missing", sha256(b"hello").digest()).body == b"\1"
    assert device.ask("POST", "/v1/chunks", bundle(b"hello")).json["stored"] == 1
    assert device.commit(epoch, file("a", b"hello")) == [(0, 1)]
    page = decode_pull(device.ask("GET", "/v1/pull?after=0&epoch=0&entries=8&bytes=4096").body)
    assert [record.entry.path for record in page.records()] == [b"a"]
    assert device.ask("POST", "/v1/fetch", sha256(b"hello").digest()).body == bundle(b"hello")
    assert device.ask("GET", "/v1/list?content=00&from=0&count=1").status == 400
    assert device.ask("PUT", "/v1/webhook", b'{"port": 1, "tls": false, "path": "/n"}').status == 204
    assert device.ask("DELETE", "/v1/webhook").status == 204


def test_only_who_is_allowed_and_nothing_but_signatures(hub: Running) -> None:
    caller, other = hub.device(), hub.device("other")
    device = signer(hub, caller)
    get = ("GET", "/v1/folder", b"")
    assert unsigned(device.raw(*get, device.proof("GET", "/v1/folder"))), "not allowed yet"
    allow(hub, caller)
    assert device.ask("GET", "/v1/folder").status == 200
    assert unsigned(device.raw(*get, device.proof("GET", "/v1/folder", key=plain_key(other.key))))
    assert unsigned(device.raw(*get, f"Toastbox {caller.number}:{token(caller.key)}")), "no token is taken here"
    stranger = signer(hub, other)
    assert unsigned(stranger.raw(*get, stranger.proof("GET", "/v1/folder")))
    for proof in ("", "Toastbox-Plain", "Toastbox-Plain 1:1:x:y", "Toastbox-Plain 0:1:" + "0" * 64 + ":" + "0" * 64):
        assert unsigned(device.raw(*get, proof))
    assert device.raw("GET", "/v1/certificate", b"", "").status == 404
    assert device.raw("POST", "/v1/pair", b"{}", "").status == 404
    assert device.ask("GET", "/v1/folder").status == 200


def test_nothing_that_was_signed_can_be_changed(hub: Running) -> None:
    caller = hub.device()
    allow(hub, caller)
    device = signer(hub, caller)
    epoch = caller.epoch()
    device.ask("POST", "/v1/chunks", bundle(b"hello", b"evil!"))
    good = encode_commit(epoch, 0, [encode_entry(file("a", b"hello"), default_form(file("a", b"hello")))])
    evil = encode_commit(epoch, 0, [encode_entry(file("a", b"evil!"), default_form(file("a", b"evil!")))])
    assert len(good) == len(evil)
    changed = device.raw("POST", "/v1/commit", evil, device.proof("POST", "/v1/commit", good))
    assert changed.status == 400, changed.body
    digest = sha256(evil).hexdigest()
    parts = device.proof("POST", "/v1/commit", good).split(":")
    assert unsigned(device.raw("POST", "/v1/commit", evil, ":".join([*parts[:2], digest, parts[3]])))
    assert unsigned(device.raw("POST", "/v1/commit", good + b"x", device.proof("POST", "/v1/commit", good)))
    assert unsigned(device.raw("POST", "/v1/restore", good, device.proof("POST", "/v1/commit", good)))
    assert unsigned(device.raw("GET", "/v1/log?count=2", b"", device.proof("GET", "/v1/log?count=1")))
    assert caller.ask("GET", "/v1/folder").json["seq"] == 0
    bad = bundle(b"12345")
    lied = device.raw("POST", "/v1/chunks", bundle(b"54321"), device.proof("POST", "/v1/chunks", bad))
    assert lied.status == 400
    for name in ("Content-Encoding", "Accept-Encoding", "Transfer-Encoding", "Expect"):
        with contextlib.suppress(OSError, http.client.HTTPException):
            proof = device.proof("POST", "/v1/commit", good)
            assert device.raw("POST", "/v1/commit", good, proof, **{name: "deflate"}).status in (400, 401)
    assert caller.ask("GET", "/v1/folder").json["seq"] == 0


def test_the_same_again_is_refused_and_the_counter_told(hub: Running) -> None:
    caller = hub.device()
    allow(hub, caller)
    device = signer(hub, caller)
    proof = device.proof("GET", "/v1/folder")
    assert device.raw("GET", "/v1/folder", b"", proof).status == 200
    again = Signer(hub.server.plain_port, caller.number, caller.key).raw("GET", "/v1/folder", b"", proof)
    assert (again.status, again.json["code"], again.json["counter"]) == (428, "counter", "1")
    assert device.ask("GET", "/v1/folder").status == 200
    device.counter = 99
    assert device.ask("GET", "/v1/folder").status == 200
    device.counter = 98
    assert device.ask("GET", "/v1/folder").json["counter"] == "100"


def test_replays_do_not_take_the_devices_places(hub: Running) -> None:
    caller = hub.device()
    allow(hub, caller)
    device = signer(hub, caller)
    proof = device.proof("GET", "/v1/folder")
    device.raw("GET", "/v1/folder", b"", proof)
    replays = [Signer(hub.server.plain_port, caller.number, caller.key) for _ in range(20)]
    assert {each.raw("GET", "/v1/folder", b"", proof).status for each in replays} == {428}
    assert signer_after(hub, caller, device).ask("GET", "/v1/folder").status == 200


def signer_after(hub: Running, caller: Caller, before: Signer) -> Signer:
    device = signer(hub, caller)
    device.counter = before.counter
    return device


def test_a_hub_that_was_killed_takes_no_request_of_before(tmp_path: Path) -> None:
    with running(tmp_path / "hub", announce=False, listen_plain=ANYWHERE) as first:
        caller = first.device()
        allow(first, caller)
        device = signer(first, caller)
        proofs = [device.proof("GET", "/v1/folder") for _ in range(3)]
        assert device.raw("GET", "/v1/folder", b"", proofs[0]).status == 200
    with running(tmp_path / "hub", announce=False, listen_plain=ANYWHERE) as second:
        device = signer_after(second, caller, device)
        for proof in proofs:  # the last two were never seen: refused all the same, and the device goes on behind them
            assert device.raw("GET", "/v1/folder", b"", proof).json["counter"] == str(1 + COUNTER_BLOCK)
        device.counter = 1 + COUNTER_BLOCK
        assert device.ask("GET", "/v1/folder").status == 200
        restored = second.service.device(caller.number)
        assert restored is not None
        second.server.writer.call(lambda: second.service.renew_epoch("a test"))
    with running(tmp_path / "hub", announce=False, listen_plain=ANYWHERE) as third:
        assert int(signer_after(third, caller, device).ask("GET", "/v1/folder").json["counter"]) > 1 << 32


def test_who_is_revoked_or_not_allowed_any_more_is_cut_off_at_once(hub: Running) -> None:
    for change in ("revoke", "forbid"):
        caller = hub.device(change)
        allow(hub, caller)
        device = signer(hub, caller)
        stream = socket.create_connection(("127.0.0.1", hub.server.plain_port), 20)
        proof = device.proof("GET", "/v1/events")
        stream.sendall(f"GET /v1/events HTTP/1.1\r\nHost: hub\r\nAuthorization: {proof}\r\n\r\n".encode())
        seen = b""
        while b"event: head" not in seen:
            seen += stream.recv(4096)
        head, _, _ = seen.partition(b"\r\n\r\n")
        assert sign_answer(device.key, device.counter, 200, 0, STREAMED).encode() in head
        found = hub.service.device(caller.number)
        assert found is not None
        if change == "revoke":
            hub.server.writer.call(lambda found=found: hub.service.revoke(found))
        else:
            allow(hub, caller, False)
        with contextlib.suppress(ConnectionError):
            while stream.recv(4096):
                pass
        device.close()
        later = device.raw("GET", "/v1/folder", b"", device.proof("GET", "/v1/folder"))
        assert later.status == (403 if change == "revoke" else 401)


def test_off_unless_it_is_said(tmp_path: Path) -> None:
    with running(tmp_path / "hub", announce=False) as hub:
        assert hub.server.plain_port == 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/folder HTTP/1.1\r\nHost: hub\r\nAuthorization: " + b"x" * 3000 + b"\r\n\r\n",
        b"GET /v1/" + b"x" * 9000 + b" HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"GET /v1/folder HTTP/1.1\r\n" + b"A: b\r\n" * 40 + b"\r\n",
        b"POST /v1/commit HTTP/1.1\r\nHost: hub\r\nContent-Length: 30000000\r\n\r\n",
        b"POST /v1/plain/pair HTTP/1.1\r\nHost: hub\r\nContent-Length: 30000000\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    ],
)
def test_what_is_no_request_is_refused_before_it_is_read(hub: Running, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hub.server.plain_port), 20) as sock:
        sock.sendall(head)
        answer = sock.recv(4096)
        assert answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.0 4"), answer
    caller = hub.device()
    allow(hub, caller)
    assert signer(hub, caller).ask("GET", "/v1/folder").status == 200


# --- pairing


def invite(hub: Running, plain: bool = True) -> bytes:
    """SHA-256 of a new code's secret."""
    code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600, plain))
    return sha256(decode_code(code)[1]).digest()


def pair(hub: Running, body: bytes, proof: str) -> Answered:
    stranger = Signer(hub.server.plain_port, 0, b"")
    try:
        return stranger.raw("POST", "/v1/plain/pair", body, f"Toastbox-Pair {proof}")
    finally:
        stranger.close()


def asking(nonce: bytes, name: str = "pico") -> bytes:
    return json.dumps({"name": name, "nonce": nonce.hex()}).encode()


def test_pairing_shows_no_secret_and_gives_both_the_same_key(hub: Running) -> None:
    secret, nonce = invite(hub), os.urandom(16)
    body = asking(nonce)
    first = pair(hub, body, prove_secret(secret, body))
    assert first.status == 200
    key = paired_key(secret, nonce, bytes.fromhex(first.json["nonce"]))
    assert first.headers["Toastbox-Signature"] == prove_paired(key, first.body)
    assert not {"key", "private_key", "certificate"} & set(first.json)
    assert pair(hub, body, prove_secret(secret, body)).body == first.body, "the answer may have been lost"
    other = asking(os.urandom(16))
    assert pair(hub, other, prove_secret(secret, other)).status == 403, "it works once"
    device = Signer(hub.server.plain_port, first.json["device"], key)
    assert device.ask("GET", "/v1/folder").json["device"]["name"] == "pico"


def test_pairing_without_the_code_or_with_one_for_tls_only(hub: Running) -> None:
    secret, for_tls = invite(hub), invite(hub, plain=False)
    body = asking(bytes(16))
    assert pair(hub, body, prove_secret(for_tls, body)).status == 403
    assert pair(hub, asking(bytes(16), "evil"), prove_secret(secret, body)).status == 403
    assert pair(hub, body, "no proof").status == 401
    for wrong in (b"{}", b"[" * 3000, asking(bytes(3)), asking(bytes(16), "a/b")):
        assert pair(hub, wrong, prove_secret(secret, wrong)).status == 400
    for _ in range(8):
        assert pair(hub, body, prove_secret(bytes(32), body)).status == 403
    assert pair(hub, body, prove_secret(secret, body)).status == 429
    assert list(hub.service.journal.devices()) == []
