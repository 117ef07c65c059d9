"""The hub's requests (docs/SPEC.md, section 4), through one buffer that was made at the start."""

import json
from binascii import hexlify

from toastbox.core.auth import token
from toastbox.core.bundle import HEAD_SIZE, chunk_head
from toastbox.core.content import ITEM_SIZE
from toastbox.core.wire import decode_answer, decode_pull, encode_commit
from toaster.http import BadPeer, Connection, open_stream

PAGE = 4096
LIST_ITEMS = 56


class Remote:
    """settings: hub, port, device, key, certificate (DER). buffer: bytearray, at least 8704 bytes."""

    def __init__(self, settings, buffer, opener=None):
        self._settings = settings
        self.buffer = buffer
        number, key = settings["device"], settings["key"]
        head = "Authorization: Toastbox %d:%s\r\n" % (number, token(key))
        self.connection = Connection(opener or self.open_stream, head)
        self.head = head

    def open_stream(self):
        settings = self._settings
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
        self.connection.ask("POST", "/v1/chunks", _bundle(pieces, read), length).all(self.buffer)

    def fetch(self, items, take):
        """Ask for chunks by list items; take(digest, size, read into view) must use up each.

        Raises BadPeer when one is missing or is not what was asked for.
        """
        hashes = b"".join([items[at : at + 32] for at in range(0, len(items), ITEM_SIZE)])
        answer = self.connection.ask("POST", "/v1/fetch", hashes)
        if answer.status != 200:
            answer.all(self.buffer)
        try:
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

    def _get(self, target):
        return self.connection.ask("GET", target).all(self.buffer)

    def _post(self, target, body):
        return self.connection.ask("POST", target, body).all(self.buffer)


def _bundle(pieces, read):
    for piece in pieces:
        yield chunk_head(piece[0], piece[1])
        yield from read(piece)
