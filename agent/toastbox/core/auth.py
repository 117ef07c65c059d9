"""Keys and what they prove (docs/SPEC.md, sections 4 and 5). HMAC is RFC 2104 over the platform's SHA-256."""

import hashlib
from binascii import b2a_base64, hexlify

BLOCK_SIZE = 64
TOKEN_SIZE = 64
MAX_DEVICE = 0xFFFFFFFF
MAX_AUTHORIZATION = 128
MAX_SIGNATURES = 1024


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104; written out because MicroPython has no hmac module."""
    if len(key) > BLOCK_SIZE:
        key = hashlib.sha256(key).digest()
    key = key + bytes(BLOCK_SIZE - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in key]))
    inner.update(message)
    outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in key]))
    outer.update(inner.digest())
    return outer.digest()


def equal(one: bytes, other: bytes) -> bool:
    """Compare in a time that depends on the length only."""
    if len(one) != len(other):
        return False
    different = 0
    for at in range(len(one)):
        different |= one[at] ^ other[at]
    return different == 0


def token(key: bytes) -> str:
    """What a device shows with every request, derived from its key."""
    return hexlify(hmac_sha256(key, b"toastbox token 1")).decode()


def hook_key(key: bytes) -> bytes:
    """With which the hub signs posts to this device."""
    return hmac_sha256(key, b"toastbox webhook 1")


def parse_authorization(value: str) -> tuple[int, str] | None:
    """(device number, token) of an Authorization header; None unless it has exactly the right form."""
    if len(value) > MAX_AUTHORIZATION or value[:9] != "Toastbox ":
        return None
    number, colon, secret = value[9:].partition(":")
    if not colon or not 0 < len(number) <= 10 or number[0] == "0" or len(secret) != TOKEN_SIZE:
        return None
    if not consists_of(number, "0123456789") or not consists_of(secret, "0123456789abcdef"):
        return None
    return (int(number), secret) if int(number) <= MAX_DEVICE else None


def consists_of(text: str, allowed: str) -> bool:
    return all([character in allowed for character in text])


def sign_hook(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The webhook-signature header: Standard Webhooks, version 1."""
    signed = message_id.encode() + b"." + timestamp.encode() + b"." + body
    return "v1," + b2a_base64(hmac_sha256(key, signed)).decode().strip()


def verify_hook(key: bytes, message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures (separated by spaces) is right. The time is covered, and not judged."""
    wanted = sign_hook(key, message_id, timestamp, body).encode()
    return any([equal(given.encode(), wanted) for given in signatures[:MAX_SIGNATURES].split(" ")])
