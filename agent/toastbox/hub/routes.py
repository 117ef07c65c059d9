"""The requests of docs/SPEC.md section 4 over HTTP: who asks, how much may come, then the service.

Every request but pairing proves its device before anything is read or taken. Bodies and answers that may be
large first reserve their bytes in one budget for all connections: what does not fit waits. What needs the disk
runs on threads; chunks pass through in pieces, with no step of the event loop for each (hub/transfer.py).
"""

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from aiohttp import web

from toastbox.compression import CODING, SIZE_HEADER, deflate_body
from toastbox.core.ahead import MAX_RUN, decode_run
from toastbox.core.auth import parse_authorization
from toastbox.core.errors import WireError
from toastbox.core.wire import MAX_BUNDLE, MAX_COMMIT, MAX_HASHES
from toastbox.errors import DeviceFailing, DeviceFull, HubUnreachable
from toastbox.hub import transfer
from toastbox.hub.ahead import Ahead
from toastbox.hub.budget import Budget
from toastbox.hub.connections import Connections, connection_of, problem
from toastbox.hub.groupcommit import GroupCommit
from toastbox.hub.history import MAX_COUNT
from toastbox.hub.journal.base import Device
from toastbox.hub.pairing import MAX_BODY as MAX_PAIR_BODY
from toastbox.hub.pairing import Pairing
from toastbox.hub.proxies import Proxies
from toastbox.hub.refusal import Refusal, bad_request, busy, full, not_found, too_large, unauthorized
from toastbox.hub.service import CursorAhead, HubService
from toastbox.hub.storage import translate
from toastbox.hub.subscribers import RETRY, Mark, Subscribers
from toastbox.hub.webhooks import Webhooks, parse_hook

_log = logging.getLogger(__name__)
T = TypeVar("T")
Prove = Callable[[web.BaseRequest], Awaitable[Device]]  # the device that asks, or Refusal
_BUDGET_BYTES = 160 << 20
_READ_THREADS = 4
_SMALL_JSON = 16 << 10
_EVENT_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}


class Route(NamedTuple):
    """answer: method of Routes; max_body: bytes; open: whether strangers may ask."""

    answer: Callable[..., Awaitable[web.StreamResponse]]
    max_body: int = 0
    open: bool = False


