"""The hub as a device sees it, over HTTP (docs/SPEC.md, sections 4 and 6)."""

import json
import secrets
import time
import urllib.parse
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPResponse
from typing import Any, TypeVar

from toastbox.compression import CODING, SIZE_HEADER, deflate_body, inflate, inflate_body, pack
from toastbox.core.ahead import MAX_ANSWER
from toastbox.core.auth import token
from toastbox.core.bundle import BundleReader
from toastbox.core.entry import HASH_SIZE
from toastbox.core.pairing import decode_code
from toastbox.core.wire import MAX_CHUNK, MAX_HASHES
from toastbox.device.channel import ANSWER_TIMEOUT_S, Channel
from toastbox.device.interfaces import Buffer, Credentials, FolderInfo
from toastbox.device.pace import Pace
from toastbox.device.throttle import Throttle
from toastbox.device.tls import Pin, certificate_bytes, check_pin, hub_context
from toastbox.device.whereabouts import Whereabouts
from toastbox.errors import (
    AccessDenied,
    EpochChanged,
    HostilePeer,
    HubRefused,
    HubUnreachable,
    ToastboxError,
    WrongUse,
)

# What an honest hub's answer never exceeds, in bytes.
SLACK = 64 * 1024  # pull: the record that did not fit, its partner, the head
COMMIT_ANSWER_LIMIT = 128 * 1024  # 4096 results of 16 bytes and the head
SMALL_JSON_LIMIT = 64 * 1024
LONG_JSON_LIMIT = 8 * 1024 * 1024  # log, versions, peers: ten thousand devices and more
LIST_ITEM_SIZE = 36
PROBLEM_LIMIT = 16 * 1024
TITLE_LIMIT = 200  # characters of a hub's words shown to a person

T = TypeVar("T")

NO_HEADERS: Mapping[str, str] = {}
ACCEPT = {"Accept-Encoding": CODING}
PAIR_ATTEMPTS = 3
BUSY = (429, 500, 502, 503, 504)


