"""What the hub's tests share: a service on a folder, devices, commits, and a hub that serves on a thread."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from toastbox.config import HubSettings
from toastbox.core.auth import token
from toastbox.core.bundle import chunk_head
from toastbox.core.content import chunk_item, content_id
from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, Entry
from toastbox.core.pairing import decode_code
from toastbox.core.wire import Answer, decode_answer, decode_pull, default_form, encode_commit, encode_entry
from toastbox.hub import control
from toastbox.hub.home import Home, find_folder
from toastbox.hub.journal.base import Device
from toastbox.hub.server import HubServer
from toastbox.hub.service import HubService


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000
        self.mono = 1000.0

    def now_s(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def move(self, seconds: int) -> None:
        self.wall += seconds
        self.mono += seconds


def add_device(service: HubService, name: str = "pi", folder: str = "") -> Device:
    """A device that was paired without a code; its key is its name's hash."""
    number = find_folder(service, folder).number
    key = sha256(name.encode()).digest()
    added = service.journal.add_device(Device(0, number, name, key, 0, False, ""))
    service.flush()
    return service.authenticate(added, token(key))


def file(path: str, data: bytes, seq: int = 0, **more: Any) -> Entry:
    """A file of at most one chunk. seq: the revision it replaces."""
    return Entry(path.encode(), FILE, seq=seq, size=len(data), content=sha256(data).digest(), **more)


def big_file(path: str, pieces: list[bytes], seq: int = 0) -> Entry:
    """A file of several chunks."""
    chunks = b"".join(chunk_item(sha256(piece).digest(), len(piece)) for piece in pieces)
    size = sum(len(piece) for piece in pieces)
    return Entry(path.encode(), FILE, seq=seq, size=size, content=content_id(chunks, size), chunks=chunks)


def folder(path: str, seq: int = 0) -> Entry:
    return Entry(path.encode(), FOLDER, seq=seq)


def link(path: str, target: str, seq: int = 0) -> Entry:
    return Entry(path.encode(), LINK, seq=seq, content=target.encode())


def deletion(path: str, seq: int) -> Entry:
    return Entry(path.encode(), DELETED, seq=seq)


def body_of(service: HubService, entries: list[Entry], flags: int = 0) -> bytes:
    records = [encode_entry(entry, default_form(entry)) for entry in entries]
    return encode_commit(service.epoch, flags, records)


def commit(service: HubService, device: Device, *entries: Entry, flags: int = 0) -> list[tuple[int, int]]:
    """(status, seq) of each; flushed."""
    answer: Answer = decode_answer(service.commit(device, body_of(service, list(entries), flags)))
    service.flush()
    return answer.results


def put(service: HubService, device: Device, *datas: bytes) -> None:
    """Store chunks."""
    service.store(device, [(sha256(data).digest(), data) for data in datas])


def pulled(service: HubService, device: Device, after: int = 0, entries: int = 4096, size: int = 1 << 20) -> Any:
    return decode_pull(service.pull(device, after, service.epoch if after else 0, entries, size))


def live(service: HubService, device: Device) -> dict[str, int]:
    """Path to seq of all live entries, by pulling page after page."""
    found, cursor, head = {}, 0, 1
    while cursor < head:
        page = pulled(service, device, cursor, entries=3)
        cursor, head = page.cursor, page.head
        for record in page.records():
            found.pop(record.entry.path.decode(), None)
            if record.entry.kind != DELETED:
                found[record.entry.path.decode()] = record.entry.seq
    return found


def bundle(*datas: bytes) -> bytes:
    return b"".join(chunk_head(sha256(data).digest(), len(data)) + data for data in datas)