class Routes:
    """Answers requests. connections is set once the server that calls handle() exists."""

    connections: Connections

    def __init__(
        self,
        service: HubService,
        pairing: Pairing,
        writer: GroupCommit,
        subscribers: Subscribers,
        webhooks: Webhooks,
        proxies: Proxies,
        max_body: int,
    ) -> None:
        self._service = service
        self._pairing = pairing
        self._writer = writer
        self._subscribers = subscribers
        self._webhooks = webhooks
        self._proxies = proxies
        self._max_body = max_body
        self._ahead = Ahead(service.clock.monotonic)
        self._budget = Budget(_BUDGET_BYTES)
        self._threads = ThreadPoolExecutor(_READ_THREADS, "reader")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request over TLS."""
        response = await self.answer(request, ROUTES, self._authenticate)
        if not response.prepared:
            response.headers["Accept-Encoding"] = CODING  # what a request's body may be (RFC 9110, 12.5.3)
        return response

    async def answer(
        self, request: web.BaseRequest, table: "dict[tuple[str, str], Route]", prove: Prove
    ) -> web.StreamResponse:
        """The answer to any request of a table. Nothing but a Refusal's own words reaches a peer."""
        try:
            return await self._answer(request, table, prove)
        except Refusal as refusal:
            return self._refuse(request, refusal)
        except DeviceFull:
            return self._refuse(request, full())
        except (DeviceFailing, HubUnreachable, sqlite3.Error) as error:
            _log.error("%s", translate(error) if isinstance(error, sqlite3.Error) else error)
            return self._refuse(request, busy(503, 30))
        except TimeoutError:
            return self._refuse(request, Refusal("bad-request", 408, "the body did not come in time"))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            _log.exception("a request failed")
            return self._refuse(request, Refusal("internal", 500, "the hub failed to answer"))
        finally:
            connection_of(request).answered()

    def close(self) -> None:
        self._threads.shutdown()

    async def _answer(
        self, request: web.BaseRequest, table: "dict[tuple[str, str], Route]", prove: Prove
    ) -> web.StreamResponse:
        route = table.get((request.method, request.path))
        if route is None:
            raise not_found("there is no such request")
        device = None if route.open else await prove(request)
        limit = min(route.max_body, self._max_body)
        length = request.content_length
        if (length or 0) > limit:
            raise too_large(f"the body may have {limit} bytes")
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await (route.answer(self, request) if route.open else route.answer(self, request, device))

    async def _authenticate(self, request: web.BaseRequest) -> Device:
        values = request.headers.getall("Authorization", [])
        claimed = parse_authorization(values[0]) if len(values) == 1 else None
        if claimed is None:
            raise unauthorized()
        device = self._service.authenticate(*claimed)
        self.connections.claim(connection_of(request), device.number)
        self.awake(request, device)
        return device

    def awake(self, request: web.BaseRequest, device: Device) -> None:
        """The device has proved itself, so it is there."""
        self._webhooks.awake(device.number)
        self._proxies.seen(device.number, connection_of(request).address)

    def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        """A body that was not read is not waited for: the connection ends with the answer."""
        response = problem(refusal)
        if not request.content.is_eof():
            response.force_close()
        return response

    async def _read(self, work: Callable[..., T], *values: Any) -> T:
        """Run a reading method of the service on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *values)

    async def _pair(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await transfer.read_body(request, MAX_PAIR_BODY)
        address = connection_of(request).address
        answer = await self._writer.submit(lambda: self._service.pair(self._pairing, body, address))
        return web.Response(body=answer, content_type="application/json")

    async def _certificate(self, request: web.BaseRequest) -> web.StreamResponse:
        return _bytes(self._pairing.certificate)

    async def _folder(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        return _json(self._service.folder(device))

    async def _missing(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        hashes = await transfer.read_body(request, MAX_HASHES * 32)
        return _bytes(await self._read(self._service.missing, device, hashes))

    async def _chunks(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        async with self._budget.take(transfer.UPLOAD_BYTES):
            stored, size = await transfer.upload(request, self._service, self._writer, device, self._max_body)
        return _json({"stored": stored, "bytes": size})

    async def _fetch(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        hashes = await transfer.read_body(request, MAX_HASHES * 32)
        chunks = self._service.load(device, hashes)
        async with self._budget.take(transfer.FETCH_BYTES):
            return await transfer.send_bundle(request, chunks, self._threads)

    async def _commit(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        taken = (request.content_length or MAX_COMMIT) + transfer.plain_size(request, MAX_COMMIT)
        async with self._budget.take(taken):
            body = await transfer.read_packed(request, MAX_COMMIT)
            answer = await self._writer.submit(lambda: self._service.commit(device, body))
        self._ahead.end(device.number)
        return _bytes(answer)

    async def _note_ahead(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        run = await transfer.read_body(request, MAX_RUN)
        try:
            decode_run(run)
        except WireError as error:
            raise bad_request(str(error)) from error
        if self._subscribers.tell_ahead(device.folder, device.number):
            self._ahead.note(device.folder, device.number, run)
        return web.Response(status=204)

    async def _get_ahead(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        return _bytes(self._ahead.answer(device.folder, device.number, _number(request, "after", 0)))

    async def _pull(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        after, epoch = _number(request, "after", 0), _number(request, "epoch", 0)
        entries, size = _number(request, "entries", 512), _number(request, "bytes", 1 << 20)
        try:
            async with self._budget.take(size):
                answer = await self._read(self._service.pull, device, after, epoch, entries, size)
                packed = await self._read(deflate_body, answer) if transfer.accepts(request) else None
                response = _packed(packed, len(answer)) if packed else _bytes(answer)
        except CursorAhead:
            await self._writer.submit(lambda: self._service.renew_epoch("a device's cursor is ahead"))
            raise Refusal("epoch", 409, "the hub's journal was restored", epoch=str(self._service.epoch)) from None
        if mark := self._service.wanted.mark(device.folder):
            response.headers["Toastbox-Wanted"] = str(mark)
        return response

    async def _wanted(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        return _bytes(self._service.wanted.hashes(device.folder))

    async def _list(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        first, count = _number(request, "from", 0), _number(request, "count", 16384)
        content = _hex(request, "content")
        items, total = await self._read(self._service.chunk_list, device, content, first, count)
        response = _bytes(items)
        response.headers["Toastbox-Chunks"] = str(total)
        return response

    async def _events(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        subscriber = self._subscribers.add(device.folder, _last_event(request), device.number)
        connection = connection_of(request)
        connection.stream_s = time.monotonic()
        try:
            head = self._service.journal.read_folder(device.folder).head
            subscriber.tell_head((self._service.epoch, head))
            response = web.StreamResponse(headers=transfer.stream_head(request, **_EVENT_HEADERS))
            with transfer.answering(request):
                await response.prepare(request)
                await transfer.write(response, RETRY + subscriber.take())
                while True:
                    await subscriber.wait()
                    await transfer.write(response, subscriber.take())
        finally:
            connection.stream_s = 0.0
            self._subscribers.remove(subscriber)

    async def _put_webhook(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        hook = parse_hook(await transfer.read_body(request, _SMALL_JSON), connection_of(request).address)
        return await self._set_hook(device, json.dumps(hook))

    async def _delete_webhook(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        return await self._set_hook(device, "")

    async def _set_hook(self, device: Device, hook: str) -> web.StreamResponse:
        if hook != device.hook:
            await self._writer.submit(lambda: self._service.set_hook(device, hook))
            self._webhooks.set(device._replace(hook=hook))
        return web.Response(status=204)

    async def _put_announce(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        port = _parse_port(await transfer.read_body(request, _SMALL_JSON))
        self._proxies.ask(device, port, connection_of(request).address)
        return web.Response(status=204)

    async def _delete_announce(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        self._proxies.remove(device.number)
        return web.Response(status=204)

    async def _peers(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        return _json(await self._read(self._service.peers, device))

    async def _log(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        before, count = _number(request, "before", 0), _number(request, "count", 100)
        return _json({"entries": await self._read(self._service.log, device, before, min(count, MAX_COUNT))})

    async def _versions(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        path = _path(request)
        return _json({"entries": await self._read(self._service.versions, device, path)})

    async def _restore(self, request: web.BaseRequest, device: Device) -> web.StreamResponse:
        path, seq = _parse_restore(await transfer.read_body(request, _SMALL_JSON))
        work = self._service.restore
        return _json({"seq": await self._writer.submit(lambda: work(device.folder, device.number, path, seq))})


ROUTES = {
    ("POST", "/v1/pair"): Route(Routes._pair, MAX_PAIR_BODY, open=True),
    ("GET", "/v1/certificate"): Route(Routes._certificate, open=True),
    ("GET", "/v1/folder"): Route(Routes._folder),
    ("POST", "/v1/missing"): Route(Routes._missing, MAX_HASHES * 32),
    ("POST", "/v1/chunks"): Route(Routes._chunks, MAX_BUNDLE),
    ("POST", "/v1/fetch"): Route(Routes._fetch, MAX_HASHES * 32),
    ("POST", "/v1/commit"): Route(Routes._commit, MAX_COMMIT),
    ("POST", "/v1/ahead"): Route(Routes._note_ahead, MAX_RUN),
    ("GET", "/v1/ahead"): Route(Routes._get_ahead),
    ("GET", "/v1/pull"): Route(Routes._pull),
    ("GET", "/v1/wanted"): Route(Routes._wanted),
    ("GET", "/v1/list"): Route(Routes._list),
    ("GET", "/v1/events"): Route(Routes._events),
    ("PUT", "/v1/webhook"): Route(Routes._put_webhook, _SMALL_JSON),
    ("DELETE", "/v1/webhook"): Route(Routes._delete_webhook),
    ("PUT", "/v1/announce"): Route(Routes._put_announce, _SMALL_JSON),
    ("DELETE", "/v1/announce"): Route(Routes._delete_announce),
    ("GET", "/v1/peers"): Route(Routes._peers),
    ("GET", "/v1/log"): Route(Routes._log),
    ("GET", "/v1/versions"): Route(Routes._versions),
    ("POST", "/v1/restore"): Route(Routes._restore, _SMALL_JSON),
}


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), content_type="application/json")


def _bytes(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/octet-stream")


def _packed(body: bytes, size: int) -> web.Response:
    """A compressed answer; size: before it was."""
    response = _bytes(body)
    response.headers.update({"Content-Encoding": CODING, SIZE_HEADER: str(size)})
    return response


def _number(request: web.BaseRequest, name: str, default: int) -> int:
    """A decimal number of a query, below 2^64."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or int(text) >= 1 << 64:
        raise bad_request(f"{name} is not a number")
    return int(text)


