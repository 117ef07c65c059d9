"""One device: disk, index, clock and the agent's loop, which may die at any step and is started anew.

`run` does what device/worker.py does in its thread: start after a death, look at what the watcher told, try again what
was held back, cycle, confirm.
"""

import random
from collections.abc import Callable
from typing import Any

from toastbox.core.guard import WINDOW_S
from toastbox.device.engine import TWO_WAY, Engine
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.errors import AccessDenied, DeviceFailing, DeviceFull, HubRefused, HubUnreachable, SafetyRefused

from .clock import DeviceClock
from .kernel import Kernel, Mounted
from .promises import Broken, Ledger, tree_of
from .remote import Network, SimRemote
from .small import AHEAD_BYTES, WINDOW

MOST_IMAGES = 6
MOST_DESCRIPTORS = 18  # root, stage and the parents that device/folder.py keeps
CURABLE = (HubUnreachable, HubRefused, AccessDenied)
ENDING = (SafetyRefused, DeviceFull, DeviceFailing)


class Died(BaseException):
    """The agent is no more. power: with the whole device."""

    def __init__(self, power: bool) -> None:
        super().__init__("power cut" if power else "kill -9")
        self.power = power


class Job:
    """What Background.submit gives, done now or when its result is asked for: two threads in two orders."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._done = False
        self._value: Any = None
        self._error: Exception | None = None

    def run(self) -> None:
        if self._done:
            return
        self._done = True
        try:
            self._value = self._function()
        except Exception as error:
            self._error = error

    def done(self) -> bool:
        return self._done

    def result(self) -> Any:
        self.run()
        if self._error is not None:
            raise self._error
        return self._value

    def exception(self) -> Exception | None:
        self.run()
        return self._error


class Beside:
    """send.Background in one thread: a job runs at once, or when it is waited for or another one comes."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._last: Job | None = None

    def submit(self, function: Callable[[], Any]) -> Any:
        if self._last is not None:
            self._last.run()
        self._last = job = Job(function)
        if self._chance.random() < 0.5:
            job.run()
        return job


