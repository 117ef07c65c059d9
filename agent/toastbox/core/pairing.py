"""The pairing code (docs/SPEC.md, section 6): short enough for a serial line, long enough to trust."""

import hashlib

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PREFIX = "TBX1"
VERSION = 1
FINGERPRINT_SIZE = 16
SECRET_SIZE = 10
RAW_SIZE = 1 + FINGERPRINT_SIZE + SECRET_SIZE + 2
GROUP = 6
MAX_TEXT = 200


class CodeError(ValueError):
    """Not a pairing code, or one that was not copied right."""


def encode_code(fingerprint: bytes, secret: bytes) -> str:
    """fingerprint: first 16 bytes of SHA-256 of the hub's certificate; secret: 10 bytes."""
    if len(fingerprint) != FINGERPRINT_SIZE or len(secret) != SECRET_SIZE:
        raise CodeError("a fingerprint has 16 bytes and a secret 10")
    raw = bytes([VERSION]) + fingerprint + secret
    raw += hashlib.sha256(raw).digest()[:2]
    number = int.from_bytes(raw, "big")
    size = -(-RAW_SIZE * 8 // 5)
    text = "".join([ALPHABET[number >> 5 * at & 31] for at in range(size - 1, -1, -1)])
    return "-".join([PREFIX] + [text[at : at + GROUP] for at in range(0, size, GROUP)])


def decode_code(text: str) -> tuple[bytes, bytes]:
    """(fingerprint, secret). Raises CodeError, saying what is wrong."""
    kept = _plain(text)
    if kept[:4] != PREFIX:
        raise CodeError("a pairing code begins with TBX1")
    number = 0
    for character in kept[4:]:
        value = ALPHABET.find(character)
        if value < 0:
            raise CodeError("a pairing code has only digits and letters other than I, L, O, U")
        number = number << 5 | value
    if len(kept) - 4 != -(-RAW_SIZE * 8 // 5) or number >> RAW_SIZE * 8:
        raise CodeError("the pairing code is not complete")
    raw = number.to_bytes(RAW_SIZE, "big")
    if hashlib.sha256(raw[:-2]).digest()[:2] != raw[-2:]:
        raise CodeError("the pairing code has a typing error")
    if raw[0] != VERSION:
        raise CodeError("the pairing code is of a newer version: update this program")
    return raw[1 : 1 + FINGERPRINT_SIZE], raw[1 + FINGERPRINT_SIZE : -2]


def _plain(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise CodeError("the text is too long for a pairing code")
    return "".join([character for character in text.upper() if character not in " -\t\r\n"])
