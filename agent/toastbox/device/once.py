"""One shot: sync until nothing is left, without staying (`toastbox sync` where no agent runs)."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Pending
from typing import Any

from toastbox.config import AgentSettings
from toastbox.device.agent import report_figures
from toastbox.device.engine import Engine
from toastbox.device.memory import log_memory
from toastbox.device.parts import LEAST_WINDOW, Parts
from toastbox.device.preview import Preview
from toastbox.device.reading import Reader
from toastbox.device.state import Store
from toastbox.device.whereabouts import Whereabouts
from toastbox.device.worker import CONFIRM_AFTER_S

SHOW_EVERY_S = 0.1
MOST_CYCLES = 8  # someone who writes all the time is not waited for


def sync_once(
    store: Store, settings: AgentSettings, accept_deletes: bool, show: Callable[[str], None], where: Whereabouts
) -> dict[str, Any]:
    """Sync; what the report tells then. show: takes a line of progress, ten times a second.

    Raises what the engine raises.
    """
    parts = Parts(store, settings, where=where)
    try:
        with ThreadPoolExecutor(1) as thread:
            work = thread.submit(_sync, parts, accept_deletes or settings.accept_deletes)
            while not _is_done(work):
                counts = parts.engine.report.counts
                show(", ".join(f"{count} {name}" for name, count in counts.items()))
        figures = report_figures(parts.engine.report)
        log_memory(parts.arena, settings)
        return figures | {"state": "in sync" if work.result() else "syncing"}
    finally:
        parts.close()


def _is_done(work: "Future[bool]") -> bool:
    try:
        work.exception(SHOW_EVERY_S)
    except Pending:
        return False
    return True


def _sync(parts: Parts, accept_deletes: bool) -> bool:
    engine = parts.engine
    engine.start()
    engine.retry_held()
    in_step = any(_cycle(engine, parts, accept_deletes) for _ in range(MOST_CYCLES))
    engine.settle()
    return in_step


def _cycle(engine: Engine, parts: Parts, accept_deletes: bool) -> bool:
    """Whether nothing is left, files that were too fresh to be trusted included."""
    engine.cycle(accept_deletes)
    if engine.unconfirmed:
        parts.clock.sleep(CONFIRM_AFTER_S)
        engine.confirm()
    return engine.in_step and not engine.unconfirmed


def preview_once(store: Store, settings: AgentSettings, show: Callable[[Preview], None], where: Whereabouts) -> None:
    """Show what a sync would do. show: takes the steps out of the preview while everything is open."""
    parts = Parts(store, settings, where=where)
    try:
        reader = Reader(parts.folder, memoryview(bytearray(LEAST_WINDOW)))
        name = settings.name or store.credentials().name
        preview = Preview(parts.folder, parts.index, parts.remote, reader, name, settings.mode)
        try:
            show(preview)
        finally:
            preview.close()
    finally:
        parts.close()
