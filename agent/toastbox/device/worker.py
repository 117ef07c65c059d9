"""The thread in which the loop runs: sleeps until something is to be done, and nothing wakes it otherwise.

Awake for: a hint from the hub, a local change, the flush some seconds after it, a command, the retry after a failure,
the confirmation of a file that was too fresh, deletions that the hub held until they were no more one go, the safety
pull. Failures that time may cure are retried with growing, jittered delays.
"""

import threading
from collections.abc import Callable

from toastbox.core.backoff import delay_s
from toastbox.core.guard import WINDOW_S
from toastbox.device.dirty import Dirty
from toastbox.device.engine import Engine
from toastbox.device.interfaces import Clock, Random
from toastbox.errors import AccessDenied, DamagedData, DeviceFull, HostilePeer, HubRefused, HubUnreachable

CONFIRM_AFTER_S = 0.03
RETRY_BASE_S = 0.5
RETRY_CAP_S = 60.0
DENIED_RETRY_S = 900.0
SETTLE_AFTER_S, SETTLE_MOST_S = 5.0, 30.0  # after the last change and the first; then the kernel has written it itself
DELETES_RETRY_S = WINDOW_S + 5.0
CURABLE = (HubUnreachable, HubRefused, HostilePeer, DamagedData, AccessDenied, DeviceFull)


