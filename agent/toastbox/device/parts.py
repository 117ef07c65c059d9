"""An engine with all it stands on, put together from settings: for the agent, and for one shot."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from toastbox.config import BESIDE_WINDOWS, AgentSettings
from toastbox.core.guard import judge_root
from toastbox.core.schedule import limits_at, parse_offset, parse_schedule
from toastbox.device.boot import boot_id
from toastbox.device.engine import Engine
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import PeerSource, SystemClock
from toastbox.device.memory import bytes_to_free, memory_limit
from toastbox.device.remote import HubClient
from toastbox.device.send import CHUNK_MAX
from toastbox.device.state import Store
from toastbox.device.throttle import Throttle
from toastbox.device.whereabouts import Whereabouts
from toastbox.errors import SafetyRefused
from toastbox.native import posix
from toastbox.native.arena import Arena

LEAST_WINDOW = 2 * CHUNK_MAX
LISTING_BYTES = 512 << 10
THREAD_STACK = 512 << 10
MANY_MOVED = 200  # entries after which it is worth to go through malloc's heap


class Parts:
    """The engine of one folder. Closed by `close`; used by one thread at a time."""

    def __init__(
        self,
        store: Store,
        settings: AgentSettings,
        peers: PeerSource | None = None,
        where: Whereabouts | None = None,
    ) -> None:
        posix.malloc_arena_max(1)
        threading.stack_size(THREAD_STACK)
        known = store.known_root()
        reason = judge_root(known, store.seen_root(), 1, 1) if known is not None else ""
        if reason:
            raise SafetyRefused(f"{store.folder}: {reason}; nothing is deleted. If this is right, join it again")
        credentials = store.credentials()
        self._moved = -MANY_MOVED  # entries that had been moved when memory was given back last
        self.clock = SystemClock()
        to_free = bytes_to_free(memory_limit())
        self.arena = make_arena(settings, processors(), short=to_free > 0)
        self.folder = Folder(str(store.folder), self.arena.regions["listings"])
        self.folder.way_bytes = to_free
        self.index = Index(store.index_path, settings.sqlite_cache)
        up, down = self._throttle(settings, 0), self._throttle(settings, 1)
        sizes = window_sizes(settings)
        self.lanes = [HubClient(credentials, up, down, compress=settings.compress, where=where) for _ in sizes[1:]]
        self.remote = self.lanes[0]
        self.background = ThreadPoolExecutor(len(self.lanes), thread_name_prefix="toastbox-send")
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="toastbox-flush")
        self.engine = Engine(
            self.folder,
            self.index,
            self.remote,
            self.clock,
            take_buffers(self.arena, settings),
            self.background,
            settings.name or credentials.name,
            settings.mode,
            peers,
            self.lanes[1:],
            settings.ahead,
            processors(),
            boot_id(),
            self._flusher,
        )

    def _throttle(self, settings: AgentSettings, way: int) -> Throttle | None:
        """way: 0 up, 1 down."""
        plain = (settings.limit_up, settings.limit_down)
        schedule, offset = parse_schedule(settings.limit_schedule), parse_offset(settings.limit_offset)
        if schedule:
            clock = self.clock
            return Throttle(
                lambda: limits_at(schedule, plain, clock.wall_ns() // 10**9, offset)[way],
                clock.monotonic_s,
                clock.sleep,
            )
        return Throttle(plain[way], self.clock.monotonic_s, self.clock.sleep) if plain[way] else None

    def traffic(self) -> dict[str, int]:
        """Bytes to and from the hub, all connections but the event stream."""
        sent, received = (lane.bytes_sent for lane in self.lanes), (lane.bytes_received for lane in self.lanes)
        return {"sent": sum(sent), "received": sum(received)}

    def rest(self) -> None:
        """Nothing is on its way any more: give the kernel back what this round took. In the engine's thread.

        The buffers keep their place in the arena; their pages come again when they are used.
        """
        moved = sum(self.engine.report.counts.values())
        if moved != self._moved:
            self.arena.forget_content()
            if moved - self._moved >= MANY_MOVED:
                posix.malloc_trim()
            self._moved = moved

    def hang_up(self) -> None:
        """End all requests, from any thread and for good."""
        for lane in self.lanes:
            lane.close()

    def close(self) -> None:
        self.hang_up()
        self.background.shutdown()
        self._flusher.shutdown()
        self.index.close()
        self.folder.close()


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def window_sizes(settings: AgentSettings) -> tuple[int, ...]:
    """Three windows, so that two are on the wire while one is filled; two where the arena holds no more."""
    return (settings.window,) * (3 if settings.arena >= 3 * settings.window + BESIDE_WINDOWS else 2)


def make_arena(settings: AgentSettings, hashers: int, short: bool = False) -> Arena:
    """The one region for listings and transfer buffers; the settings have seen to it that they fit.

    Listings get what the buffers leave: a folder that does not fit into half of that is read once for each part of it.
    short: of memory, so they get no more than they must have.
    """
    beside = sum(window_sizes(settings)) + reading_size(settings, hashers) - LEAST_WINDOW
    spare = 0 if short else settings.arena - BESIDE_WINDOWS - beside
    return Arena(settings.arena, regions={"listings": LISTING_BYTES + spare})


def take_buffers(arena: Arena, settings: AgentSettings) -> list[memoryview]:
    """The windows to send, and last the one to read into."""
    return [arena.buffer(size) for size in (*window_sizes(settings), reading_size(settings, processors()))]


def reading_size(settings: AgentSettings, hashers: int) -> int:
    """Bytes to read into: a part for each thread that hashes, as far as the arena has room beside the windows.

    Twice as large where listings keep a third of that room: a part then carries half as much over from the one before.
    """
    room = settings.arena - BESIDE_WINDOWS - sum(window_sizes(settings))
    size = LEAST_WINDOW * min(hashers, 1 + room // LEAST_WINDOW)
    return 2 * size if 2 * size - LEAST_WINDOW <= room * 2 // 3 else size
