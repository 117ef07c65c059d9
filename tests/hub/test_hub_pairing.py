"""Pairing codes, and the certificates that come of them."""

import json
import os
import stat
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hubkit import Caller, Clock, Running, pair
from toastbox.core.pairing import decode_code
from toastbox.hub.home import Home, find_folder
from toastbox.hub.keys import open_authority, write_private
from toastbox.hub.refusal import Refusal


def invite(home: Home, ttl_s: int = 600) -> bytes:
    """A new code's secret."""
    code = home.pairing.invite(find_folder(home.service, ""), ttl_s)
    home.service.flush()
    fingerprint, secret = decode_code(code)
    assert fingerprint == home.authority.fingerprint[:16]
    return secret


def request(secret: bytes, name: str = "pi", key: bytes = b"k" * 32) -> bytes:
    return json.dumps({"secret": secret.hex(), "name": name, "key": key.hex()}).encode()


def use(home: Home, secret: bytes, name: str = "pi", key: bytes = b"k" * 32, address: str = "a") -> dict[str, str]:
    answer: dict[str, str] = json.loads(home.service.pair(home.pairing, request(secret, name, key), address))
    home.service.flush()
    return answer


def refused(home: Home, secret: bytes, **more: object) -> tuple[int, str]:
    with pytest.raises(Refusal) as refusal:
        use(home, secret, **more)  # type: ignore[arg-type]
    return refusal.value.status, refusal.value.code


def test_code_works_once(home: Home) -> None:
    secret = invite(home)
    first = use(home, secret)
    assert use(home, secret) == first, "the answer may have been lost"
    assert refused(home, secret, key=b"x" * 32) == (403, "pairing")
    assert len(list(home.service.journal.devices())) == 1


def test_code_expires(home: Home, clock: Clock) -> None:
    secret = invite(home, 600)
    clock.move(599)
    use(home, secret)
    clock.move(1)
    assert refused(home, secret) == (403, "pairing")
    late = invite(home, 600)
    clock.move(601)
    assert refused(home, late) == (403, "pairing")
    assert home.service.journal.invite(b"") is None


def test_clock_set_back_by_a_year_does_not_make_a_code_good_for_a_year(home: Home, clock: Clock) -> None:
    code = invite(home, 600)
    clock.wall -= 365 * 86400
    assert refused(home, code) == (403, "pairing")
    clock.wall += 365 * 86400
    assert use(home, code)["name"] == "pi"


def test_hub_keeps_no_secret(home: Home) -> None:
    secret = invite(home)
    home.service.journal._writer.execute("PRAGMA wal_checkpoint(FULL)")  # type: ignore[attr-defined]
    kept = b"".join(path.read_bytes() for path in Path(home.path).rglob("*") if path.is_file())
    assert secret not in kept and secret.hex().encode() not in kept


def test_wrong_secrets_are_counted_by_address(home: Home, clock: Clock) -> None:
    secret = invite(home)
    for _ in range(10):
        assert refused(home, os.urandom(10)) == (403, "pairing")
    assert refused(home, secret) == (429, "busy")
    assert use(home, secret, address="elsewhere")["name"] == "pi"
    clock.move(61)
    assert use(home, secret)["name"] == "pi"


def test_names_are_made_different(home: Home) -> None:
    names = [use(home, invite(home), key=bytes([n]) * 32)["name"] for n in range(3)]
    assert names == ["pi", "pi 2", "pi 3"]
    [first, *_] = home.service.journal.devices()
    home.service.revoke(first)
    home.service.flush()
    assert use(home, invite(home), key=b"n" * 32)["name"] == "pi", "a revoked device's name is free"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"secret": 1, "name": "x", "key": "00"}',
        b'{"secret": "00", "name": "x", "key": "' + b"00" * 32 + b'"}',
        b'{"secret": "' + b"00" * 10 + b'", "name": "x", "key": "' + b"00" * 31 + b'"}',
        *(
            json.dumps({"secret": "00" * 10, "name": name, "key": "00" * 32}).encode()
            for name in ("", " x", "a/b", "a\nb", "a\0", "x" * 65, "\ud800", 5, None)
        ),
    ],
)
def test_malformed_request_is_refused(home: Home, body: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        home.pairing.pair(body, "a")
    assert refusal.value.code == "bad-request"


def test_certificate_says_device_and_folder_and_is_signed_by_the_hub(home: Home) -> None:
    answer = use(home, invite(home))
    ours = x509.load_pem_x509_certificate(answer["ca"].encode())
    theirs = x509.load_pem_x509_certificate(answer["certificate"].encode())
    key = serialization.load_pem_private_key(answer["private_key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == theirs.public_key()
    theirs.verify_directly_issued_by(ours)
    [number] = theirs.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    [folder] = theirs.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert (number.value, folder.value) == (str(answer["device"]), answer["folder"])
    assert not theirs.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for certificate in (ours, theirs):
        assert certificate.not_valid_before_utc.year == 1970
        assert certificate.not_valid_after_utc.year >= 2046
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    usage = ours.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign and usage.digital_signature and not usage.crl_sign
    assert ours.not_valid_after_utc > datetime(2046, 1, 1, tzinfo=ours.not_valid_after_utc.tzinfo)


def test_authority_is_made_once(tmp_path: Path) -> None:
    first = open_authority(str(tmp_path))
    again = open_authority(str(tmp_path))
    assert first.certificate_pem == again.certificate_pem and len(first.fingerprint) == 32


def test_private_files_are_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    real = os.open

    def watched(path: str, flags: int, mode: int = 0o777) -> int:
        fd = real(path, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fd

    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", watched)
        write_private(str(tmp_path / "key"), b"secret")
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert (tmp_path / "key").read_bytes() == b"secret" and list(tmp_path.iterdir()) == [tmp_path / "key"]


def test_pairing_over_the_wire(hub: Running) -> None:
    code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 60))
    key = os.urandom(32)
    first = pair(hub.port, code, "pi", key)
    assert pair(hub.port, code, "pi", key).answer == first.answer
    stranger = Caller(hub.port)
    answered = stranger.ask("POST", "/v1/pair", request(decode_code(code)[1]))
    assert (answered.status, answered.json["code"]) == (403, "pairing")
    assert first.ask("GET", "/v1/folder").json["folder"] == first.answer["folder"]
    assert int(first.answer["epoch"]) == first.epoch()