class SimIndex(Index):
    """An index in memory, from an image. `images`: what a power cut may leave, the states since the last sync."""

    def __init__(self, image: bytes, step: Callable[[str, bool], None]) -> None:
        super().__init__(":memory:")
        if image:
            self._db.deserialize(image)
            self._rows = self._db.execute("SELECT count(*) FROM entry").fetchone()[0]
            self.holds = bool(self.held())
            self.unsettled.count()
        self._step = step
        self.images = [self.image()]

    def settle(self) -> None:
        if self._db.in_transaction:
            self._step("index: commit", True)
            super().settle()
            self.images = [*self.images[-MOST_IMAGES:], self.image()]

    def sync(self) -> None:
        self._step("index: sync", True)
        self.synced()

    def image(self) -> bytes:
        """All that is committed."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        return self._db.serialize()

    def synced(self) -> None:
        """Everything was written out: what is committed cannot be lost any more."""
        if not self._db.in_transaction:
            self.images = [self.image()]


class SimDevice:
    """A device of a history. act(): called at any step, may let a user act on this device."""

    def __init__(
        self,
        name: str,
        kernel: Kernel,
        disk: Mounted,
        clock: DeviceClock,
        network: Network,
        ledger: Ledger,
        chance: random.Random,
        trace: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self.clock = clock
        self.disk = disk
        self.running = False
        self.dies_in = 0
        self.dies_by_power = False
        self._death: Died | None = None
        self.accepts_deletes = False
        self.mode = TWO_WAY
        self.act: Callable[[], None] = lambda: None
        self.told: set[tuple[bytes, bool]] = set()
        self.overflown = False
        self.steps = self.boots = 0
        self._kernel = kernel
        self._network = network
        self._ledger = ledger
        self._chance = chance
        self._trace = trace
        self._image = b""
        self._index: SimIndex | None = None
        self.engine: Engine | None = None
        self._buffers = [memoryview(bytearray(WINDOW)) for _ in range(4)]
        self._root = b"/sim/" + name.encode()
        kernel.mount(self._root, disk)
        disk.step = self.step

    # --- every step of the agent

    def step(self, call: str, changes: bool) -> None:
        """Before every system call, transaction and request: time passes, users act, the end may come."""
        if self._death is not None:  # the dead do nothing more, whatever clauses they have
            raise self._death
        self.steps += changes
        self._trace(self.name, call)
        self.clock.sleep(0.000_05)
        if changes and self.dies_in:
            self.dies_in -= 1
            if not self.dies_in:
                self._death = Died(self.dies_by_power)
                raise self._death
        if call == "syncfs" and self._index is not None:
            self._index.synced()
        self.act()

    # --- the agent's loop

    def run(self) -> None:
        """One round of the worker, whatever becomes of it."""
        self.running = True
        try:
            self._round()
        except Died as death:
            self.die(death.power)
        except CURABLE as error:
            self._trace(self.name, f"-- {error}")
        except ENDING as error:
            self._trace(self.name, f"-- ends: {error}")
            self.accepts_deletes = isinstance(error, SafetyRefused)
            self._stop()
        finally:
            self.running = False
        if self._kernel.opened(self.disk) > MOST_DESCRIPTORS:
            raise Broken(f"{self.name} keeps {self._kernel.opened(self.disk)} descriptors open")

    def _round(self) -> None:
        engine = self.engine or self._start()
        for path, tree in sorted(self.told):
            engine.dirty.add(path, tree)
        engine.dirty.everything = engine.dirty.everything or self.overflown
        self.told.clear()
        self.overflown = False
        if self._chance.random() < 0.2:
            engine.retry_held()
        while self._chance.random() < 0.5:  # told of uploads, truly or not
            engine.fetch_ahead()
        accept, self.accepts_deletes = self.accepts_deletes, False
        if engine.holds_deletes and self._chance.random() < 0.5:
            self.clock.sleep(WINDOW_S + 5)
            engine.retry_deletes()
        engine.cycle(accept)
        if engine.unconfirmed and self._chance.random() < 0.7:
            self.clock.sleep(self._chance.choice((0.03, 2.0)))
            engine.confirm()
        if self._chance.random() < 0.1:
            engine.settle()
        if engine.cursor > engine.report.head and engine.report.head:
            raise Broken(f"the cursor {engine.cursor} is beyond the head {engine.report.head}")

    def _start(self) -> Engine:
        self._trace(self.name, "-- starts")
        any_arena: Any = None
        self._folder = Folder(self._root, any_arena)
        self._index = SimIndex(self._image, self.step)
        remote = SimRemote(self.name, self._network, self.step)
        beside = Beside(self._chance)
        engine = Engine(
            self._folder,
            self._index,
            remote,
            self.clock,
            self._buffers,
            beside,
            self.name,
            self.mode,
            lanes=[remote],
            ahead_bytes=AHEAD_BYTES,
            boot=f"boot {self.boots}",
        )
        engine.start()
        self.engine = engine
        return engine

    def _stop(self) -> None:
        """The process ends; the kernel and the disk go on."""
        if self._index is not None:
            self._image = self._index.image()
        self._kernel.close_all(self.disk)
        self.engine = self._index = None
        self.told.clear()

    # --- the bad day

    def die(self, power: bool) -> None:
        """kill -9, or a power cut."""
        self._trace(self.name, "-- POWER CUT" if power else "-- KILLED")
        self.dies_in = 0
        self._death = None
        images = [*self._index.images, self._index.image()] if self._index is not None else [self._image]
        self._stop()
        if power:
            self.boots += 1
            self._image = self._chance.choice(images)
            durable, before = self._ledger.versions_on(self.disk), tree_of(self.disk)
            torn = self.disk.power_cut(self._chance)
            self._ledger.power_cut(self.name, self.disk, durable, torn)
            self._ledger.undone(self.name, before, tree_of(self.disk))

    def writeback(self) -> None:
        """The kernel has written everything out, as it does after half a minute."""
        self.disk.sync_all()
        if self._index is not None:
            self._index.synced()