class HubClient:
    """`Remote` over one kept connection. One request at a time; `close` may come from another thread.

    compress: "auto", "always" or "never", for both directions; a hub that does not inflate is sent nothing compressed.
    where: places to look for the hub besides the one it was paired at.
    """

    def __init__(
        self,
        credentials: Credentials,
        up: Throttle | None = None,
        down: Throttle | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        compress: str = "auto",
        where: Whereabouts | None = None,
    ) -> None:
        pin = Pin(certificate_bytes(credentials.ca))
        self._channel = open_channel(credentials.url, pin, up=up, down=down, timeout_s=timeout_s, where=where)
        self._headers = {"Authorization": authorization(credentials)}
        self._up = Pace(compress)
        self._down = Pace(compress)
        self._hub_inflates = False  # as its last answer said
        self._wanted = self._wanted_told = ""  # mark of what the hub lacks: the last one, and that of the last list

    # --- the folder

    def folder(self) -> FolderInfo:
        document = self._json("GET", "/v1/folder", limit=SMALL_JSON_LIMIT)
        device = take(document, "device", dict)
        return FolderInfo(
            take(document, "folder", str),
            take(document, "name", str),
            decimal(document, "epoch"),
            take(document, "seq", int),
            take(document, "live", int),
            take(device, "number", int),
            take(device, "name", str),
        )

    def pull(self, after: int, epoch: int, entries: int, nbytes: int) -> bytes:
        query = f"after={after}&epoch={epoch}&entries={entries}&bytes={nbytes}"
        response = self._open("GET", f"/v1/pull?{query}", headers=ACCEPT if self._down.compress() else {})
        self._wanted = response.getheader("Toastbox-Wanted", "")
        return self._inflated(response, self._channel.read(response, nbytes + SLACK), nbytes + SLACK)

    def commit(self, body: Buffer) -> bytes:
        packed = deflate_body(body) if self._packs() else None
        headers = {"Content-Encoding": CODING, SIZE_HEADER: str(len(body))} if packed else {}
        response = self._open("POST", "/v1/commit", [packed or body], headers=headers)
        return self._channel.read(response, COMMIT_ANSWER_LIMIT)

    # --- chunks

    def missing(self, hashes: Buffer) -> bytes:
        size = (len(hashes) // HASH_SIZE + 7) // 8
        bitmap = self._request("POST", "/v1/missing", [hashes], limit=size)
        if len(bitmap) != size:
            raise HostilePeer(f"the hub's list of missing chunks has {len(bitmap)} bytes instead of {size}")
        return bitmap

    def upload(self, parts: Sequence[Buffer], total: int) -> int:
        """total: checked against the parts (heads and data in turn), as a bundle has no end mark but HTTP's."""
        found = sum(map(len, parts))
        if found != total:
            raise ValueError(f"a bundle of {found} bytes was announced as {total}")
        began, packed = time.monotonic(), self._packs()
        if packed:
            chunks = zip(parts[::2], parts[1::2], strict=True)
            parts = [part for run in pack((bytes(head[4:]), data) for head, data in chunks) for part in run]
        work_s, sent = time.monotonic() - began, sum(map(len, parts))
        stored = take(self._json("POST", "/v1/chunks", parts, limit=SMALL_JSON_LIMIT), "stored", int)
        self._up.moved(packed, total, sent, time.monotonic() - began - work_s, work_s)
        return stored

    def fetch(self, hashes: Buffer) -> Iterator[tuple[bytes, bytes | memoryview | None]]:
        packed = self._down.compress()
        response = self._open("POST", "/v1/fetch", [hashes], headers=ACCEPT if packed else {})
        windows = _Timed(self._channel.read_windows(response))
        inflater = _TimedInflater()
        total = 0
        try:
            for digest, data in receive_bundle(self._channel, windows, bytes(hashes), inflater if packed else None):
                total += len(data or b"")
                yield digest, data
        finally:
            windows.close()
        self._down.moved(packed, total, windows.size, windows.waited_s, inflater.worked_s)

    def chunk_list(self, content: bytes, start: int, count: int) -> tuple[bytes, int]:
        response = self._open("GET", f"/v1/list?content={content.hex()}&from={start}&count={count}")
        items = self._channel.read(response, count * LIST_ITEM_SIZE)
        total = response.getheader("Toastbox-Chunks", "")
        if len(items) % LIST_ITEM_SIZE or not _is_decimal(total):
            raise HostilePeer("the hub sent a damaged chunk list")
        return items, int(total)

    def tell_ahead(self, run: Buffer) -> None:
        self._request("POST", "/v1/ahead", [run], limit=SMALL_JSON_LIMIT)

    def ahead(self, after: int) -> bytes:
        return self._request("GET", f"/v1/ahead?after={after}", limit=MAX_ANSWER)

    def wanted(self) -> bytes:
        if not self._wanted or self._wanted == self._wanted_told:
            return b""
        hashes = self._request("GET", "/v1/wanted", limit=MAX_HASHES * HASH_SIZE)
        if len(hashes) % HASH_SIZE:
            raise HostilePeer("the hub's list of what it lacks is cut off")
        self._wanted_told = self._wanted
        return hashes

    def rest(self) -> None:
        """End the connection: an open one takes memory of the hub."""
        self._channel.drop()

    # --- push, people

    def peers(self) -> dict[str, Any]:
        """JSON as in the specification; read it with peers.read_members."""
        return self._json("GET", "/v1/peers", limit=LONG_JSON_LIMIT)

    def put_webhook(self, port: int, tls: bool, path: str) -> None:
        """Ask the hub to post changes to this device, at the address this request comes from."""
        body = json.dumps({"port": port, "tls": tls, "path": path}).encode()
        self._request("PUT", "/v1/webhook", [body], limit=SMALL_JSON_LIMIT)

    def delete_webhook(self) -> None:
        self._request("DELETE", "/v1/webhook", limit=SMALL_JSON_LIMIT)

    def log(self, before: int = 0, count: int = 100) -> list[dict[str, Any]]:
        """Newest entries first; before: 0 for the newest of all, else the seq to go on before."""
        query = f"count={count}" + (f"&before={before}" if before else "")
        return _entries(self._json("GET", f"/v1/log?{query}", limit=LONG_JSON_LIMIT))

    def versions(self, path: bytes) -> list[dict[str, Any]]:
        quoted = urllib.parse.quote_from_bytes(path, safe="")
        return _entries(self._json("GET", f"/v1/versions?path={quoted}", limit=LONG_JSON_LIMIT))

    def restore(self, path: bytes, seq: int) -> int:
        """Make the content of an old entry the newest again; its new seq."""
        body = json.dumps({"path": path.decode(), "seq": seq}).encode()
        return take(self._json("POST", "/v1/restore", [body], limit=SMALL_JSON_LIMIT), "seq", int)

    # --- the connection

    @property
    def bytes_sent(self) -> int:
        """Bytes on the wire, acknowledged by the hub."""
        return self._channel.counters()[0]

    @property
    def bytes_received(self) -> int:
        return self._channel.counters()[1]

    def close(self) -> None:
        """From any thread: a request in progress ends with HubUnreachable within moments."""
        self._channel.close()

    def _open(
        self, method: str, target: str, parts: Sequence[Buffer] = (), *, headers: Mapping[str, str] = NO_HEADERS
    ) -> HTTPResponse:
        response = self._channel.exchange(method, target, {**self._headers, **headers}, parts)
        if response.status not in (200, 204):
            self._hub_inflates = False  # whatever was wrong: the next time it is sent plain
            raise refusal(response.status, self._channel.read(response, PROBLEM_LIMIT))
        if target != "/v1/fetch":
            self._hub_inflates = response.getheader("Accept-Encoding") == CODING
        return response

    def _request(self, method: str, target: str, parts: Sequence[Buffer] = (), *, limit: int) -> bytes:
        return self._channel.read(self._open(method, target, parts), limit)

    def _packs(self) -> bool:
        return self._hub_inflates and self._up.compress()

    def _inflated(self, response: HTTPResponse, body: bytes, limit: int) -> bytes:
        """The body of an answer, out of its coding; limit: bytes."""
        if response.getheader("Content-Encoding") is None:
            return body
        size = response.getheader(SIZE_HEADER, "")
        try:
            if not _is_decimal(size) or int(size) > limit:
                raise ValueError("its size is not said, or too large")
            return inflate_body(body, int(size))
        except ValueError as error:
            raise HostilePeer(f"{self._channel.place} sent an answer that cannot be inflated: {error}") from error

    def _json(self, method: str, target: str, parts: Sequence[Buffer] = (), *, limit: int) -> dict[str, Any]:
        return parse_document(self._request(method, target, parts, limit=limit))


def pair(url: str, code: str, name: str, key: bytes = b"") -> Credentials:
    """Use up a pairing code at the hub. key: of an earlier try whose answer was lost; made here when empty.

    WrongUse: the code or the URL is mistyped. AccessDenied: the hub does not know the code (any more).
    HostilePeer: the hub is not the one that printed the code.
    """
    try:
        fingerprint, secret = decode_code(code)
    except ValueError as error:
        raise WrongUse(f"this is not a pairing code ({error}): copy it whole, or ask for another") from error
    key = key or secrets.token_bytes(32)
    body = json.dumps({"secret": secret.hex(), "name": name, "key": key.hex()}).encode()
    channel = open_channel(url, Pin(fingerprint=fingerprint))
    try:
        answer = _ask_to_pair(channel, body)
    finally:
        channel.drop()
    credentials = _credentials(url, key, answer)
    if not Pin(fingerprint=fingerprint).matches(certificate_bytes(credentials.ca)):
        raise HostilePeer("the hub sent a certificate other than its own")
    return credentials


def _ask_to_pair(channel: Channel, body: bytes) -> dict[str, Any]:
    """The same secret and key get the same answer, so a lost one is asked for again."""
    for attempt in range(1, PAIR_ATTEMPTS + 1):
        with suppress(*((HubUnreachable,) if attempt < PAIR_ATTEMPTS else ())):
            response = channel.exchange("POST", "/v1/pair", {}, [body])
            data = channel.read(response, SMALL_JSON_LIMIT)
            if response.status == 200:
                return parse_document(data)
            raise refusal(response.status, data)
    raise AssertionError("the last attempt returns or raises")


def _credentials(url: str, key: bytes, answer: dict[str, Any]) -> Credentials:
    text = {
        name: take(answer, name, str) for name in ("name", "folder", "folder_name", "ca", "certificate", "private_key")
    }
    return Credentials(url=url.rstrip("/"), device=take(answer, "device", int), key=key.hex(), **text)


# --- shared with the event stream and with peers


def open_channel(url: str, pin: Pin, **settings: Any) -> Channel:
    """A channel to https://HOST[:PORT]. WrongUse: the URL is anything else. settings: see Channel."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        host.encode("idna")
    except ValueError as error:
        raise WrongUse(f"{url!r} is no address of a hub ({error})") from error
    if parts.scheme != "https" or not host or parts.path not in ("", "/"):
        raise WrongUse(f"{url!r} is no address of a hub: write https://HOST:PORT")
    return Channel(host, port, hub_context(), lambda secured: check_pin(secured, pin), **settings)


def authorization(credentials: Credentials) -> str:
    return f"Toastbox {credentials.device}:{token(bytes.fromhex(credentials.key))}"


def refusal(status: int, body: bytes) -> ToastboxError:
    """The error that a refusal is (RFC 9457 problem, or whatever a proxy between says)."""
    try:
        problem = parse_document(body)
    except HostilePeer:
        problem = {}
    code, title = str(problem.get("code", "")), _printable(str(problem.get("title", "")))
    if status in BUSY:
        return HubUnreachable(f"the hub cannot answer now ({status} {title or code})")
    if code == "pairing":
        return AccessDenied("the hub does not know this code (any more): ask for another with 'toastbox invite'")
    if status in (401, 403):
        return AccessDenied(
            f"the hub refuses this device ({title or code or status}): pair it again with 'toastbox join'"
        )
    if code == "epoch" and status == 409:
        return EpochChanged(decimal(problem, "epoch"))
    return HubRefused(f"the hub refused: {title or code or status}", code, status)


def receive_bundle(
    channel: Channel,
    windows: Iterable[memoryview],
    asked: bytes,
    inflate: Callable[[memoryview, int], bytes] | None = None,
) -> Iterator[tuple[bytes, bytes | memoryview | None]]:
    """Chunks of a bundle that answers `asked`, each hash in its turn. See Remote.fetch; inflate: when allowed."""
    reader = BundleReader(MAX_CHUNK, inflate)
    at = 0
    try:
        for window in windows:
            for digest, data in reader.feed(window):
                wanted = asked[at : at + HASH_SIZE]
                if not wanted or digest not in (wanted, b""):
                    raise HostilePeer(f"{channel.place} sent a chunk that was not asked for")
                at += HASH_SIZE
                yield wanted, data
        reader.close()
    except ValueError as error:
        channel.drop()
        raise HostilePeer(f"{channel.place} sent a damaged bundle: {error}") from error
    if at != len(asked):
        raise HubUnreachable(f"{channel.place} sent {at // HASH_SIZE} of {len(asked) // HASH_SIZE} chunks")


class _Timed:
    """Passes windows on, and counts their bytes and the time that was waited for them."""

    def __init__(self, windows: Generator[memoryview, None, None]) -> None:
        self._windows = windows
        self.size = 0
        self.waited_s = 0.0

    def close(self) -> None:
        """Now, and not when the last who knows of it lets go: an answer that was not read drops its connection."""
        self._windows.close()

    def __iter__(self) -> Iterator[memoryview]:
        while True:
            began = time.monotonic()
            window = next(self._windows, None)
            self.waited_s += time.monotonic() - began
            if window is None:
                return
            self.size += len(window)
            yield window


class _TimedInflater:
    """Inflates, and counts the time that took: on a weak board it may be more than what the link saves."""

    def __init__(self) -> None:
        self.worked_s = 0.0

    def __call__(self, data: Buffer, size: int) -> bytes:
        began = time.monotonic()
        try:
            return inflate(data, size)
        finally:
            self.worked_s += time.monotonic() - began


def parse_document(data: bytes) -> dict[str, Any]:
    """A JSON object. HostilePeer: anything else."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HostilePeer(f"the answer is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise HostilePeer("the answer is not a JSON object")
    return document


def take(document: dict[str, Any], name: str, kind: type[T]) -> T:
    """A field that must be of this kind; numbers must not be negative. HostilePeer otherwise."""
    value = document.get(name)
    if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
        raise HostilePeer(f"the answer lacks {name!r}, or it is no {kind.__name__}")
    if isinstance(value, int) and value < 0:
        raise HostilePeer(f"the answer's {name!r} is negative")
    return value


def decimal(document: dict[str, Any], name: str) -> int:
    """A u64 sent as a decimal string, as JSON's numbers end at 2**53."""
    text = take(document, name, str)
    if not _is_decimal(text):
        raise HostilePeer(f"the answer's {name!r} is no number")
    return int(text)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < 2**64


def _entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    entries = take(document, "entries", list)
    if not all(isinstance(entry, dict) for entry in entries):
        raise HostilePeer("the answer's entries are no JSON objects")
    return entries


def _printable(text: str) -> str:
    return "".join(letter for letter in text[:TITLE_LIMIT] if letter.isprintable())
