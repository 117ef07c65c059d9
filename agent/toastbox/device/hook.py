"""The device's own HTTP server: the hub's posts, and chunks for LAN peers. Nothing else is answered.

    POST /notify    {"folder", "epoch", "seq"} signed by the hub (docs/SPEC.md, section 5). The signature is
    checked
                    first, then whether the head is news; a forged post is refused, a repeated one has no
                    effect. A head that was told of an epoch is remembered, so that a recording is worth at
                    most one pull.
    POST /v1/fetch  hashes in, a bundle out (docs/SPEC.md, sections 3 and 4), for those whose certificate
    was signed by
                    the hub for this folder, and whom the hub's list of devices still has.

Who may ask for what is judged on the head of the request, before its body is read.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from toastbox.core.auth import hook_key, verify_hook
from toastbox.core.bundle import chunk_head, missing_head
from toastbox.core.entry import HASH_SIZE
from toastbox.core.wire import MAX_HASHES
from toastbox.device.interfaces import Credentials
from toastbox.device.listener import BadHead, Connection, Head, Listener
from toastbox.device.members import Members
from toastbox.device.tls import member_number, peer_context
from toastbox.errors import HostilePeer

if TYPE_CHECKING:
    from microdot import Microdot, Request

NOTIFY_PATH = "/notify"
FETCH_PATH = "/v1/fetch"
MAX_NOTIFY = 4096
MAX_FETCH = MAX_HASHES * HASH_SIZE
MAX_BUNDLES = 4  # sent at once: each has a chunk in memory
PIECE_SIZE = 64 * 1024
REMEMBERED_EPOCHS = 8


class Hook:
    """Serves one folder. Everything runs in the event loop it was started in, but `load`, which gets a thread.

    on_head(epoch, seq): the hub says so; a hint. cursor(): (epoch, seq) reached. load(digest): a chunk this
    device has, or None; what it gives is sent as it is, the peer verifies it. tls: False serves posts only.
    """

    def __init__(
        self,
        credentials: Credentials,
        on_head: Callable[[int, int], None],
        cursor: Callable[[], tuple[int, int]],
        load: Callable[[bytes], bytes | None],
        members: Members,
        *,
        tls: bool = True,
    ) -> None:
        self._folder = credentials.folder
        self._key = hook_key(bytes.fromhex(credentials.key))
        self._on_head = on_head
        self._cursor = cursor
        self._load = load
        self._members = members
        self._told: dict[int, int] = {}
        self._listener = Listener(self._serve, peer_context(credentials, server=True) if tls else None)
        self._app = self._make_app()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="toastbox-lend")  # started by the first chunk
        self._bundles = 0
        self.served_chunks = 0
        self.refused = 0

    async def start(self, listening: socket.socket) -> None:
        """On a socket of `listen_at`, which is this object's from now on."""
        await self._listener.start(listening)

    async def stop(self) -> None:
        """Afterwards `load` is not called any more."""
        await self._listener.stop()
        self._reader.shutdown()

    # --- one request

    async def _serve(self, connection: Connection) -> None:
        from microdot import Request, Response
        from microdot.microdot import NoCaseDict

        try:
            head = await connection.read_head()
            body = await connection.read_body(head, self._limit(connection, head))
        except BadHead as error:
            self.refused += 1
            await Response("", error.status).write(as_stream(connection))
            return
        request = Request(
            self._app,
            (connection.address, 0),
            head.method,
            head.target,
            "1.1",
            NoCaseDict(head.headers),
            body=body,
        )
        response = await self._app.dispatch_request(request)
        self.refused += response.status_code >= 400
        await response.write(as_stream(connection))

    def _limit(self, connection: Connection, head: Head) -> int:
        """Bytes of body this connection may send for this target. BadHead: it may not ask at all."""
        if (head.method, head.target) == ("POST", NOTIFY_PATH):
            return MAX_NOTIFY
        if (head.method, head.target) != ("POST", FETCH_PATH):
            return 0
        try:
            number = member_number(connection.certificate, self._folder)
        except HostilePeer as error:
            raise BadHead(403) from error
        if not self._members.has(number):
            raise BadHead(403)
        return MAX_FETCH

    def _make_app(self) -> "Microdot":
        from microdot import Microdot, Request

        # Ours are judged before; microdot's own would refuse long lists of hashes.
        Request.max_content_length = Request.max_body_length = MAX_FETCH
        app = Microdot()
        app.post(NOTIFY_PATH)(self._notify)
        app.post(FETCH_PATH)(self._fetch)
        return app

    # --- what is answered

    async def _notify(self, request: "Request") -> tuple[str, int]:
        headers = (str(request.headers.get(f"webhook-{name}", "")) for name in ("id", "timestamp", "signature"))
        identifier, timestamp, signature = headers
        body = request.body or b""
        if not verify_hook(self._key, identifier, timestamp, body, signature):
            return "", 401
        try:
            epoch, seq = self._read_head(body)
        except (ValueError, KeyError, TypeError, RecursionError):
            return "", 400
        if self._is_news(epoch, seq):
            self._on_head(epoch, seq)
        return "", 204

    def _read_head(self, body: bytes) -> tuple[int, int]:
        """(epoch, seq). ValueError, KeyError, TypeError: it is not what a hub signs for this folder."""
        import json

        document = json.loads(body)
        epoch, seq = document["epoch"], document["seq"]
        if document["folder"] != self._folder or type(seq) is not int or not 0 <= seq < 2**64:
            raise ValueError("not of this folder")
        if not (isinstance(epoch, str) and epoch.isascii() and epoch.isdecimal() and int(epoch) < 2**64):
            raise ValueError("no epoch")
        return int(epoch), seq

    def _is_news(self, epoch: int, seq: int) -> bool:
        reached_epoch, reached_seq = self._cursor()
        if epoch == reached_epoch and seq <= reached_seq:
            return False
        if seq <= self._told.get(epoch, -1):
            return False
        self._told[epoch] = seq
        if len(self._told) > REMEMBERED_EPOCHS:
            del self._told[next(iter(self._told))]
        return True

    async def _fetch(self, request: "Request") -> Any:
        hashes = request.body
        if not hashes or len(hashes) % HASH_SIZE:
            return "", 400
        if self._bundles >= MAX_BUNDLES:
            return "", 503
        return self._bundle(hashes), {"Content-Type": "application/octet-stream"}

    async def _bundle(self, hashes: bytes) -> AsyncIterator[bytes | memoryview]:
        """One chunk in memory at a time; microdot takes the next piece when the last one is on its way."""
        loop = asyncio.get_running_loop()
        self._bundles += 1
        try:
            for start in range(0, len(hashes), HASH_SIZE):
                digest = hashes[start : start + HASH_SIZE]
                data = await loop.run_in_executor(self._reader, self._load, digest)
                if data is None:
                    yield missing_head(digest)
                    continue
                self.served_chunks += 1
                yield chunk_head(digest, len(data))
                for piece in range(0, len(data), PIECE_SIZE):
                    yield memoryview(data)[piece : piece + PIECE_SIZE]
        finally:
            self._bundles -= 1


def as_stream(connection: Connection) -> asyncio.StreamWriter:
    """microdot writes by `awrite` alone, which it adds to asyncio's streams itself."""
    return cast(asyncio.StreamWriter, connection)
