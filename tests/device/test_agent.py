"""What the agent does with its watcher's troubles; tests/agent has it as a process."""

from types import SimpleNamespace

from toastbox.device.agent import RESCAN_S, Agent
from toastbox.device.interfaces import SystemClock
from toastbox.device.settle import Rush


class NotedLoop:
    """Stands for the event loop: planned holds (delay, function)."""

    def __init__(self) -> None:
        self.planned: list[tuple[float, object]] = []

    def call_later(self, delay_s: float, function: object) -> object:
        self.planned.append((delay_s, function))
        return function


def agent_with(watcher: object) -> tuple[Agent, NotedLoop, list[object]]:
    agent = Agent.__new__(Agent)
    loop, ends = NotedLoop(), []
    agent._loop, agent._watcher, agent._rescan, agent._timer = loop, watcher, None, None  # type: ignore[assignment]
    agent._rush, agent._parts = Rush(), SimpleNamespace(clock=SystemClock())  # type: ignore[assignment]
    agent._end = ends.append  # type: ignore[method-assign]
    return agent, loop, ends


def test_limit_of_watches_reached_while_it_runs_begins_to_scan() -> None:
    def read() -> None:
        watcher.trouble = "2 folders cannot be watched"

    watcher = SimpleNamespace(trouble="", read=read, take=lambda: None, due_s=lambda: None)
    agent, loop, _ = agent_with(watcher)
    agent._on_watch()
    agent._on_watch()
    assert loop.planned == [(RESCAN_S, agent._on_rescan)]


def test_watcher_that_fails_ends_the_agent() -> None:
    error = OSError("gone")

    def read() -> None:
        raise error

    agent, _, ends = agent_with(SimpleNamespace(trouble="", read=read))
    agent._on_watch()
    assert ends == [error]
