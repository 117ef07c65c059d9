"""Asking the hub without TLS: every request is signed, every answer is checked (docs/SPEC.md, section 16).

Who listens can read everything and can change nothing. Loaded only by a board that is told so (`set hub http://...`),
because its build has no TLS or no memory for it, and let in only if the hub's owner allows that for this very board.

A counter rises with each request. It is kept in blocks, so that flash is written once in a thousand requests: what
is on flash is higher than any counter that was used, and after a power cut it goes on from there.
"""

import hashlib
import json
from binascii import hexlify

import store

from toastbox.core.auth import equal
from toastbox.core.plain import COUNTER_STATUS, STREAMED, authorization, plain_key, sign_answer, sign_request
from toaster.http import Answer, BadPeer, Connection

COUNTER = "conf/counter"
BLOCK = 1024
MAX_PROBLEM = 512


class Signer:
    """What all connections of this board share: its number, its key, its counter."""

    def __init__(self, device, key):
        self.device, self.key = device, plain_key(key)
        self.counter = self._ceiling = int(store.read(COUNTER) or b"0")

    def next(self):
        """A counter that was never used. Raises OSError: flash is full or broken, and none can be used."""
        if self.counter >= self._ceiling:
            self._reserve(self.counter)
        self.counter += 1
        return self.counter

    def above(self, used):
        """The hub has seen this one: go on behind it."""
        if used > self.counter:
            self._reserve(used)
            self.counter = used

    def _reserve(self, start):
        store.write(COUNTER, b"%d" % (start + BLOCK))
        self._ceiling = start + BLOCK


class SignedConnection(Connection):
    def __init__(self, open_, head, signer):
        super().__init__(open_, head)
        self._signer = signer
        self._used = 0

    def ask(self, method, target, body=b"", length=None):
        """As Connection's. Once more, when the hub has seen a higher counter: it remembers less exactly than we do."""
        answer = super().ask(method, target, body, length)
        if answer.status == COUNTER_STATUS:
            self._signer.above(answer.counter())
            answer = super().ask(method, target, body, length)
        return answer

    def proof(self, method, target, body, size):
        hashed = hashlib.sha256()
        for piece in (body,) if isinstance(body, (bytes, bytearray)) else body:
            hashed.update(piece)
        digest = hexlify(hashed.digest()).decode()
        signer = self._signer
        self._used = counter = signer.next()
        proof = sign_request(signer.key, method, target, counter, size, digest)
        return "Authorization: %s\r\n" % authorization(signer.device, counter, digest, proof)

    def answer(self):
        return SignedAnswer(self, self._signer.key, self._used)


class SignedAnswer(Answer):
    """An answer to the request with this counter. Its body is believed after check()."""

    def __init__(self, connection, key, counter):
        self._key, self._counter = key, counter
        self._proof = b""
        super().__init__(connection)

    def _take(self, name, value):
        if name == b"toastbox-signature":
            self._proof = value
        super()._take(name, value)

    def check(self, body):
        digest = STREAMED if body is None else hexlify(hashlib.sha256(body).digest()).decode()
        right = sign_answer(self._key, self._counter, self.status, self.total, digest)
        if not equal(self._proof, right.encode()):
            self._connection.close()
            if self._proof:
                raise BadPeer("an answer is not the hub's")
            raise BadPeer("the hub answered %d, not signed: is this board allowed plain HTTP?" % self.status)

    def counter(self):
        """The highest counter that the hub has seen."""
        body = bytearray(MAX_PROBLEM)
        view = memoryview(body)[: self.read(memoryview(body))]
        self.check(view)
        self.done()
        return int(json.loads(bytes(view))["counter"])
