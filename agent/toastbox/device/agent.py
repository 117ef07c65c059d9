"""The agent: one process that keeps one folder in step. Everything is put together here, nothing is decided.

Threads: the event loop (watcher, control socket, LAN), the worker (engine), the hub's event stream, and one that sends
while the worker reads. All of them sleep in the kernel while nothing happens.

Commands of the control socket: status; top; pause; resume; sync {accept_deletes, wait_s}.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toastbox.config import AgentSettings
from toastbox.device.control import ControlServer
from toastbox.device.dirty import Dirty
from toastbox.device.door import Door
from toastbox.device.events import EventStream
from toastbox.device.interfaces import SystemClock
from toastbox.device.lan import Lan
from toastbox.device.memory import log_memory, memory_figures
from toastbox.device.parts import Parts
from toastbox.device.report import Report
from toastbox.device.settle import RUSH_PAUSE_S, Rush
from toastbox.device.state import Store
from toastbox.device.watch import Watcher
from toastbox.device.whereabouts import Whereabouts
from toastbox.device.worker import Worker
from toastbox.errors import WrongUse

if TYPE_CHECKING:
    from toastbox.device.top import Top

STOP_TIMEOUT_S = 1.5
RESCAN_S = 60.0  # where the watches do not reach


class Agent:
    """One folder, from start to end. door: open already; it is closed with the rest."""

    def __init__(self, store: Store, settings: AgentSettings, door: Door) -> None:
        self._store = store
        self._settings = settings
        self._credentials = store.credentials()
        self._report = Report()
        self._where = where = Whereabouts()
        self._lan = Lan(store, settings, door, SystemClock(), self.on_head, self._position, where, self._hub_moved)
        self._parts = Parts(store, settings, self._lan.source, where)
        self._engine = self._parts.engine
        self._report = self._engine.report
        self._top: Top | None = None
        self._watcher = Watcher(str(store.folder), self._parts.clock, self._engine.is_ignored_folder)
        self._timer: asyncio.TimerHandle | None = None
        self._rescan: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None  # until the watcher is read again
        self._rush = Rush()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end, None)
        chance = random.Random()
        self._worker = Worker(
            self._engine,
            self._parts.clock,
            chance,
            self._settings.safety_pull_s,
            self._worker_ended,
            self._reached,
            self._settings.accept_deletes,
        )
        self._events = EventStream(self._credentials, self, self._position, self._parts.clock, chance, self._where)
        control = ControlServer(self._store.identity(), self._command)
        await control.start()
        try:
            await self._start()
            await self._ended
        finally:
            await control.stop()
            await self._stop()

    async def _start(self) -> None:
        self._watch()
        self._engine.watched_by(self._watcher)
        self._engine.rules_changed = lambda: self._call(self._rewatch)
        self._worker.set_paused(self._store.paused)
        self._worker.start()
        await self._lan.start(self._parts.arena.regions["listings"])
        if self._settings.push == "events":
            self._events.start()

    async def _stop(self) -> None:
        """Within two seconds; what does not answer ends with the process, and loses nothing."""
        self._unwatch()
        if self._top is not None:
            self._top.stop()
        log_memory(self._parts.arena, self._settings)
        self._worker.stop()
        self._parts.hang_up()
        await self._lan.stop()
        await asyncio.to_thread(self._events.stop)
        await asyncio.to_thread(self._worker.join, STOP_TIMEOUT_S)
        if not self._worker.is_alive():
            self._parts.close()

    def _end(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    def _worker_ended(self, error: Exception | None) -> None:
        self._call(lambda: self._end(error))

    def _call(self, function: Callable[[], None]) -> None:
        """Run it in the event loop; from any thread."""
        self._loop.call_soon_threadsafe(function)

    # --- the event stream (called in its thread)

    def _position(self) -> tuple[int, int]:
        return self._report.epoch, self._report.cursor

    def _reached(self) -> None:
        """A round in which the hub answered is over (worker's thread): the stream need not wait for its next try."""
        self._events.hurry()
        if self._report.state == "in sync":
            self._parts.rest()

    def on_head(self, epoch: int, seq: int) -> None:
        if (epoch, seq) != self._position():
            self._worker.hint()

    def _hub_moved(self) -> None:
        """It is announced at another place: if it was out of reach, it need not be waited for."""
        if self._report.state == "offline":
            self._worker.hint()
            self._events.hurry()

    def on_peers(self) -> None:
        self._call(self._lan.refresh)

    def on_ahead(self) -> None:
        self._worker.hint_ahead()

    def on_wanted(self) -> None:
        self._worker.retry()

    def on_connected(self, connected: bool) -> None:
        if connected:
            self._worker.hint()
            self.on_peers()

    def on_denied(self, reason: str) -> None:
        self._report.state, self._report.error = "denied", reason

    # --- the watcher

    def _watch(self) -> None:
        if self._watcher.fd >= 0:
            self._listen()
        self._plan_rescan()

    def _unwatch(self) -> None:
        for timer in (self._timer, self._rescan, self._pause):
            if timer is not None:
                timer.cancel()
        if self._watcher.fd >= 0:
            self._loop.remove_reader(self._watcher.fd)
        self._watcher.close()

    def _on_watch(self) -> None:
        try:
            self._watcher.read()
        except Exception as error:  # what was to be told is lost
            self._end(error)
            return
        self._plan_rescan()
        self._look()
        if self._rush.goes_on(self._parts.clock.monotonic_s()):
            self._loop.remove_reader(self._watcher.fd)
            self._pause = self._loop.call_later(RUSH_PAUSE_S, self._listen)

    def _listen(self) -> None:
        self._loop.add_reader(self._watcher.fd, self._on_watch)

    def _look(self) -> None:
        """Hand over what has settled, and come back when more will have."""
        batch = self._watcher.take()
        if batch:
            dirty = Dirty(batch.everything)
            for path, tree in batch.paths.items():
                dirty.add(path, tree)
            self._worker.look_at(dirty)
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._watcher.due_s()
        delay_s = None if due_s is None else max(due_s - self._parts.clock.monotonic_s(), 0.0)
        self._timer = None if delay_s is None else self._loop.call_later(delay_s, self._look)

    def _rewatch(self) -> None:
        """Other folders are to be watched: the ignore rules changed, or more watches may be had by now."""
        try:
            self._watcher.rewatch()
        except Exception as error:
            self._end(error)
        self._plan_rescan()

    def _plan_rescan(self) -> None:
        """Where the watches do not reach, look at everything now and then."""
        if self._watcher.trouble and self._rescan is None:
            self._rescan = self._loop.call_later(RESCAN_S, self._on_rescan)

    def _on_rescan(self) -> None:
        self._rescan = None
        self._worker.look_at(Dirty(everything=True))
        self._rewatch()

    # --- commands

    async def _command(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request.get("do")
        if name == "status":
            return self._status()
        if name == "top":
            return self._look_inside()
        if name in ("pause", "resume"):
            self._store.paused = name == "pause"
            self._worker.set_paused(name == "pause")
            return {}
        if name == "sync":
            return await self._sync(request)
        raise WrongUse(f"the agent knows no command {name!r}")

    def _look_inside(self) -> dict[str, Any]:
        """Figures for `toastbox top`; what makes them is loaded when somebody asks."""
        if self._top is None:
            from toastbox.device.top import Top

            self._top = Top(self._parts.arena, self._settings, self._parts.index)
        return self._top.figures()

    async def _sync(self, request: dict[str, Any]) -> dict[str, Any]:
        done = self._worker.sync(bool(request.get("accept_deletes")))
        wait_s = float(request.get("wait_s", 3600))
        await asyncio.to_thread(done.wait, wait_s)
        return self._status()

    def _status(self) -> dict[str, Any]:
        report, credentials = self._report, self._credentials
        return {
            "running": True,
            "pid": os.getpid(),
            "name": credentials.name,
            "hub": credentials.url,
            "folder": credentials.folder,
            "traffic": self._parts.traffic(),
            "watch": {"folders": len(self._watcher), "trouble": self._watcher.trouble},
            "lan": self._lan.figures(),
            "memory": memory_figures(self._parts.arena, self._settings),
            **report_figures(report),
        }


def report_figures(report: Report) -> dict[str, Any]:
    """What the loop tells, as status shows it."""
    return {
        "state": report.state,
        "error": report.error,
        "epoch": str(report.epoch),
        "cursor": report.cursor,
        "head": report.head,
        "entries": report.entries,
        "held_deletes": report.held_deletes,
        "held": [{"path": path.decode("utf-8", "backslashreplace"), "reason": why} for path, why in report.reasons()],
        "counts": dict(report.counts),
    }
