"""The hub as a device sees it over a bad network: device.interfaces.Remote on the real hub service.

Any request may be lost, or its answer; it may arrive twice; the hub may die under it before or after its flush; a
bundle may end early. Before and after every request others get their turn: users, and whole rounds of other devices,
so that an answer is old when it comes.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from toastbox.core.ahead import decode_ahead, encode_ahead, encode_run
from toastbox.core.bundle import BundleReader
from toastbox.core.content import MAX_CHUNK
from toastbox.core.names import key_of
from toastbox.core.wire import COMMITTED, decode_answer, decode_commit
from toastbox.device.interfaces import Buffer
from toastbox.errors import AccessDenied, EpochChanged, HubRefused, HubUnreachable
from toastbox.hub.refusal import Refusal
from toastbox.hub.service import CursorAhead

from .hub import Hub
from .promises import Ledger

T = TypeVar("T")
FAULTS = ("request lost", "answer lost", "twice", "hub dies before flush", "hub dies after flush")


class Network:
    """What all remotes share. trouble: chance of a fault in a request; turn(name): others get their turn."""

    def __init__(self, hub: Hub, ledger: Ledger, chance: random.Random, turn: Callable[[str], None]) -> None:
        self.hub = hub
        self.ledger = ledger
        self.chance = chance
        self.turn = turn
        self.trouble = 0.0
        self.deaths = False
        self.hub_full = 0.0
        self.revoked: set[str] = set()

    def fault(self) -> str:
        if self.chance.random() >= self.trouble:
            return ""
        return self.chance.choice(FAULTS if self.deaths else FAULTS[:3])

    def hub_dies(self) -> None:
        self.hub.power_cut(self.chance)
        self.ledger.check_hub()


class SimRemote:
    """See interfaces.Remote. step(call, changes): as Mounted.step."""

    def __init__(self, name: str, network: Network, step: Callable[[str, bool], None]) -> None:
        self._name = name
        self._net = network
        self._step = step

    def _request(self, what: str, work: Callable[[], T], flush: Callable[[], None] = lambda: None) -> T:
        """Carry out a request with what can go wrong. flush: makes what it did durable, before the answer."""
        net = self._net
        self._step(what, True)
        net.turn(self._name)
        if self._name in net.revoked:
            raise AccessDenied("revoked")
        if net.hub_full and what.startswith(("upload", "commit")) and net.chance.random() < net.hub_full:
            raise HubRefused("the hub's disk is full", "full", 507)
        fault = net.fault()
        if fault:
            self._step(f"  {fault}", False)
        if fault == "request lost":
            raise HubUnreachable(fault)
        answer = self._judged(work, flush, fault)
        if fault == "twice":
            answer = self._judged(work, flush, "")
        if fault == "hub dies after flush":
            net.hub_dies()
        net.turn(self._name)
        self._step(f"  answered {what}", True)
        if fault not in ("", "twice"):
            raise HubUnreachable(fault)
        return answer

    def _judged(self, work: Callable[[], T], flush: Callable[[], None], fault: str) -> T:
        before = self._net.hub.head
        try:
            answer = work()
        except CursorAhead:
            self._net.hub.service.renew_epoch("a device's cursor is ahead")
            raise EpochChanged(self._net.hub.service.epoch) from None
        except Refusal as refusal:
            raise translated(refusal) from refusal
        if fault == "hub dies before flush":
            self._net.hub_dies()
            raise HubUnreachable(fault)
        flush()
        self._net.ledger.judged(self._name, before)
        return answer

    @property
    def _service(self):  # type: ignore[no-untyped-def]
        return self._net.hub.service

    @property
    def _device(self):  # type: ignore[no-untyped-def]
        return self._net.hub.devices[self._name]

    def _flush(self) -> None:
        self._service.flush()

    # --- interfaces.Remote

    def pull(self, after: int, epoch: int, entries: int, nbytes: int) -> bytes:
        return self._request(
            f"pull after {after}", lambda: self._service.pull(self._device, after, epoch, entries, nbytes)
        )

    def commit(self, body: Buffer) -> bytes:
        data = bytes(body)
        records = list(decode_commit(data).records())
        what = ", ".join(f"{record.entry!r}" for record in records)
        answer = self._request(f"commit {what}", lambda: self._service.commit(self._device, data), self._flush)
        self._net.hub.ahead.end(self._device.number)
        results = decode_answer(answer).results
        self._step(f"  {results}", False)
        for record, (status, seq) in zip(records, results, strict=True):
            if status == COMMITTED:
                entry = record.entry
                self._net.ledger.acknowledged(seq, key_of(entry.path), entry.kind, entry.content)
        return answer

    def missing(self, hashes: Buffer) -> bytes:
        return self._request("missing", lambda: self._service.missing(self._device, bytes(hashes)))

    def upload(self, parts: Sequence[Buffer], total: int) -> int:
        data = b"".join(bytes(part) for part in parts)
        if len(data) != total:
            raise AssertionError(f"a bundle of {len(data)} bytes was announced as {total}")
        chunks = [(digest, bytes(chunk or b"")) for digest, chunk in BundleReader(MAX_CHUNK).feed(data)]
        return self._request(f"upload {len(chunks)} chunks", lambda: self._service.store(self._device, chunks))[0]

    def fetch(self, hashes: Buffer) -> Iterator[tuple[bytes, bytes | memoryview | None]]:
        asked = bytes(hashes)
        found = self._request(f"fetch {len(asked) // 32} chunks", lambda: list(self._service.load(self._device, asked)))
        last = self._net.chance.randrange(len(found)) if self._net.fault() else len(found)
        yield from found[:last]
        if last < len(found):
            raise HubUnreachable("the bundle ended early")

    def chunk_list(self, content: bytes, start: int, count: int) -> tuple[bytes, int]:
        return self._request("list", lambda: self._service.chunk_list(self._device, content, start, count))

    def tell_ahead(self, run: Buffer) -> None:
        data = bytes(run)
        self._request(f"tell ahead of {data[:4].hex()}", lambda: self._net.hub.ahead.note(1, self._device.number, data))

    def ahead(self, after: int) -> bytes:
        """The truth, or a lie that names chunks in other places."""
        answer = self._request("ahead", lambda: self._net.hub.ahead.answer(1, self._device.number, after))
        return self._lie(answer) if self._net.fault() else answer

    def wanted(self) -> bytes:
        if not self._service.wanted.mark(1):
            return b""
        return self._request("wanted", lambda: self._service.wanted.hashes(1))

    def rest(self) -> None:
        pass

    def _lie(self, answer: bytes) -> bytes:
        position, runs = decode_ahead(answer)
        self._step("  the hub lies", False)
        for run in runs:
            if self._net.chance.random() < 0.5:
                run.offset += self._net.chance.choice((1, 64, 4096))
            else:
                run.chunks = run.chunks[36:] + run.chunks[:36]
        return encode_ahead(position, [encode_run(run) for run in runs])

    def close(self) -> None:
        pass


def translated(refusal: Refusal) -> Exception:
    """What device/remote.py makes of a refusal."""
    if refusal.code == "epoch":
        return EpochChanged(int(refusal.extra["epoch"]))
    return HubRefused(f"the hub refused: {refusal.title}", refusal.code, refusal.status)