class Worker(threading.Thread):
    """Runs an engine. ended(error): called once, in this thread, when it stops; None when it was asked to.

    reached(): after every round in which the hub answered. safety_s: an own pull at least this often (jittered),
    whatever the hub says. accept_deletes: believe every deletion.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        chance: Random,
        safety_s: float,
        ended: Callable[[Exception | None], None],
        reached: Callable[[], None] = lambda: None,
        accept_deletes: bool = False,
    ) -> None:
        super().__init__(name="toastbox-loop", daemon=True)
        self._engine = engine
        self._clock = clock
        self._chance = chance
        self._safety_s = safety_s
        self._ended = ended
        self._reached = reached
        self._wake = threading.Condition()
        self._dirty = Dirty()
        self._wanted = True
        self._ahead = False
        self._stopping = False
        self._paused = False
        self._always_accept = accept_deletes
        self._accept_deletes = False
        self._failures = 0
        self._denied = self._engine_started = False
        self._retry = True  # what was held back before the start may have room now
        self._deletes_due_s: float | None = None
        self._settle_due_s: float | None = None
        self._settle_by_s: float | None = None
        self._waiters: list[threading.Event] = []

    # --- called from other threads

    def hint(self) -> None:
        """The hub may have something new."""
        with self._wake:
            self._wanted = True
            self._wake.notify()

    def retry(self) -> None:
        """What was held back for want of its content may be had now."""
        with self._wake:
            self._retry = True
            self._wanted = True
            self._wake.notify()

    def hint_ahead(self) -> None:
        """Another device is uploading what will be in the journal: some of it may be fetched already."""
        with self._wake:
            self._ahead = True
            self._wake.notify()

    def look_at(self, dirty: Dirty) -> None:
        """Local paths changed."""
        with self._wake:
            self._dirty.merge(dirty)
            self._wanted = True
            self._wake.notify()

    def sync(self, accept_deletes: bool = False) -> threading.Event:
        """Look at everything now, at what was held back too; the event is set when the round is over."""
        done = threading.Event()
        with self._wake:
            self._accept_deletes = self._accept_deletes or accept_deletes
            self._dirty.everything = self._retry = True
            self._waiters.append(done)
            self._wanted = True
            self._failures = 0
            self._wake.notify()
        return done

    def set_paused(self, paused: bool) -> None:
        with self._wake:
            self._paused = paused
            self._wanted = True
            self._wake.notify()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()

    # --- the thread

    def run(self) -> None:
        error: Exception | None = None
        try:
            self._tried(self._start_engine)
            while self._next():
                self._round()
        except Exception as caught:  # whatever ends the thread must end the agent
            error = caught
        self._release(self._waiters)
        self._ended(error)

    def _release(self, waiters: list[threading.Event]) -> None:
        for waiter in waiters:
            waiter.set()

    def _next(self) -> bool:
        """Wait for something to do; False when asked to stop."""
        with self._wake:
            if not self._wanted and not self._ahead and not self._stopping:
                self._wake.wait(min(self._patience_s(), self._until_settling_s()))
            self._engine.dirty.merge(self._dirty)
            self._dirty.clear()
            return not self._stopping

    def _patience_s(self) -> float:
        if self._paused:
            return threading.TIMEOUT_MAX
        if self._denied:
            return DENIED_RETRY_S
        if self._failures:
            return delay_s(self._failures, self._chance.random(), RETRY_BASE_S, RETRY_CAP_S)
        if self._engine.unconfirmed:
            return CONFIRM_AFTER_S
        patience_s = self._safety_s * (0.75 + self._chance.random() / 2)
        if self._deletes_due_s is not None:
            patience_s = min(patience_s, max(self._deletes_due_s - self._clock.monotonic_s(), 0.0))
        return patience_s

    def _until_settling_s(self) -> float:
        if self._settle_due_s is None:
            return threading.TIMEOUT_MAX
        return max(self._settle_due_s - self._clock.monotonic_s(), 0.0)

    def _plan_settling(self) -> None:
        if not self._engine.unsettled:
            self._settle_due_s = self._settle_by_s = None
            return
        now_s = self._clock.monotonic_s()
        self._settle_by_s = self._settle_by_s or now_s + SETTLE_MOST_S
        self._settle_due_s = min(now_s + SETTLE_AFTER_S, self._settle_by_s)

    def _round(self) -> None:
        with self._wake:
            wanted, self._wanted = self._wanted, False
            waiters, self._waiters = self._waiters, []
            accept, self._accept_deletes = self._accept_deletes or self._always_accept, False
            ahead, self._ahead = self._ahead, False
            paused = self._paused
            retry = (self._retry or not wanted) and not paused
            self._retry = self._retry and paused
        report = self._engine.report
        if not wanted and not ahead and self._until_settling_s() == 0.0:
            self._tried(self._engine.settle)
        elif paused:
            report.state = "paused"
        elif ahead and not wanted and self._engine_started:
            self._tried(self._fetch_ahead)
        elif not wanted and not self._failures and self._engine.unconfirmed:
            self._tried(self._engine.confirm)
        else:
            self._tried(lambda: self._cycle(accept, retry))
        self._plan_settling()
        self._release(waiters)

    def _tried(self, step: Callable[[], None]) -> None:
        """Do it, or know what it failed for and try again later."""
        report = self._engine.report
        try:
            step()
        except CURABLE as error:
            self._failures += 1
            self._denied = isinstance(error, AccessDenied)
            report.state = "denied" if self._denied else "disk full" if isinstance(error, DeviceFull) else "offline"
            report.error = str(error)

    def _start_engine(self) -> None:
        self._engine.start()
        self._engine_started = True

    def _fetch_ahead(self) -> None:
        """A little at a time: whatever else there is to do goes first."""
        if self._engine.fetch_ahead():
            self.hint_ahead()

    def _cycle(self, accept_deletes: bool, retry: bool) -> None:
        if not self._engine_started:
            self._start_engine()
        report = self._engine.report
        report.state = "syncing"
        self._retry_deletes()
        if retry:
            self._engine.retry_held()
        in_step = self._engine.cycle(accept_deletes)
        if self._engine.holds_deletes and self._deletes_due_s is None:
            self._deletes_due_s = self._clock.monotonic_s() + DELETES_RETRY_S
        self._denied = False
        self._failures = 0 if in_step else self._failures + 1
        report.error = ""
        report.state = "in sync" if in_step else "syncing"
        self._reached()

    def _retry_deletes(self) -> None:
        if self._deletes_due_s is not None and self._clock.monotonic_s() >= self._deletes_due_s:
            self._deletes_due_s = None
            self._engine.retry_deletes()
