"""Bodies in and bundles out, in bounded memory (docs/SPEC.md, section 3).

An upload is cut into batches of a megabyte and a half, so that a window of a device is one: while one is being stored
the next one arrives, and no more than these two are in memory. A bundle is gathered on a reading thread in pieces of
256 KiB, of which a megabyte is in memory while the peer takes it: to hand work to a thread and back costs as much as
to read one. Where they are deflated one is worth it.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from aiohttp import web

from toastbox.compression import CODING, SIZE_HEADER, Part, inflate, inflate_body, pack
from toastbox.core.bundle import BundleReader, chunk_head, missing_head
from toastbox.core.errors import WireError
from toastbox.core.wire import MAX_BUNDLE, MAX_CHUNK
from toastbox.hub.chunks.base import Buffer
from toastbox.hub.connections import connection_of
from toastbox.hub.groupcommit import GroupCommit
from toastbox.hub.journal.base import Device
from toastbox.hub.refusal import bad_request, too_large
from toastbox.hub.service import HubService

_log = logging.getLogger(__name__)
BODY_TIMEOUT_S = 30  # between two pieces of a body
WRITE_TIMEOUT_S = 60  # for a peer to take a piece of an answer
UPLOAD_BYTES = 5 << 20  # what an upload may have in memory
FETCH_BYTES = 3 << 20
_PIECE_BYTES = 256 << 10  # about: blocks above 512 KiB are given back to the kernel each time (hub/server.py)
_PIECES = 4  # gathered by one call of a thread
_BATCH_BYTES = 3 << 19
_BATCH_CHUNKS = 1024
_BUNDLE_HEADERS = {"Content-Type": "application/octet-stream"}


def stream_head(request: web.BaseRequest, **fields: str) -> dict[str, str]:
    """Fields for the head of an answer that is streamed."""
    seal = connection_of(request).seal
    return fields | seal.head if seal else fields


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body. Raises Refusal above limit bytes, TimeoutError."""
    parts = [part async for part in _pieces(request, limit)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def plain_size(request: web.BaseRequest, limit: int) -> int:
    """What a compressed body says that it inflates to, 0 when it is not compressed. Raises Refusal."""
    if request.headers.get("Content-Encoding", "") != CODING:
        return 0
    text = request.headers.get(SIZE_HEADER, "")
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or int(text) == 0:
        raise bad_request(f"{SIZE_HEADER} is missing or no size")
    if int(text) > limit:
        raise too_large(f"the body may inflate to {limit} bytes")
    return int(text)


async def read_packed(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body, inflated if need be. Raises Refusal above limit bytes, compressed or not, TimeoutError."""
    size = plain_size(request, limit)
    body = await read_body(request, min(size, limit) if size else limit)
    if not size:
        return body
    try:
        return await asyncio.to_thread(inflate_body, body, size)
    except ValueError as error:
        raise bad_request(str(error)) from error


def accepts(request: web.BaseRequest) -> bool:
    """Whether the answer may be compressed."""
    return request.headers.get("Accept-Encoding", "") == CODING


async def write(response: web.StreamResponse, data: bytes) -> None:
    """Write, and wait until the peer has room for more. Raises TimeoutError."""
    async with asyncio.timeout(WRITE_TIMEOUT_S):
        await response.write(data)


async def upload(
    request: web.BaseRequest, service: HubService, writer: GroupCommit, device: Device, limit: int
) -> tuple[int, int]:
    """Store the chunks of a bundle as they arrive; (new chunks, their bytes). Raises Refusal."""
    storing: asyncio.Future[tuple[int, int]] | None = None
    stored = size = 0
    async for batch in _batches(request, limit):
        if storing is not None:
            stored, size = _add(stored, size, await storing)
        storing = writer.submit(partial(service.store, device, batch), durable=False)
    if storing is not None:
        stored, size = _add(stored, size, await storing)
    return stored, size


async def send_bundle(
    request: web.BaseRequest, chunks: Iterator[tuple[bytes, Buffer | None]], threads: ThreadPoolExecutor
) -> web.StreamResponse:
    """Answer with a bundle of chunks, whose iterator is only used on threads."""
    response = web.StreamResponse(headers=stream_head(request, **_BUNDLE_HEADERS))
    loop = asyncio.get_running_loop()
    packed = accepts(request)
    records = pack(chunks) if packed else _records(chunks)
    gather = partial(_gather, records, 1 if packed else _PIECES)
    pieces = await loop.run_in_executor(threads, gather)
    with answering(request):
        await response.prepare(request)
        while pieces:
            while pieces:
                await write(response, pieces.popleft())
            pieces = await loop.run_in_executor(threads, gather)
        await response.write_eof()
    return response


@contextlib.contextmanager
def answering(request: web.BaseRequest) -> Iterator[None]:
    """Once an answer has begun no other can follow: a failure inside ends the connection, which HTTP shows."""
    try:
        yield
    except ConnectionError:
        raise
    except Exception as error:
        if not isinstance(error, TimeoutError):
            _log.exception("an answer broke off")
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the answer broke off") from error


def _add(stored: int, size: int, more: tuple[int, int]) -> tuple[int, int]:
    return stored + more[0], size + more[1]


def _records(chunks: Iterator[tuple[bytes, Buffer | None]]) -> Iterator[list[Part]]:
    """A bundle as it is, chunk by chunk, each as the parts it is made of."""
    for digest, data in chunks:
        yield [missing_head(digest)] if data is None else [chunk_head(digest, len(data)), data]


def _gather(records: Iterator[list[Part]], count: int) -> deque[bytes]:
    """The next pieces of a bundle, at most count; none at its end."""
    return deque(islice(iter(partial(_join_some, records), b""), count))


def _join_some(records: Iterator[list[Part]]) -> bytes:
    """The next records of a bundle, about _PIECE_BYTES of them; b"" at its end."""
    parts: list[Part] = []
    size = 0
    for record in records:
        parts += record
        size += sum(map(len, record))
        if size >= _PIECE_BYTES:
            break
    return b"".join(parts)


async def _pieces(request: web.BaseRequest, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives. At its end it is refused if it was to have another hash."""
    size, content = 0, request.content
    seal = connection_of(request).seal
    hashed = hashlib.sha256()
    while True:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            piece = await content.readany()
        if seal is not None:
            hashed.update(piece)
        if not piece:
            if seal is not None and hashed.digest() != seal.body:
                raise bad_request("the body is not the one that was signed")
            return
        size += len(piece)
        if size > limit:
            raise too_large(f"the body may have {limit} bytes")
        yield piece


async def _batches(request: web.BaseRequest, limit: int) -> AsyncIterator[list[tuple[bytes, Buffer]]]:
    """The chunks of a bundle, as views of what arrived or was inflated, some at a time."""
    reader = BundleReader(MAX_CHUNK, inflate)
    batch: list[tuple[bytes, Buffer]] = []
    size = total = 0
    try:
        async for piece in _pieces(request, min(limit, MAX_BUNDLE)):
            for digest, data in reader.feed(piece):
                if data is None:
                    raise bad_request("an upload names a chunk that it does not bring")
                batch.append((digest or hashlib.sha256(data).digest(), data))
                size += len(data)
                total += len(data)
                if total > MAX_BUNDLE:
                    raise too_large(f"an upload may inflate to {MAX_BUNDLE} bytes")
                if size >= _BATCH_BYTES or len(batch) >= _BATCH_CHUNKS:
                    yield batch
                    batch, size = [], 0
        reader.close()
    except WireError as error:
        raise bad_request(str(error)) from error
    if batch:
        yield batch
