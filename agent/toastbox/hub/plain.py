"""Plain HTTP for devices that lack the memory for TLS: requests and answers are signed (docs/SPEC.md, section 16).

    head --form, proof--> device, allowed? --counter above all before?--> connection is the device's --> as over TLS
      \\------\\---------------\\--no: 401, nothing of the body is read

Counters are kept in blocks: the journal holds a number that no accepted counter exceeds, so that a hub which was killed
refuses too much rather than too little. A device that is told so takes its counter from there.
"""

import hashlib
import hmac

from aiohttp import web

from toastbox.core.auth import consists_of
from toastbox.core.plain import (
    COUNTER_STATUS,
    MAX_COUNTER,
    STREAMED,
    Claim,
    parse_claim,
    plain_key,
    prove_paired,
    sign_answer,
    sign_request,
)
from toastbox.hub import transfer
from toastbox.hub.connections import Connections, Seal, connection_of
from toastbox.hub.groupcommit import GroupCommit
from toastbox.hub.journal.base import Device
from toastbox.hub.pairing import MAX_BODY as MAX_PAIR_BODY
from toastbox.hub.pairing import Pairing
from toastbox.hub.refusal import Refusal, bad_request, revoked, unauthorized
from toastbox.hub.routes import ROUTES, Route, Routes
from toastbox.hub.service import HubService

SIGNATURE = "Toastbox-Signature"
COUNTER_BLOCK = 4096
_UNSIGNED = ("Transfer-Encoding", "Content-Encoding", "Expect")  # fields that say what a body means
_NOBODY = bytes(32)
_PAIR = "Toastbox-Pair "


class Counters:
    """The highest counter of each device. For the event loop only."""

    def __init__(self, service: HubService, writer: GroupCommit) -> None:
        self._service = service
        self._writer = writer
        self._known: dict[int, tuple[int, int]] = {}  # last that was taken, ceiling that the journal has

    def use(self, device: Device, counter: int) -> None:
        """Use a counter up. Raises Refusal if it is not above all before."""
        last, ceiling = self._known.get(device.number, (device.counter, device.counter))
        if counter <= last:
            raise Refusal("counter", COUNTER_STATUS, "this was asked before", counter=str(last))
        self._known[device.number] = counter, ceiling

    async def keep(self, device: Device) -> None:
        """Until this is done the counter that was used could be used again after a power cut."""
        last, ceiling = self._known[device.number]
        if last > ceiling:
            higher = min(last + COUNTER_BLOCK, MAX_COUNTER)
            await self._writer.submit(lambda: self._service.raise_counter(device, higher))
            last, ceiling = self._known[device.number]
            self._known[device.number] = last, max(ceiling, higher)


class PlainRoutes:
    """The requests of hub/routes.py, for who signs them. connections: as there."""

    connections: Connections

    def __init__(self, routes: Routes, service: HubService, pairing: Pairing, writer: GroupCommit) -> None:
        self._routes = routes
        self._service = service
        self._pairing = pairing
        self._writer = writer
        self._counters = Counters(service, writer)
        self._table = {at: route for at, route in ROUTES.items() if not route.open}
        self._table["POST", "/v1/plain/pair"] = Route(self._pair, MAX_PAIR_BODY, open=True)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        connection.seal = None
        response = await self._routes.answer(request, self._table, self._prove)
        seal = connection.seal
        if seal is not None and not response.prepared and isinstance(response, web.Response):
            body = response.body if isinstance(response.body, bytes) else b""
            total = int(response.headers.get("Toastbox-Chunks", "0"))
            digest = hashlib.sha256(body).hexdigest()
            response.headers[SIGNATURE] = sign_answer(seal.key, seal.counter, response.status, total, digest)
        return response

    async def _prove(self, request: web.BaseRequest) -> Device:
        """The device that signed the head. Raises Refusal: one that may not is told no more than a stranger."""
        claim = _claim(request)
        device = self._service.device(claim.device)
        allowed = device is not None and device.plain
        key = plain_key(device.key if device is not None and allowed else _NOBODY)
        size = request.content_length or 0
        right = sign_request(key, request.method, request.raw_path, claim.counter, size, claim.body)
        if not hmac.compare_digest(right, claim.proof) or device is None or not allowed:
            raise unauthorized()
        connection = connection_of(request)
        head = {SIGNATURE: sign_answer(key, claim.counter, 200, 0, STREAMED)}
        connection.seal = Seal(key, claim.counter, bytes.fromhex(claim.body), head)
        if device.revoked:
            raise revoked()
        self._counters.use(device, claim.counter)
        self.connections.claim(connection, device.number)  # a revocation from now on cuts it
        await self._counters.keep(device)
        self._routes.awake(request, device)
        return device

    async def _pair(self, _: Routes, request: web.BaseRequest) -> web.StreamResponse:
        values = request.headers.getall("Authorization", [])
        proof = values[0].removeprefix(_PAIR) if len(values) == 1 else ""
        if len(proof) != 64 or not consists_of(proof, "0123456789abcdef"):
            raise unauthorized()
        body = await transfer.read_body(request, MAX_PAIR_BODY)
        address = connection_of(request).address
        service, pairing = self._service, self._pairing
        answer, key = await self._writer.submit(lambda: service.pair_plain(pairing, body, proof, address))
        headers = {SIGNATURE: prove_paired(key, answer)}
        return web.Response(body=answer, content_type="application/json", headers=headers)


def _claim(request: web.BaseRequest) -> Claim:
    """What a request says of itself. Raises Refusal."""
    values = request.headers.getall("Authorization", [])
    claim = parse_claim(values[0]) if len(values) == 1 else None
    if claim is None:
        raise unauthorized()
    if any(name in request.headers for name in _UNSIGNED) or transfer.accepts(request):
        raise bad_request("a signed body comes as it is, with its length")
    return claim
