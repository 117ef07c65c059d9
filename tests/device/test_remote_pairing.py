"""Pairing: with the hub that printed the code, and with nobody else."""

import hashlib
import json

import pytest

from authority import authority, other_authority
from remotekit import problem
from scripted import ScriptedServer, answering
from toastbox.core.pairing import encode_code
from toastbox.device.remote import pair
from toastbox.errors import AccessDenied, HostilePeer, HubUnreachable, WrongUse

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
