"""Chunks of a file whose upload is not over, told to the other devices (docs/SPEC.md, section 15).

A *run* says that chunks which the hub has by now follow each other in a file, from an offset on. Like a push it is a
hint: it may be lost, doubled, old or a lie. What was fetched because of it is used only where the journal's own chunk
list has the same chunk at the same place.
"""

import hashlib
import struct

from toastbox.core.content import ITEM_SIZE, MAX_CHUNK
from toastbox.core.entry import HASH_SIZE
from toastbox.core.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN_SIZE = 16
MAX_ITEMS = 4096  # of a run: the largest window, all in the smallest chunks
MAX_OFFSET = 1 << 62
ANSWER_BYTES = 4096  # about so much is answered at once
MARK = b"toastbox ahead 1\n"
RUN = "<16sQ"
RUN_SIZE = 24
MAX_RUN = RUN_SIZE + MAX_ITEMS * ITEM_SIZE
MAX_ANSWER = 12 + MAX_RUN + ANSWER_BYTES


class Run:
    """token: of the file's version; offset: of the first chunk; chunks: a part of its chunk list."""

    __slots__ = ("chunks", "offset", "token")

    def __init__(self, token: bytes, offset: int, chunks: bytes) -> None:
        self.token = token
        self.offset = offset
        self.chunks = chunks

    @property
    def end(self) -> int:
        """Where the last chunk ends in the file."""
        sizes = [size for _, _, size in self.places()]
        return self.offset + sum(sizes)

    def places(self) -> "Iterator[tuple[int, bytes, int]]":
        """(offset, hash, size) of every chunk."""
        offset = self.offset
        for at in range(0, len(self.chunks), ITEM_SIZE):
            size = int.from_bytes(self.chunks[at + HASH_SIZE : at + ITEM_SIZE], "little")
            yield offset, self.chunks[at : at + HASH_SIZE], size
            offset += size

    def split(self, size: int) -> "tuple[Run, Run | None]":
        """The first chunks, about `size` bytes of them and one at least, and the rest if there is any."""
        count = 0
        for offset, _, length in self.places():
            if count and offset + length - self.offset > size:
                break
            count += 1
        head = Run(self.token, self.offset, self.chunks[: count * ITEM_SIZE])
        rest = self.chunks[count * ITEM_SIZE :]
        return head, Run(self.token, head.end, rest) if rest else None


def token_of(path: bytes, size: int, mtime_ns: int) -> bytes:
    """What names the upload of this version of a file: who has its entry has its token."""
    digest = hashlib.sha256(MARK)
    digest.update(struct.pack("<Qq", size, mtime_ns))
    digest.update(path)
    return digest.digest()[:TOKEN_SIZE]


def encode_run(run: Run) -> bytes:
    return struct.pack(RUN, run.token, run.offset) + run.chunks


def decode_run(data: bytes) -> Run:
    """Raises WireError."""
    if len(data) <= RUN_SIZE or len(data) > MAX_RUN or (len(data) - RUN_SIZE) % ITEM_SIZE:
        raise WireError("a run is cut off, empty or too long")
    token, offset = struct.unpack_from(RUN, data, 0)
    run = Run(token, offset, data[RUN_SIZE:])
    if offset > MAX_OFFSET or not all([0 < size <= MAX_CHUNK for _, _, size in run.places()]):
        raise WireError("a run has an offset or a chunk of a bad size")
    return run


def encode_ahead(position: int, runs: "list[bytes]") -> bytes:
    """The answer of `GET /v1/ahead`. position: of the last run; runs: as they came."""
    parts = [struct.pack("<Q", position)]
    for run in runs:
        parts += [struct.pack("<I", len(run)), run]
    return b"".join(parts)


def decode_ahead(data: bytes) -> "tuple[int, list[Run]]":
    """(position, runs). Raises WireError."""
    if len(data) < 8:
        raise WireError("an answer about runs is cut off")
    (position,) = struct.unpack_from("<Q", data, 0)
    runs, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise WireError("an answer about runs is cut off")
        runs.append(decode_run(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return position, runs
