"""The hub without sockets: one method for each request of docs/SPEC.md, section 4.

Methods marked *writes* belong to the one writing thread, and what they did is durable only after flush(),
which the caller does once for many of them (hub/groupcommit.py). The others may be called from any thread
and see only what is durable. Every limit is checked before memory is taken for what it limits. Failures to
answer with are Refusal; DeviceFull and DeviceFailing mean rollback().
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from toastbox.core.content import ITEM_SIZE
from toastbox.core.entry import HASH_SIZE
from toastbox.core.wire import (
    CONFIRMED_DELETES,
    MAX_COMMIT,
    MAX_ENTRIES,
    MAX_HASHES,
    MAX_RECORD,
    WireError,
    decode_commit,
    encode_answer,
)
from toastbox.errors import DamagedData
from toastbox.hub import history
from toastbox.hub.auth import DeviceTable
from toastbox.hub.chunks.base import Buffer, ChunkStore
from toastbox.hub.clock import Clock
from toastbox.hub.commit import Judge
from toastbox.hub.guard import DeletionGuard
from toastbox.hub.headfile import HeadFile
from toastbox.hub.journal.base import Device, Journal
from toastbox.hub.pairing import Pairing
from toastbox.hub.pull import Puller
from toastbox.hub.refusal import Refusal, bad_request, not_found, too_large, wrong_epoch
from toastbox.hub.wanted import Wanted

_log = logging.getLogger(__name__)
MIN_PULL_BYTES = 4096
MAX_ITEMS = 16384
_SEQ_END = 1 << 63


class Listener(Protocol):
    """Told, on the writing thread and after the flush, what push has to pass on."""

    def head_moved(self, folder: int, seq: int) -> None: ...

    def peers_changed(self, folder: int) -> None: ...

    def device_revoked(self, number: int) -> None: ...

    def device_changed(self, number: int) -> None:
        """What it may do has changed: its connections are to be judged anew."""

    def wanted_changed(self, folder: int) -> None:
        """Chunks are wanted, or some that were have come. Called on any thread."""
        ...


class CursorAhead(Refusal):
    """A device has seen more of this epoch than the journal holds: the journal has gone back in time."""


class HubService:
    """All requests, on a journal and a chunk store. heads: the second record of heads, None in tests."""

    def __init__(self, journal: Journal, chunks: ChunkStore, clock: Clock, heads: HeadFile | None = None) -> None:
        self.journal = journal
        self.chunks = chunks
        self.clock = clock
        self.epoch = journal.epoch()
        self.listeners: list[Listener] = []
        self.pruning = threading.Lock()
        self.wanted = Wanted()
        self._heads = heads
        self._devices = DeviceTable(journal)
        self._judge = Judge(journal, chunks, DeletionGuard(clock.monotonic), clock.now_s)
        self._puller = Puller(journal)
        self._restorer = history.Restorer(journal, clock.now_s)
        self._moved: set[int] = set()
        self._changed: set[int] = set()  # devices to be read again, once the flush lets readers see them
        self._after_flush: list[Callable[[Listener], None]] = []
        self._renewed = False

    def authenticate(self, number: int, token: str) -> Device:
        """The device that proves to be that number. Raises Refusal."""
        return self._devices.authenticate(number, token)

    def device(self, number: int) -> Device | None:
        """The device of that number, which has proved nothing yet."""
        return self._devices.find(number)

    def folder(self, device: Device) -> dict[str, Any]:
        """What `GET /v1/folder` tells."""
        folder = self.journal.read_folder(device.folder)
        return {
            "folder": folder.ident.hex(),
            "name": folder.name,
            "epoch": str(self.epoch),
            "seq": folder.head,
            "live": folder.live,
            "device": {"number": device.number, "name": device.name},
        }

    def missing(self, device: Device, hashes: bytes) -> bytes:
        """Bitmap of the hashes whose chunks are not here, least significant bit first."""
        absent = self.chunks.missing(device.folder, split_hashes(hashes))
        bitmap = bytearray((len(absent) + 7) // 8)
        for at, missing in enumerate(absent):
            bitmap[at >> 3] |= missing << (at & 7)
        return bytes(bitmap)

    def store(self, device: Device, chunks: Sequence[tuple[bytes, Buffer]]) -> tuple[int, int]:
        """Writes. Keep verified chunks; (new chunks, their bytes). Need not be durable before a commit is."""
        try:
            stored = self.chunks.store(device.folder, chunks)
        except DamagedData as error:
            raise bad_request("a chunk does not hash to its name") from error
        if self.wanted.found(device.folder, (digest for digest, _ in chunks)):
            self._tell_wanted(device.folder)
        return stored

    def load(self, device: Device, hashes: bytes) -> Iterator[tuple[bytes, Buffer | None]]:
        """Chunks in the order asked; None for those that are missing. See ChunkReader.load."""
        return self._noting_missing(device.folder, self.chunks.load(device.folder, split_hashes(hashes)))

    def _noting_missing(
        self, folder: int, chunks: Iterator[tuple[bytes, Buffer | None]]
    ) -> Iterator[tuple[bytes, Buffer | None]]:
        news = False
        try:
            for digest, data in chunks:
                if data is None:
                    news = self.wanted.note(folder, digest) or news
                yield digest, data
        finally:
            if news:
                self._tell_wanted(folder)

    def _tell_wanted(self, folder: int) -> None:
        for listener in self.listeners:
            listener.wanted_changed(folder)

    def commit(self, device: Device, body: bytes) -> bytes:
        """Writes. Judge the records of a commit; the answer is true only after flush()."""
        if len(body) > MAX_COMMIT:
            raise too_large("a commit has at most 32 MiB of records")
        try:
            commit = decode_commit(body)
            self._check_epoch(commit.epoch)
            records = list(commit.records())
        except WireError as error:
            raise bad_request(str(error)) from error
        before = self.journal.state(device.folder)[0]
        answers = self._judge.judge(device, records, bool(commit.flags & CONFIRMED_DELETES))
        head = self.journal.state(device.folder)[0]
        if head != before:
            self._moved.add(device.folder)
        return encode_answer(self.epoch, head, answers)

    def pull(self, device: Device, after: int, epoch: int, entries: int, max_bytes: int) -> bytes:
        """Current entries after a cursor. epoch 0: the device knows none yet."""
        if not 0 <= after < _SEQ_END or not 1 <= entries <= MAX_ENTRIES:
            raise bad_request("after or entries is out of range")
        if not MIN_PULL_BYTES <= max_bytes <= MAX_RECORD:
            raise bad_request("bytes is out of range")
        if epoch or after:
            self._check_epoch(epoch)
            if after > self.journal.read_folder(device.folder).head:
                raise CursorAhead("epoch", 409, "the cursor is ahead of the journal", epoch=str(self.epoch))
        deletions = bool(after or epoch)  # who starts from nothing has nothing to delete
        return self._puller.answer(device.folder, after, entries, max_bytes, self.epoch, deletions)

    def chunk_list(self, device: Device, content: bytes, first: int, count: int) -> tuple[bytes, int]:
        """(items first.. of a file's chunk list, number of all)."""
        if first < 0 or not 1 <= count <= MAX_ITEMS or len(content) != HASH_SIZE:
            raise bad_request("content, from or count is out of range")
        chunks = self.journal.read_list(device.folder, content)
        if chunks is None:
            raise not_found("no file of several chunks has this content id")
        return chunks[first * ITEM_SIZE : (first + count) * ITEM_SIZE], len(chunks) // ITEM_SIZE

    def peers(self, device: Device) -> dict[str, Any]:
        """The devices of this folder."""
        version = self.journal.read_folder(device.folder).peers
        peers = [
            {"number": peer.number, "name": peer.name, "revoked": peer.revoked}
            for peer in self.journal.devices(device.folder)
        ]
        return {"peers": peers, "version": version}

    def log(self, device: Device, before: int, count: int) -> list[dict[str, Any]]:
        """Entries below a seq, newest first."""
        if before < 0 or count < 1:
            raise bad_request("before or count is out of range")
        return history.named(history.log(self.journal, device.folder, before, count), self.device)

    def versions(self, device: Device, path: bytes) -> list[dict[str, Any]]:
        """Versions of one path, newest first."""
        return history.named(history.versions(self.journal, device.folder, path), self.device)

    def restore(self, folder: int, number: int, path: bytes, seq: int) -> int:
        """Writes. Make an old version current again, in the name of device `number`; its new seq."""
        restored = self._restorer.restore(folder, number, path, seq)
        self._moved.add(folder)
        return restored

    def set_hook(self, device: Device, hook: str) -> None:
        """Writes. Where to post heads for this device (hub/push.py); "" ends it."""
        self.journal.set_hook(device.number, hook)
        self._changed.add(device.number)

    def revoke(self, device: Device) -> None:
        """Writes. From the flush on the device is refused."""
        self.journal.set_revoked(device.number)
        self._changed.add(device.number)
        self._after_flush.append(lambda listener: listener.device_revoked(device.number))
        self.note_peers(device.folder)

    def set_plain(self, device: Device, allowed: bool) -> None:
        """Writes. Whether the device may ask without TLS (hub/plain.py); what it has open ends."""
        self.journal.set_plain(device.number, allowed)
        self._changed.add(device.number)
        self._after_flush.append(lambda listener: listener.device_changed(device.number))

    def raise_counter(self, device: Device, ceiling: int) -> None:
        """Writes. No counter up to this one is taken from the device after a restart."""
        self.journal.raise_counter(device.number, ceiling)

    def pair(self, pairing: Pairing, body: bytes, address: str) -> bytes:
        """Writes. The answer to a pairing request; a new device is told to the others after the flush."""
        answer, folder = pairing.pair(body, address)
        if folder is not None:
            self.note_peers(folder)
            self.flush()
        return answer

    def pair_plain(self, pairing: Pairing, body: bytes, proof: str, address: str) -> tuple[bytes, bytes]:
        """Writes. As pair(), for a request without TLS; the answer and the new device's key."""
        answer, key, folder = pairing.pair_plain(body, proof, address)
        if folder is not None:
            self.note_peers(folder)
            self.flush()
        return answer, key

    def note_peers(self, folder: int) -> None:
        """Writes. The folder's devices have changed: say so after the flush."""
        self._after_flush.append(lambda listener: listener.peers_changed(folder))

    def renew_epoch(self, reason: str) -> None:
        """Writes. Every device compares everything again. Once a run: a confused device cannot insist."""
        if self._renewed:
            raise bad_request("the cursor is ahead of the journal")
        _log.warning("new epoch: %s", reason)
        self._renewed = True
        self.flush()
        self.journal.new_epoch(self._heads.heads() if self._heads else {})
        self.epoch = self.journal.epoch()
        self._moved.update(folder.number for folder in self.journal.folders())

    def flush(self) -> None:
        """Writes. All that was done is on stable storage, chunks before the entries that name them."""
        self.chunks.flush()
        self.journal.flush()
        for number in self._changed:
            self._devices.forget(number)
        self._changed.clear()
        self._write_heads()
        moved, self._moved = self._moved, set()
        told, self._after_flush = self._after_flush, []
        for listener in self.listeners:
            for folder in moved:
                listener.head_moved(folder, self.journal.state(folder)[0])
            for tell in told:
                tell(listener)

    def publish(self) -> None:
        """Writes. Stored chunks are seen by readers; nothing is durable yet."""
        self.chunks.publish()

    def rollback(self) -> None:
        """Writes. Forget what was not flushed."""
        self.journal.rollback()
        self.chunks.rollback()
        self._moved.clear()
        self._changed.clear()
        self._after_flush.clear()

    def close(self) -> None:
        """No method may be running."""
        self.journal.close()
        self.chunks.close()

    def _check_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise wrong_epoch(self.epoch)

    def _write_heads(self) -> None:
        if self._heads and self._moved:
            self._heads.write(self.epoch, self.journal.folders())


def split_hashes(body: bytes) -> list[bytes]:
    """The hashes of a request. Raises Refusal unless there are 1 to MAX_HASHES."""
    if not body or len(body) % HASH_SIZE:
        raise bad_request("not a list of hashes")
    if len(body) > MAX_HASHES * HASH_SIZE:
        raise too_large(f"at most {MAX_HASHES} hashes in one request")
    return [body[at : at + HASH_SIZE] for at in range(0, len(body), HASH_SIZE)]
