"""Pairing without TLS: neither the code's secret nor the key is sent, only proofs of them (docs/SPEC.md, section 16).

The hub proves that it has the code as well, which is what the certificate's fingerprint is for over TLS.
"""

import hashlib
import json
import os
from binascii import hexlify, unhexlify

from toastbox.core.auth import equal
from toastbox.core.pairing import decode_code
from toastbox.core.plain import NONCE_SIZE, paired_key, prove_paired, prove_secret
from toaster.http import Answer, BadPeer, Connection, open_plain
from toaster.settings import paired


class ProvedAnswer(Answer):
    """An answer and the proof that came with it."""

    proof = b""

    def _take(self, name, value):
        if name == b"toastbox-signature":
            self.proof = value
        super()._take(name, value)


class Pairer(Connection):
    def answer(self):
        return ProvedAnswer(self)


def pair_plainly(code, host, port, name, buffer):
    """Settings of a paired device. Raises CodeError, BadPeer (not the hub of the code), Refused, OSError."""
    fingerprint, secret = decode_code(code)
    secret = hashlib.sha256(secret).digest()
    nonce = os.urandom(NONCE_SIZE)
    body = json.dumps({"name": name, "nonce": hexlify(nonce).decode()}).encode()
    head = "Authorization: Toastbox-Pair %s\r\n" % prove_secret(secret, body)
    connection = Pairer(lambda: open_plain(host, port), head)
    answer = connection.ask("POST", "/v1/plain/pair", body)
    found = bytes(answer.all(buffer))
    connection.close()
    try:
        told = json.loads(found)
        key = paired_key(secret, nonce, unhexlify(told["nonce"]))
    except (ValueError, KeyError, TypeError):
        raise BadPeer("this is not the hub that made the code")
    if not equal(answer.proof, prove_paired(key, found).encode()):
        raise BadPeer("this is not the hub that made the code")
    return paired(host, port, fingerprint, told, key)
