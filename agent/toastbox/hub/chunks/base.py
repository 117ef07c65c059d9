"""What the hub asks of any chunk store. Chunks are named by SHA-256 within a folder: folders share nothing.

The interfaces grow: who only serves takes a ChunkReader, who commits a ChunkStore, who frees room a
PruneStore. Reading may be done by any thread, all else by the one writing thread. A stored chunk is seen by
readers after publish() and outlives a power cut after flush().
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

Buffer = bytes | memoryview


class ChunkReader(Protocol):
    """Usable from any thread."""

    def missing(self, folder: int, hashes: Sequence[bytes]) -> list[bool]:
        """For each hash, whether its chunk is not here (or is here but damaged)."""

    def load(self, folder: int, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, Buffer | None]]:
        """Each chunk in the order asked, verified; None if it is missing or damaged.

        A buffer is valid until the next item is taken. Memory in hand: one chunk, or 256 KiB of smaller ones.
        """


class ChunkStore(ChunkReader, Protocol):
    """Used by the writing thread."""

    def sizes_of(self, folder: int, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Bytes of the chunks that are here, undamaged as far as is known, unpublished ones included."""

    def store(self, folder: int, chunks: Iterable[tuple[bytes, Buffer]]) -> tuple[int, int]:
        """Keep those that are new; return how many these were and their bytes.

        Raises DamagedData, and keeps none, if one does not hash to its name; DeviceFull, DeviceFailing.
        """

    def publish(self) -> None:
        """Show readers what was stored. Costs no flush of the disk."""

    def flush(self) -> None:
        """publish(), and on stable storage. Raises DeviceFull, DeviceFailing: call rollback()."""

    def rollback(self) -> None:
        """Forget what was not published; after a failed flush, what was not flushed."""

    def close(self) -> None:
        """Give back files."""


class PruneStore(ChunkStore, Protocol):
    """Mark and sweep, in slices short enough to run between commits (hub/prune.py)."""

    def mark_start(self) -> None:
        """Forget all marks; sweep() begins anew."""

    def mark(self, folder: int, hashes: Iterable[bytes]) -> None:
        """These are in use."""

    def sweep(self, before_s: int, limit: int) -> int | None:
        """Look at the next limit chunks; drop those not marked and stored before that time.

        How many went; None: all have been looked at. Raises DeviceFailing, and drops nothing, if a rollback()
        has taken marks back since mark_start().
        """

    def compact(self, limit_bytes: int) -> int | None:
        """Free the room of dropped chunks, a step of about limit_bytes. Bytes freed; None: nothing to do."""
