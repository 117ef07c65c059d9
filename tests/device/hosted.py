"""A device's HTTP server in a thread with its own loop, and clients that are as rude as a test wants."""

import asyncio
import hashlib
import http.client
import json
import socket
import ssl
import threading

from authority import FOLDER, authority
from toastbox.core.auth import hook_key, sign_hook
from toastbox.device.hook import Hook
from toastbox.device.interfaces import Credentials
from toastbox.device.listener import listen_at
from toastbox.device.members import Members
from toastbox.device.tls import peer_context


def members(*numbers: int, revoked: tuple[int, ...] = (), version: int = 1) -> Members:
    made = Members()
    peers = [{"number": n, "name": f"device {n}", "revoked": False} for n in numbers]
    peers += [{"number": n, "name": f"device {n}", "revoked": True} for n in revoked]
    made.update({"version": version, "peers": peers})
    return made


class Hosted:
    """A Hook of device 1 that listens on loopback. chunks: what it has; heads: what it was told."""

    def __init__(
        self, known: Members | None = None, *, tls: bool = True, credentials: Credentials | None = None
    ) -> None:
        self.credentials = credentials or authority().credentials("https://hub", 1)
        self.members = members(1, 2) if known is None else known
        self.chunks: dict[bytes, bytes] = {}
        self.heads: list[tuple[int, int]] = []
        self.cursor = (7, 5)
        self.on_load = lambda: None
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = self.do(self._start())

    def __enter__(self) -> "Hosted":
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self.hook.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def add(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        self.chunks[digest] = data
        return digest

    async def _start(self) -> int:
        self.hook = Hook(
            self.credentials,
            lambda epoch, seq: self.heads.append((epoch, seq)),
            lambda: self.cursor,
            self._load,
            self.members,
            tls=self._tls,
        )
        listening = listen_at("127.0.0.1", 0)
        await self.hook.start(listening)
        return int(listening.getsockname()[1])

    def _load(self, digest: bytes) -> bytes | None:
        self.on_load()
        return self.chunks.get(digest)

    # --- clients

    def connect(self, credentials: Credentials | None = None) -> socket.socket:
        """As a peer with these credentials, or as somebody without a certificate."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        if not self._tls:
            return raw
        if credentials:
            return peer_context(credentials, server=False).wrap_socket(raw)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(raw)

    def ask(self, method: str, target: str, body: bytes = b"", headers=None, credentials=None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.sock = self.connect(credentials)
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def say(self, data: bytes, credentials=None) -> bytes:
        """Send raw bytes; everything that is answered until the other side closes."""
        with self.connect(credentials) as sock:
            sock.sendall(data)
            heard = b""
            while piece := sock.recv(65536):
                heard += piece
            return heard

    def post(self, epoch: int, seq: int, folder: str = FOLDER, key: str | None = None, **changes: str) -> int:
        """A hub's post; changes: of the parts, after signing; sent: the body."""
        body = json.dumps({"folder": folder, "epoch": str(epoch), "seq": seq}).encode()
        signing = hook_key(bytes.fromhex(key or self.credentials.key))
        return self.post_body(body, signing, f"{epoch}:{seq}", **changes)

    def post_body(self, body: bytes, signing: bytes, identifier: str = "1:1", **changes: str) -> int:
        signed = {"id": identifier, "timestamp": "12", "signature": sign_hook(signing, identifier, "12", body)}
        signed |= changes
        sent = changes.get("sent", body)
        headers = {f"webhook-{name}": value for name, value in signed.items() if name != "sent"}
        return self.ask("POST", "/notify", sent, headers)[0]
