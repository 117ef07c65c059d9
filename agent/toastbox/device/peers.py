"""Chunks from devices of the same folder on the LAN, before the hub is asked.

An announcement is a rumour: anyone may say anything. What counts is the certificate a peer shows, the hub's
list of devices, and the hash of every chunk. Asking a peer costs a handshake, so it is done for batches,
not for single chunks, and one who did not help is left alone for a while, longer each time:

    asked --had something--> good          asked --had nothing, slow, gone, wrong--> aside for 5 s ... 10 min
    good  --asked first next time          aside --time is over--> asked again

`fetch` yields what was found; the caller gets the rest from the hub.
"""

import hashlib
import ssl
import threading
from collections.abc import Iterator

from toastbox.core.backoff import delay_s
from toastbox.core.entry import HASH_SIZE
from toastbox.core.wire import MAX_HASHES
from toastbox.device.channel import Channel
from toastbox.device.interfaces import Buffer, Clock, Credentials, Random
from toastbox.device.members import Members
from toastbox.device.remote import receive_bundle
from toastbox.device.throttle import Throttle
from toastbox.device.tls import member_number, peer_context
from toastbox.errors import HostilePeer, HubUnreachable, ToastboxError

FEWEST_HASHES = 4
MAX_PEERS = 64
PEERS_PER_FETCH = 2
ANSWER_TIMEOUT_S = 3.0
FETCH_TIMEOUT_S = 60.0
ASIDE_BASE_S = 5.0
ASIDE_CAP_S = 600.0
FETCH_PATH = "/v1/fetch"


class Peer:
    """One device as announced. aside_until_s: clock's monotonic time before which it is not asked."""

    __slots__ = ("address", "aside_until_s", "failures", "number", "port")

    def __init__(self, number: int, address: str, port: int) -> None:
        self.number = number
        self.address = address
        self.port = port
        self.failures = 0
        self.aside_until_s = float("-inf")


class PeerSet:
    """The peers that are known. `fetch` is for one thread; the rest for any."""

    def __init__(
        self,
        credentials: Credentials,
        members: Members,
        clock: Clock,
        random: Random,
        down: Throttle | None = None,
    ) -> None:
        self._number = credentials.device
        self._folder = credentials.folder
        self._context = peer_context(credentials, server=False)
        self._members = members
        self._clock = clock
        self._random = random
        self._down = down
        self._peers: dict[int, Peer] = {}
        self._lock = threading.Lock()
        self.fetched_chunks = 0
        self.fetched_bytes = 0

    # --- who is there

    def found(self, number: int, address: str, port: int) -> None:
        """A device of this number is announced there. Believed only as far as it is worth a try.

        A new address does not make up for failures: else a liar who announces often would be asked often.
        """
        with self._lock:
            known = self._peers.get(number)
            if known is not None:
                known.address, known.port = address, port
            elif number != self._number and len(self._peers) < MAX_PEERS and self._may_be_member(number):
                self._peers[number] = Peer(number, address, port)

    def _may_be_member(self, number: int) -> bool:
        return not len(self._members) or self._members.has(number)

    def lost(self, number: int) -> None:
        """It said goodbye, or was not heard of for long."""
        with self._lock:
            self._peers.pop(number, None)

    def __len__(self) -> int:
        return len(self._peers)

    # --- asking

    def fetch(self, hashes: Buffer) -> Iterator[tuple[bytes, bytes | memoryview]]:
        """(hash, verified data) of what peers have, each once. Data is valid until the next item. Never raises
        for a peer's fault. hashes: each once.
        """
        wanted = dict.fromkeys(split_hashes(hashes))
        for peer in self._candidates() if len(wanted) >= FEWEST_HASHES else ():
            before = len(wanted)
            try:
                for digest, data in self._ask(peer, list(wanted)[:MAX_HASHES]):
                    del wanted[digest]
                    self.fetched_chunks += 1
                    self.fetched_bytes += len(data)
                    yield digest, data
                self._judge(peer, len(wanted) < before)
            except ToastboxError:
                self._judge(peer, False)
            if not wanted:
                return

    def _candidates(self) -> list[Peer]:
        """Whom to ask now: the best first, the equally good in any order."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            peers = [
                (peer.failures, self._random.random(), peer)
                for peer in self._peers.values()
                if peer.aside_until_s <= now_s and self._members.has(peer.number)
            ]
        return [peer for _, _, peer in sorted(peers, key=lambda entry: entry[:2])][:PEERS_PER_FETCH]

    def _ask(self, peer: Peer, hashes: list[bytes]) -> Iterator[tuple[bytes, bytes | memoryview]]:
        channel = self._channel(peer)
        watchdog = threading.Timer(FETCH_TIMEOUT_S, channel.close)  # one byte a second is an answer, too
        watchdog.daemon = True
        watchdog.start()
        asked = b"".join(hashes)
        try:
            response = channel.exchange("POST", FETCH_PATH, {}, [asked])
            if response.status != 200:
                raise HubUnreachable(f"{channel.place} refuses with {response.status}")
            for digest, data in receive_bundle(channel, channel.read_windows(response), asked):
                if data is None:
                    continue
                if hashlib.sha256(data).digest() != digest:
                    raise HostilePeer(f"{channel.place} sent other data than it was asked for")
                yield digest, data
        finally:
            watchdog.cancel()
            channel.drop()

    def _channel(self, peer: Peer) -> Channel:
        def check(secured: ssl.SSLSocket) -> None:
            number = member_number(secured.getpeercert(), self._folder)
            if number != peer.number or not self._members.has(number):
                raise HostilePeer(f"device {number} answers in place of {peer.number}, or is revoked")

        return Channel(peer.address, peer.port, self._context, check, down=self._down, timeout_s=ANSWER_TIMEOUT_S)

    def _judge(self, peer: Peer, helped: bool) -> None:
        peer.failures = 0 if helped else peer.failures + 1
        if not helped:
            wait_s = delay_s(peer.failures, self._random.random(), ASIDE_BASE_S, ASIDE_CAP_S)
            peer.aside_until_s = self._clock.monotonic_s() + wait_s


def split_hashes(hashes: Buffer) -> Iterator[bytes]:
    """The hashes one by one."""
    for start in range(0, len(hashes), HASH_SIZE):
        yield bytes(hashes[start : start + HASH_SIZE])
