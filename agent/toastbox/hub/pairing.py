"""Pairing: a code shown once, used once, becomes a device with its own key (docs/SPEC.md, section 6).

The hub keeps only the SHA-256 of a code's secret. The first use binds the secret to the key that came with
it; the same secret and key again, within its time, get the same answer, because the first may have been
lost.
"""

import hmac
import json
import secrets
import ssl
from hashlib import sha256
from typing import Any

from toastbox.core.pairing import encode_code
from toastbox.core.plain import NONCE_SIZE, paired_key, prove_secret
from toastbox.hub.clock import Clock
from toastbox.hub.journal.base import Device, Folder, Invite, Journal
from toastbox.hub.keys import Authority
from toastbox.hub.refusal import Refusal, bad_request, busy

SECRET_SIZE = 10
KEY_SIZE = 32
MAX_TTL_S = 7 * 86400
MAX_BODY = 4096
MAX_NAME_BYTES = 64
_WRONG_LIMIT = 10  # wrong secrets from one address within a minute
_WINDOW_S = 60
_ADDRESSES = 4096


class WrongSecrets:
    """Counts wrong secrets for each address, in windows of a minute; bounded memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: dict[str, int] = {}
        self._until = 0.0

    def check(self, address: str) -> None:
        """Raises Refusal (429) for an address that has guessed too often."""
        now = self._clock.monotonic()
        if now >= self._until or len(self._wrong) >= _ADDRESSES:
            self._wrong.clear()
            self._until = now + _WINDOW_S
        if self._wrong.get(address, 0) >= _WRONG_LIMIT:
            raise busy(429, int(self._until - now) + 1)

    def note(self, address: str) -> None:
        self._wrong[address] = self._wrong.get(address, 0) + 1


class Pairing:
    """Invites and their use. For the writing thread; the caller flushes after each call."""

    def __init__(self, journal: Journal, authority: Authority, clock: Clock) -> None:
        self._journal = journal
        self._authority = authority
        self._clock = clock
        self._wrong = WrongSecrets(clock)

    def invite(self, folder: Folder, ttl_s: int, plain: bool = False) -> str:
        """A pairing code for a folder, good for ttl_s seconds. plain: its device may do without TLS, now and later."""
        secret, now_s = secrets.token_bytes(SECRET_SIZE), self._clock.now_s()
        self._journal.drop_invites(now_s)
        self._journal.put_invite(Invite(sha256(secret).digest(), folder.number, now_s + ttl_s, b"", "", plain))
        return encode_code(self._authority.fingerprint[:16], secret)

    @property
    def certificate(self) -> bytes:
        """The hub's certificate (DER), for who cannot read it from the TLS handshake. Its hash is in the code."""
        return ssl.PEM_cert_to_DER_cert(self._authority.certificate_pem.decode())

    def pair(self, body: bytes, address: str) -> tuple[bytes, int | None]:
        """The answer to a pairing request (JSON), and the folder that has a new device. Raises Refusal."""
        self._wrong.check(address)
        secret, name, key = _parse(body)
        invite = self._journal.invite(sha256(secret).digest())
        if invite is None or not self._is_open(invite) or invite.key not in (b"", key):
            self._wrong.note(address)
            raise Refusal("pairing", 403, "the code is wrong, used or expired: get a new one")
        if invite.answer:
            return invite.answer.encode(), None
        added = self._add(invite, name, key)
        certificate, private_key = self._authority.issue(added["device"], bytes.fromhex(added["folder"]))
        added["ca"] = self._authority.certificate_pem.decode()
        added["certificate"] = certificate.decode()
        added["private_key"] = private_key.decode()
        return self._use(invite, key, added), invite.folder

    def pair_plain(self, body: bytes, proof: str, address: str) -> tuple[bytes, bytes, int | None]:
        """As pair(), for a request that shows no secret but proves one; the key that both sides come to is second."""
        self._wrong.check(address)
        name, nonce = _parse_plain(body)
        invite = self._proved(body, proof)
        hub_nonce = secrets.token_bytes(NONCE_SIZE)
        if invite is not None and invite.answer:
            hub_nonce = bytes.fromhex(json.loads(invite.answer).get("nonce", ""))
        key = paired_key(invite.secret, nonce, hub_nonce) if invite else b""
        if invite is None or not self._is_open(invite) or invite.key not in (b"", key):
            self._wrong.note(address)
            raise Refusal("pairing", 403, "the code is wrong, used, expired, or not for plain HTTP: get a new one")
        if invite.answer:
            return invite.answer.encode(), key, None
        added = self._add(invite, name, key) | {"nonce": hub_nonce.hex()}
        return self._use(invite, key, added), key, invite.folder

    def _is_open(self, invite: Invite) -> bool:
        """Within its time. A clock that was set back by a year must not make a code good for a year."""
        return 0 < invite.expires_s - self._clock.now_s() <= MAX_TTL_S

    def _proved(self, body: bytes, proof: str) -> Invite | None:
        """The invite whose secret the request proves. There are as many as the owner made and did not use up."""
        found = None
        for invite in self._journal.plain_invites():
            if hmac.compare_digest(prove_secret(invite.secret, body), proof):
                found = invite
        return found

    def _use(self, invite: Invite, key: bytes, added: dict[str, Any]) -> bytes:
        answer = json.dumps(added)
        self._journal.put_invite(invite._replace(key=key, answer=answer))
        return answer.encode()

    def _add(self, invite: Invite, name: str, key: bytes) -> dict[str, Any]:
        folder = self._journal.read_folder(invite.folder)
        name = self._free_name(folder.number, name)
        device = Device(0, folder.number, name, key, self._clock.now_s(), False, "", bool(invite.plain))
        return {
            "device": self._journal.add_device(device),
            "name": name,
            "folder": folder.ident.hex(),
            "folder_name": folder.name,
            "epoch": str(self._journal.epoch()),
        }

    def _free_name(self, folder: int, name: str) -> str:
        free, count = name, 1
        while self._journal.name_taken(folder, free):
            count += 1
            free = f"{name} {count}"
        return free


def check_name(name: object) -> str:
    """name, if a device or a folder may be called that. Raises Refusal."""
    if not isinstance(name, str) or not name.isprintable() or "/" in name or name != name.strip():
        raise bad_request("a name is printable, without / and without space at its ends")
    if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
        raise bad_request(f"a name has 1 to {MAX_NAME_BYTES} bytes")
    return name


def _parse_plain(body: bytes) -> tuple[str, bytes]:
    try:
        request = json.loads(body)
        name, nonce = request["name"], bytes.fromhex(request["nonce"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad_request("not a pairing request") from error
    if len(nonce) != NONCE_SIZE:
        raise bad_request("not a pairing request")
    return check_name(name), nonce


def _parse(body: bytes) -> tuple[bytes, str, bytes]:
    try:
        request = json.loads(body)
        secret, key = bytes.fromhex(request["secret"]), bytes.fromhex(request["key"])
        name = request["name"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad_request("not a pairing request") from error
    if len(secret) != SECRET_SIZE or len(key) != KEY_SIZE:
        raise bad_request("not a pairing request")
    return secret, check_name(name), key
