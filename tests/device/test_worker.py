"""When the loop's thread does what: on an engine that only takes notes."""

import random
import threading
from collections.abc import Iterator

import pytest

from toastbox.device import worker as module
from toastbox.device.dirty import Dirty
from toastbox.device.interfaces import SystemClock
from toastbox.device.report import Report
from toastbox.device.worker import Worker
from toastbox.errors import AccessDenied, DeviceFull, HubUnreachable

WAIT_S = 10.0


class NotedEngine:
    """Stands for device.engine.Engine. calls: what was done, in order.

    held_once: the hub holds the deletions of the next cycle. fails: so many cycles end with `error`.
    """

    def __init__(self) -> None:
        self.report = Report()
        self.dirty = Dirty()
        self.unconfirmed = self.unsettled = False
        self.holds_deletes = False
        self.held_once = False
        self.fails = self.no_starts = self.more_ahead = 0
        self.error: Exception = HubUnreachable("gone")
        self.calls: list[str] = []
        self.called = threading.Condition()

    def _call(self, name: str) -> None:
        with self.called:
            self.calls.append(name)
            self.called.notify_all()

    def start(self) -> None:
        self._call("start")
        self.no_starts -= 1
        if self.no_starts >= 0:
            raise DeviceFull("no room")

    def settle(self) -> None:
        self.unsettled = False
        self._call("settle")

    def confirm(self) -> None:
        self._call("confirm")

    def retry_held(self) -> None:
        self._call("retry held")

    def fetch_ahead(self) -> bool:
        self.more_ahead -= 1
        self._call("fetch ahead")
        return self.more_ahead >= 0

    def retry_deletes(self) -> None:
        self.holds_deletes = False
        self._call("retry deletes")

    def cycle(self, accept_deletes: bool) -> bool:
        self.dirty.clear()
        self.holds_deletes, self.held_once = self.held_once, False
        self.fails -= 1
        self._call("cycle, deletes accepted" if accept_deletes else "cycle")
        if self.fails >= 0:
            raise self.error
        return True

    def wait_for(self, count: int) -> list[str]:
        """The calls, once there are so many."""
        with self.called:
            assert self.called.wait_for(lambda: len(self.calls) >= count, WAIT_S), self.calls
            return self.calls[:count]


@pytest.fixture
def engine() -> NotedEngine:
    return NotedEngine()


@pytest.fixture
def worker(engine: NotedEngine) -> Iterator[Worker]:
    made = Worker(engine, SystemClock(), random.Random(1), 900.0, lambda error: None)  # type: ignore[arg-type]
    yield made
    made.stop()
    made.join(WAIT_S)
    assert not made.is_alive()


def test_start_tries_again_what_was_held_back(engine: NotedEngine, worker: Worker) -> None:
    worker.start()
    assert engine.wait_for(3) == ["start", "retry held", "cycle"]


def test_hint_does_not_try_again_what_was_held_back(engine: NotedEngine, worker: Worker) -> None:
    worker.start()
    engine.wait_for(3)
    worker.hint()
    assert engine.wait_for(4)[3:] == ["cycle"]


def test_sync_tries_again_what_was_held_back(engine: NotedEngine, worker: Worker) -> None:
    worker.start()
    engine.wait_for(3)
    assert worker.sync(accept_deletes=True).wait(WAIT_S)
    assert engine.wait_for(5)[3:] == ["retry held", "cycle, deletes accepted"]


def test_start_while_paused_tries_again_when_resumed(engine: NotedEngine, worker: Worker) -> None:
    worker.set_paused(True)
    worker.start()
    engine.wait_for(1)
    worker.set_paused(False)
    assert engine.wait_for(3) == ["start", "retry held", "cycle"]


def test_deletions_that_the_hub_holds_are_proposed_again_after_its_window(
    engine: NotedEngine, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELETES_RETRY_S", 0.05)
    engine.held_once = True
    worker.start()
    assert engine.wait_for(6)[3:] == ["retry deletes", "retry held", "cycle"]


def test_failure_is_tried_again(engine: NotedEngine, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_BASE_S", 0.01)
    engine.fails = 2
    worker.start()
    assert engine.wait_for(7)[1:] == 3 * ["retry held", "cycle"]


def test_device_that_is_denied_waits_long(engine: NotedEngine, worker: Worker) -> None:
    engine.error = AccessDenied("revoked")
    engine.fails = 1
    worker.start()
    engine.wait_for(3)
    worker.stop()
    worker.join(WAIT_S)
    assert worker._patience_s() == module.DENIED_RETRY_S and engine.report.state == "denied"


def test_start_on_a_full_disk_is_tried_again(
    engine: NotedEngine, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_BASE_S", 0.01)
    engine.no_starts = 2
    worker.start()
    assert engine.wait_for(5) == ["start", "start", "start", "retry held", "cycle"]


def test_an_upload_elsewhere_is_followed_until_there_is_nothing_more(engine: NotedEngine, worker: Worker) -> None:
    worker.start()
    engine.wait_for(3)
    engine.more_ahead = 2
    worker.hint_ahead()
    assert engine.wait_for(6)[3:] == 3 * ["fetch ahead"]
    worker.hint()
    assert engine.wait_for(7)[6:] == ["cycle"]


def test_an_upload_elsewhere_waits_for_all_else(engine: NotedEngine, worker: Worker) -> None:
    worker.hint_ahead()
    worker.start()
    assert engine.wait_for(3) == ["start", "retry held", "cycle"]


def test_an_upload_elsewhere_is_nothing_to_a_paused_device(engine: NotedEngine, worker: Worker) -> None:
    worker.start()
    engine.wait_for(3)
    worker.set_paused(True)
    worker.hint_ahead()
    worker.set_paused(False)
    assert "fetch ahead" not in engine.wait_for(4)


def test_what_was_recorded_is_flushed_a_while_after_the_last_change_and_once(
    engine: NotedEngine, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_AFTER_S", 0.05)
    engine.unsettled = True
    worker.start()
    assert engine.wait_for(4)[3:] == ["settle"]
    worker.hint()
    assert engine.wait_for(5)[4:] == ["cycle"]