def _hex(request: web.BaseRequest, name: str) -> bytes:
    try:
        return bytes.fromhex(request.query.get(name, ""))
    except ValueError as error:
        raise bad_request(f"{name} is not hexadecimal") from error


def _path(request: web.BaseRequest) -> bytes:
    """path=P of the query as the bytes that were percent-encoded."""
    for part in request.rel_url.raw_query_string.split("&"):
        name, _, value = part.partition("=")
        if name == "path":
            return unquote_to_bytes(value.replace("+", " "))
    raise bad_request("path is missing")


def _last_event(request: web.BaseRequest) -> Mark | None:
    """What a stream's Last-Event-ID says was heard; None if it says nothing that can be understood."""
    epoch, colon, seq = request.headers.get("Last-Event-ID", "").partition(":")
    known = colon and (epoch + seq).isascii() and epoch.isdecimal() and seq.isdecimal() and len(epoch + seq) <= 40
    return (int(epoch), int(seq)) if known else None


def _parse_port(body: bytes) -> int:
    try:
        port = json.loads(body)["port"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad_request("not an announcement") from error
    if type(port) is not int or not 0 < port < 65536:
        raise bad_request("the port is not valid")
    return port


def _parse_restore(body: bytes) -> tuple[bytes, int]:
    try:
        request = json.loads(body)
        path, seq = request["path"].encode(), request["seq"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise bad_request("not a restore request") from error
    if type(seq) is not int:
        raise bad_request("not a restore request")
    return path, seq