class Running:
    """A hub that serves on a thread. home: its data folder; port: on 127.0.0.1."""

    def __init__(self, home: Home, settings: HubSettings, at: str) -> None:
        self.home = home
        self._at = at
        self.service = home.service
        self._settings = settings
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.home.close()

    def device(self, name: str = "pi") -> "Caller":
        """A paired device, by the real way."""
        code = self.server.writer.call(lambda: self.home.pairing.invite(find_folder(self.service, ""), 600))
        return pair(self.port, code, name)

    def twice(self) -> list[str]:
        """Names of devices that seem to be two."""
        found: list[dict[str, Any]] = control.ask(self.home.path, "devices", {})
        return [each["name"] for each in found if each["twice"]]

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.server = HubServer(self.home, self._settings)
        self.port = await self.server.start(self._at)
        self._ready.set()
        await self._ended.wait()
        await self.server.stop()


@contextlib.contextmanager
def running(data: Path, at: str = "127.0.0.1:0", **settings: Any) -> Iterator[Running]:
    hub = Running(Home(str(data)), HubSettings(**settings), at)
    try:
        yield hub
    finally:
        hub.stop()


class Answered:
    """An answer: status, headers, body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """A device that speaks HTTP by hand. authorization: the header's value, None for none."""

    def __init__(self, port: int, number: int = 0, key: bytes = b"", authorization: str | None = None) -> None:
        self.port = port
        self.number = number
        self.key = key
        self.authorization = authorization or (f"Toastbox {number}:{token(key)}" if key else None)
        self.answer: dict[str, Any] = {}
        self._connection: http.client.HTTPSConnection | None = None

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answered:
        """One request on a kept connection, which is made anew if the hub has closed it."""
        if self._connection is None or self._connection.sock is None:
            self.close()
            self._connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=no_check())
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        try:
            self._connection.request(method, target, body, headers)
            return Answered(self._connection.getresponse())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def upload(self, *datas: bytes) -> Answered:
        return self.ask("POST", "/v1/chunks", bundle(*datas))

    def commit(self, epoch: int, *entries: Entry) -> list[tuple[int, int]]:
        records = [encode_entry(entry, default_form(entry)) for entry in entries]
        answered = self.ask("POST", "/v1/commit", encode_commit(epoch, 0, records))
        assert answered.status == 200, answered.body
        return decode_answer(answered.body).results

    def epoch(self) -> int:
        return int(self.ask("GET", "/v1/folder").json["epoch"])

    def events(self, **headers: str) -> "Stream":
        return Stream(self, headers)


class Stream:
    """An open event stream."""

    def __init__(self, caller: Caller, headers: dict[str, str]) -> None:
        self.sock = connect(caller.port)
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        lines.append(f"Authorization: {caller.authorization}\r\n")
        self.sock.sendall(f"GET /v1/events HTTP/1.1\r\nHost: hub\r\n{''.join(lines)}\r\n".encode())
        self.seen = b""

    def wait_for(self, wanted: bytes) -> bytes:
        """All that has come, up to and with wanted. Raises EOFError if the stream ends before."""
        while wanted not in self.seen:
            try:
                data = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                raise EOFError(self.seen)
            self.seen += data
        return self.seen

    def close(self) -> None:
        self.sock.close()


def connect(port: int, timeout_s: float = 20) -> ssl.SSLSocket:
    return no_check().wrap_socket(socket.create_connection(("127.0.0.1", port), timeout_s))


def no_check() -> ssl.SSLContext:
    """The hub under test is our own process: its certificate is not what these tests are about."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pair(port: int, code: str, name: str, key: bytes | None = None) -> Caller:
    """Use a pairing code; answer holds what the hub said."""
    key = key or os.urandom(32)
    _, secret = decode_code(code)
    request = json.dumps({"secret": secret.hex(), "name": name, "key": key.hex()}).encode()
    stranger = Caller(port)
    answered = stranger.ask("POST", "/v1/pair", request)
    stranger.close()
    assert answered.status == 200, answered.body
    caller = Caller(port, answered.json["device"], key)
    caller.answer = answered.json
    return caller
