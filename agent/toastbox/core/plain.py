"""Requests without TLS, for devices that lack the memory for it (docs/SPEC.md, section 16): what is signed, and how.

Everything can be read on the way; nothing can be changed, made up, or sent twice. Neither the device key nor a
pairing code's secret nor anything derived from them but proofs is ever sent.
"""

from binascii import hexlify

from toastbox.core.auth import consists_of, hmac_sha256

MAX_COUNTER = (1 << 63) - 1
NONCE_SIZE = 16
COUNTER_STATUS = 428
STREAMED = "-"  # in the place of a body's hash: the body proves itself, or is a hint
_MAX_VALUE = 256


class Claim:
    """What an Authorization header says: device number, counter, hex SHA-256 of the body, proof."""

    __slots__ = ("body", "counter", "device", "proof")

    def __init__(self, device: int, counter: int, body: str, proof: str) -> None:
        self.device = device
        self.counter = counter
        self.body = body
        self.proof = proof


def plain_key(key: bytes) -> bytes:
    """With which a device and the hub sign to each other; the device key does nothing else here."""
    return hmac_sha256(key, b"toastbox plain 1")


def sign_request(key: bytes, method: str, target: str, counter: int, size: int, body: str) -> str:
    """size, body: bytes of the body, and its SHA-256 in hex."""
    return _sign(key, "toastbox plain request 1\n%s %s\n%d\n%d\n%s" % (method, target, counter, size, body))


def sign_answer(key: bytes, counter: int, status: int, total: int, body: str) -> str:
    """counter: the request's. total: the field Toastbox-Chunks, 0 without. body: as above, or STREAMED."""
    return _sign(key, "toastbox plain answer 1\n%d\n%d\n%d\n%s" % (counter, status, total, body))


def authorization(device: int, counter: int, body: str, proof: str) -> str:
    return "Toastbox-Plain %d:%d:%s:%s" % (device, counter, body, proof)


def parse_claim(value: str) -> Claim | None:
    """The claim of an Authorization header; None unless it has exactly the right form."""
    parts = value[15:].split(":")
    if len(value) > _MAX_VALUE or value[:15] != "Toastbox-Plain " or len(parts) != 4:
        return None
    for number, most in ((parts[0], 10), (parts[1], 19)):
        if not 0 < len(number) <= most or number[0] == "0" or not consists_of(number, "0123456789"):
            return None
    for digest in parts[2:]:
        if len(digest) != 64 or not consists_of(digest, "0123456789abcdef"):
            return None
    device, counter = int(parts[0]), int(parts[1])
    return Claim(device, counter, parts[2], parts[3]) if device < 1 << 32 and counter <= MAX_COUNTER else None


# --- pairing; secret: SHA-256 of the code's secret, which is what the hub keeps


def prove_secret(secret: bytes, body: bytes) -> str:
    """That who made a pairing request has the code."""
    return hexlify(hmac_sha256(secret, b"toastbox plain pair 1\n" + body)).decode()


def paired_key(secret: bytes, device_nonce: bytes, hub_nonce: bytes) -> bytes:
    """The device key that both sides come to."""
    return hmac_sha256(secret, b"toastbox plain key 1\n" + device_nonce + hub_nonce)


def prove_paired(key: bytes, body: bytes) -> str:
    """That who answered has the code as well."""
    return hexlify(hmac_sha256(key, b"toastbox plain paired 1\n" + body)).decode()


def _sign(key: bytes, text: str) -> str:
    return hexlify(hmac_sha256(key, text.encode())).decode()
