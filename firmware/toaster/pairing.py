"""Pairing over TLS: the certificate is asked for, trusted when the code says so, and only then the secret is sent.

MicroPython does not show the certificate of a handshake, so the hub hands it out (GET /v1/certificate).
"""

import hashlib
import json
import os
from binascii import hexlify

from toastbox.core.pairing import FINGERPRINT_SIZE, decode_code
from toaster.http import BadPeer, Connection, open_stream
from toaster.settings import paired


def pair(code, host, port, name, buffer):
    """Settings of a paired device. Raises CodeError, BadPeer (not the hub of the code), Refused, OSError."""
    fingerprint, secret = decode_code(code)
    stranger = Connection(lambda: open_stream(host, port, None), "")
    certificate = bytes(stranger.ask("GET", "/v1/certificate").all(buffer))
    stranger.close()
    if hashlib.sha256(certificate).digest()[:FINGERPRINT_SIZE] != fingerprint:
        raise BadPeer("this is not the hub that made the code")
    key = os.urandom(32)
    connection = Connection(lambda: open_stream(host, port, certificate), "")
    request = {"secret": hexlify(secret).decode(), "name": name, "key": hexlify(key).decode()}
    answer = json.loads(bytes(connection.ask("POST", "/v1/pair", json.dumps(request).encode()).all(buffer)))
    connection.close()
    settings = paired(host, port, fingerprint, answer, key)
    settings["certificate"] = certificate
    return settings
