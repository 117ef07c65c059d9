"""What the device's decisions ask of the world: a hub, a clock, chance. The simulator has its own of each."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple, Protocol

from toastbox.errors import WrongUse

Buffer = bytes | bytearray | memoryview


class Clock(Protocol):
    """Time. No two devices' clocks are ever compared."""

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 as this device believes; may jump."""
        ...

    def sleep(self, seconds: float) -> None: ...


class Random(Protocol):
    """Chance, for jitter only: nothing secret is made from it. random.Random is one."""

    def random(self) -> float:
        """At least 0, below 1."""
        ...


class SystemClock:
    """The real clock."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_ns(self) -> int:
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class FolderInfo(NamedTuple):
    """Answer of /v1/folder. live: entries that are not deleted. device: this device's number."""

    folder: str
    name: str
    epoch: int
    seq: int
    live: int
    device: int
    device_name: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What pairing gives a device; to be stored with mode 0600.

    url: https://HOST:PORT of the hub. key: the device key, 32 bytes in hex. ca: the hub's certificate (PEM),
    pinned whole. certificate, private_key: with which this device proves itself to LAN peers (PEM).
    """

    url: str
    device: int
    name: str
    folder: str
    folder_name: str
    key: str
    ca: str
    certificate: str
    private_key: str

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Credentials":
        """WrongUse: the text was not written by to_json."""
        try:
            document = json.loads(text)
            kept = cls(**{field.name: document[field.name] for field in fields(cls)})
            if not isinstance(kept.device, int) or len(bytes.fromhex(kept.key)) != 32:
                raise ValueError("bad device number or key")
        except (ValueError, KeyError, TypeError) as error:
            raise WrongUse(f"the stored pairing is damaged ({error}): 'toastbox join --again' mends it") from error
        return kept


class Remote(Protocol):
    """A hub as one device sees it: the requests of docs/SPEC.md section 4, all idempotent.

    Errors (toastbox.errors): HubUnreachable (network, time-out, 5xx, busy: the same request may be sent
    again), EpochChanged, AccessDenied, HubRefused, HostilePeer. One request at a time: each thread has its
    own.
    """

    def pull(self, after: int, epoch: int, entries: int, nbytes: int) -> bytes:
        """A pull answer, undecoded. entries, nbytes: wanted at most."""
        ...

    def commit(self, body: Buffer) -> bytes:
        """A commit answer, undecoded."""
        ...

    def missing(self, hashes: Buffer) -> bytes:
        """hashes: 1 to 8192 of 32 bytes. Bitmap, least significant bit first: set means missing."""
        ...

    def upload(self, parts: Sequence[Buffer], total: int) -> int:
        """Send one bundle of `total` bytes; how many of its chunks were new.

        parts are read twice if a connection breaks.
        """
        ...

    def fetch(self, hashes: Buffer) -> Iterator[tuple[bytes, bytes | memoryview | None]]:
        """(hash, data) in the order asked; None: the hub lacks it. Data is valid until the next item, and
        unverified.

        Must be read to its end or closed before another request.
        """
        ...

    def chunk_list(self, content: bytes, start: int, count: int) -> tuple[bytes, int]:
        """Items of 36 bytes from `start`, at most `count`, and how many the content has in all."""
        ...

    def tell_ahead(self, run: Buffer) -> None:
        """Let other devices know of chunks of an upload that is not over (core/ahead.py)."""
        ...

    def ahead(self, after: int) -> bytes:
        """What others told behind that position, undecoded."""
        ...

    def wanted(self) -> bytes:
        """Hashes of chunks that the hub lacks and a device needs; b"" when it has said nothing new of that."""
        ...

    def rest(self) -> None:
        """Nothing more is to be asked for a while: what is kept for it may be given back."""
        ...

    def close(self) -> None: ...


class EventListener(Protocol):
    """Called from the event thread; must return soon."""

    def on_head(self, epoch: int, seq: int) -> None:
        """The hub says that its journal's head is seq. A hint: only a pull tells."""
        ...

    def on_peers(self) -> None:
        """The list of devices changed."""
        ...

    def on_ahead(self) -> None:
        """Another device is uploading a large file, of which chunks are to be had."""
        ...

    def on_wanted(self) -> None:
        """The hub lacks chunks that this device may have, or has some again that it lacked."""
        ...

    def on_connected(self, connected: bool) -> None:
        """The stream was made, or broke. Called on changes only."""
        ...

    def on_denied(self, reason: str) -> None:
        """The hub no longer accepts this device. The stream goes on trying, rarely."""
        ...


class PeerSource(Protocol):
    """Anyone but the hub who may have chunks."""

    def fetch(self, hashes: Buffer) -> Iterable[tuple[bytes, bytes | memoryview]]:
        """(hash, verified data) of what was found, each at most once, in any order."""
        ...
