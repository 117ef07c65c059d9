"""Compression on the wire (docs/SPEC.md, sections 3 and 4): deflate, the same on both sides.

What inflates is told beforehand how much may come out, and takes no more memory than that, however little is
given to it. What does not become smaller is sent as it is: a few thousand bytes are tried first, so that a photograph
costs next to nothing.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence

from toastbox.core.bundle import MAX_SEGMENT, chunk_head, missing_head, segment_head

Part = bytes | bytearray | memoryview

CODING = "deflate"  # in Accept-Encoding and Content-Encoding; what the bundle's segments need too
SIZE_HEADER = "Toastbox-Size"  # of the body before it was compressed
RUN_BYTES = 256 << 10  # chunks compressed together; a larger run saves 1 % more, and both sides hold one
LEAST_BYTES = 256  # less is sent as it is
_LEVEL = 6
_MEMORY = 9
_RAW = -15
_SAMPLES, _SAMPLE_BYTES = 4, 1024
_WORTH = 0.95  # of the size: above it, it is not


def inflate(data: Part, size: int) -> bytes:
    """Raw deflate to exactly size bytes. ValueError for anything else; size is to be judged by the caller."""
    return _inflate(zlib.decompressobj(_RAW), data, size)


def inflate_body(data: Part, size: int) -> bytes:
    """The same for a body of HTTP's coding, which has a zlib frame."""
    return _inflate(zlib.decompressobj(), data, size)


def deflate_body(data: Part) -> bytes | None:
    """A body in HTTP's coding, None when it would not be smaller by much."""
    if len(data) < LEAST_BYTES or not _compresses([data], len(data)):
        return None
    packed = zlib.compress(data, _LEVEL)
    return packed if len(packed) <= len(data) * _WORTH else None


def pack(chunks: Iterable[tuple[bytes, Part | None]]) -> Iterator[list[Part]]:
    """A bundle, run by run, each as the parts it is made of. None: the chunk is missing."""
    run: list[tuple[bytes, Part]] = []
    size = 0
    for digest, data in chunks:
        if data is None:
            if run:
                yield _pack_run(run, size)
            yield [missing_head(digest)]
            run, size = [], 0
            continue
        if run and size + 4 + len(data) > RUN_BYTES:
            yield _pack_run(run, size)
            run, size = [], 0
        run.append((digest, data))
        size += 4 + len(data)
    if run:
        yield _pack_run(run, size)


def _pack_run(run: list[tuple[bytes, Part]], size: int) -> list[Part]:
    """One segment of `size` bytes before compression, or the chunks as they are where that is no worse."""
    if LEAST_BYTES <= size <= MAX_SEGMENT and _compresses([data for _, data in run], size):
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, _MEMORY)
        packed = [packer.compress(part) for _, data in run for part in (len(data).to_bytes(4, "little"), data)]
        packed.append(packer.flush())
        length = sum(map(len, packed))
        if length <= size * _WORTH:
            return [segment_head(length, size), *packed]
    return [part for digest, data in run for part in (chunk_head(digest, len(data)), data)]


def _compresses(parts: Sequence[Part], size: int) -> bool:
    """Whether it is worth trying, by samples from all over it."""
    step = max(1, size // _SAMPLES)
    sample = bytearray()
    at = wanted = 0
    for part in parts:
        while wanted < at + len(part) and len(sample) < _SAMPLES * _SAMPLE_BYTES:
            sample += memoryview(part)[wanted - at : wanted - at + _SAMPLE_BYTES]
            wanted += step
        at += len(part)
    return len(zlib.compress(sample, 1)) <= len(sample) * _WORTH


def _inflate(inflater: "zlib._Decompress", data: Part, size: int) -> bytes:
    if size < 1:
        raise ValueError("nothing is never compressed")  # and 0 would mean: no bound
    try:
        plain = inflater.decompress(data, size)
        more = inflater.decompress(inflater.unconsumed_tail, 1) if not inflater.eof else b""
    except zlib.error as error:
        raise ValueError(f"not deflate: {error}") from error
    if len(plain) != size or more or not inflater.eof or inflater.unused_data:
        raise ValueError("it does not inflate to the size it claims")
    return plain
