"""The agent: one process that keeps one folder in step. Everything is put together here and nothing decided.

Threads: the event loop (watcher, control socket, listener, announcements), the worker (engine), the event stream, and
one that sends while the worker reads. All of them sleep in the kernel while nothing happens.
"""

import asyncio
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from toastbox.config import AgentSettings
from toastbox.device.dirty import Dirty
from toastbox.device.engine import Engine
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Credentials, PeerSource, SystemClock
from toastbox.device.remote import HubClient
from toastbox.device.send import CHUNK_MAX
from toastbox.device.throttle import Throttle
from toastbox.errors import WrongUse
from toastbox.native import posix
from toastbox.native.arena import Arena

LEAST_WINDOW = 2 * CHUNK_MAX
SCAN_REGION = 512 << 10
THREAD_STACK = 256 << 10


class Parts:
    """An engine with all it stands on, built from settings; used by the agent and by a one-shot sync."""

    def __init__(
        self, root: str, credentials: Credentials, settings: AgentSettings, peers: PeerSource | None = None
    ) -> None:
        posix.malloc_arena_max(1)
        threading.stack_size(THREAD_STACK)
        self.clock = SystemClock()
        self.arena = make_arena(settings)
        self.folder = Folder(root, self.arena)
        self.index = Index(f"{root}/.toastbox/index.db", settings.sqlite_cache)
        self.throttle = Throttle(
            min(settings.limit_up or 0, settings.limit_down or 0), self.clock.monotonic_s, self.clock.sleep
        )
        self.remote = HubClient(credentials, self.throttle)
        self.background = ThreadPoolExecutor(1, thread_name_prefix="toastbox-send")
        buffers = [self.arena.buffer(settings.window), self.arena.buffer(settings.window)]
        self.engine = Engine(
            self.folder,
            self.index,
            self.remote,
            self.clock,
            [*buffers, self.arena.buffer(LEAST_WINDOW)],
            self.background,
            credentials.name,
            settings.mode,
            peers,
        )

    def close(self) -> None:
        self.background.shutdown()
        self.remote.close()
        self.index.close()
        self.folder.close()


def make_arena(settings: AgentSettings) -> Arena:
    """The one region for listings and transfer buffers. WrongUse names the least that can work."""
    if settings.window < LEAST_WINDOW:
        raise WrongUse(f"window = {settings.window} bytes is too small: at least {LEAST_WINDOW}")
    least = 2 * settings.window + LEAST_WINDOW + SCAN_REGION + (64 << 10)
    if settings.arena < least:
        raise WrongUse(f"arena = {settings.arena} bytes is too small for this window: at least {least}")
    return Arena(settings.arena, regions={"listings": SCAN_REGION})
