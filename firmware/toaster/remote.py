"""The hub's requests (docs/SPEC.md, section 4), through one buffer that was made at the start."""

import json
from binascii import hexlify

from toastbox.core.auth import token
from toastbox.core.bundle import HEAD_SIZE, chunk_head
from toastbox.core.content import ITEM_SIZE
from toastbox.core.wire import decode_answer, decode_pull, encode_commit
from toaster.http import BadPeer, Connection, open_plain, open_stream

PAGE = 4096
LIST_ITEMS = 56


class Remote:
    """settings: hub, port, device, key, certificate (DER). buffer: bytearray, at least 8704 bytes."""

    def __init__(self, settings, buffer, opener=None):
        self._settings = settings
        self.buffer = buffer
        number, key = settings["device"], settings["key"]
        if settings.get("plain"):
            from toaster.plain import Signer

            self._signer = Signer(number, key)
        else:
            self._signer = None
            self._head = "Authorization: Toastbox %d:%s\r\n" % (number, token(key))
        self._opener = opener or self._open_stream
        self.connection = self.connect()

    def connect(self, head=""):
        """Another connection. head: lines sent with every request."""
        if self._signer is not None:
            from toaster.plain import SignedConnection

            return SignedConnection(self._opener, head, self._signer)
        return Connection(self._opener, self._head + head)

    def _open_stream(self):
        settings = self._settings
        if self._signer is not None:
            return open_plain(settings["hub"], settings["port"])
        return open_stream(settings["hub"], settings["port"], settings["certificate"])

    def close(self):
        self.connection.close()

    def folder(self):
        """{epoch, seq, live, ...}."""
        return json.loads(bytes(self._get("/v1/folder")))

    def pull(self, after, epoch, entries):
        """A Pull that looks into the buffer: to be decoded before the next request."""
        return decode_pull(self._get("/v1/pull?after=%d&epoch=%d&entries=%d&bytes=%d" % (after, epoch, entries, PAGE)))

    def chunk_list(self, content, first):
        """(items from number `first` on, number of items in all). Copied."""
        name = hexlify(content).decode()
        answer = self.connection.ask("GET", "/v1/list?content=%s&from=%d&count=%d" % (name, first, LIST_ITEMS))
        items = bytes(answer.all(self.buffer))
        if len(items) % ITEM_SIZE or (not items and first < answer.total):
            raise BadPeer("not a chunk list")
        return items, answer.total

    def missing(self, hashes):
        """Which of the hashes (bytes, 32 each) the hub lacks: a bitmap."""
        return bytes(self._post("/v1/missing", hashes))

    def upload(self, pieces, read):
        """Send chunks: [(hash, size, ...)]. read(piece): iterates over buffers with its bytes."""
        length = sum([HEAD_SIZE + piece[1] for piece in pieces])
        self.connection.ask("POST", "/v1/chunks", _Bundle(pieces, read), length).all(self.buffer)

    def fetch(self, items, take):
        """Ask for chunks by list items; take(digest, size, read into view) must use up each.

        Raises BadPeer when one is missing or is not what was asked for.
        """
        hashes = b"".join([items[at : at + 32] for at in range(0, len(items), ITEM_SIZE)])
        answer = self.connection.ask("POST", "/v1/fetch", hashes)
        if answer.status != 200:
            answer.all(self.buffer)
        try:
            answer.check(None)
            head = bytearray(HEAD_SIZE)
            for at in range(0, len(items), ITEM_SIZE):
                wanted = chunk_head(items[at : at + 32], int.from_bytes(items[at + 32 : at + 36], "little"))
                if answer.read(memoryview(head)) != HEAD_SIZE or head != wanted:
                    raise BadPeer("the hub has not this chunk")
                take(bytes(head[4:]), int.from_bytes(head[:4], "little"), answer.read)
            if answer.read(memoryview(head)):
                raise BadPeer("the hub sends more than was asked for")
            answer.done()
        except Exception:
            self.close()
            raise

    def commit(self, epoch, records, confirmed=False):
        """An Answer of core.wire."""
        return decode_answer(self._post("/v1/commit", encode_commit(epoch, 1 if confirmed else 0, records)))

    def set_hook(self, port, path):
        body = json.dumps({"port": port, "tls": False, "path": path}).encode()
        self.connection.ask("PUT", "/v1/webhook", body).all(self.buffer)

    def set_announced(self, port):
        """Have the hub announce this board on the LAN."""
        self.connection.ask("PUT", "/v1/announce", json.dumps({"port": port}).encode()).all(self.buffer)

    def _get(self, target):
        return self.connection.ask("GET", target).all(self.buffer)

    def _post(self, target, body):
        return self.connection.ask("POST", target, body).all(self.buffer)


class _Bundle:
    """Iterates over an upload, as often as it is asked to."""

    def __init__(self, pieces, read):
        self._pieces, self._read = pieces, read

    def __iter__(self):
        for piece in self._pieces:
            yield chunk_head(piece[0], piece[1])
            yield from self._read(piece)
