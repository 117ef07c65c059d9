"""The agent's answer to `toastbox top`: where its memory and its time are, at this moment and since it was asked first.

The meter is on while somebody looks, and off some seconds after he stopped asking.
"""

import asyncio
import gc
import os
import sys
import threading
import time
from types import FunctionType
from typing import Any

from toastbox.config import AgentSettings
from toastbox.device.index import Index
from toastbox.device.memory import memory_figures
from toastbox.device.meter import Meter
from toastbox.native.arena import Arena

OFF_AFTER_S = 10.0
MOST_MODULES = 20


class Top:
    """Answers inside the agent's event loop."""

    def __init__(self, arena: Arena, settings: AgentSettings, index: Index) -> None:
        self._arena = arena
        self._settings = settings
        self._meter = Meter(index)
        self._off: asyncio.TimerHandle | None = None

    def figures(self) -> dict[str, Any]:
        """Cumulative: two answers make a rate. Turns the meter on."""
        self._meter.start()
        if self._off is not None:
            self._off.cancel()
        self._off = asyncio.get_running_loop().call_later(OFF_AFTER_S, self._meter.stop)
        return {
            "at_s": time.monotonic(),
            "memory": memory_figures(self._arena, self._settings),
            "objects": objects_by_module(),
            "calls": self._meter.tally.figures(),
            "cpu": cpu_by_thread(),
            "io": io_figures(),
        }

    def stop(self) -> None:
        if self._off is not None:
            self._off.cancel()
        self._meter.stop()


def objects_by_module() -> list[dict[str, Any]]:
    """What the garbage collector knows of, by module: the largest shares, and all of ours. It knows no plain values."""
    found: dict[str, list[int]] = {}
    for each in gc.get_objects():
        row = found.setdefault(_module_of(each), [0, 0])
        row[0] += 1
        row[1] += sys.getsizeof(each, 0)
    ranked = sorted(found.items(), key=lambda item: -item[1][1])
    shown = [*ranked[:MOST_MODULES], *(item for item in ranked[MOST_MODULES:] if item[0].startswith("toastbox"))]
    return [{"module": module, "count": count, "bytes": size} for module, (count, size) in shown]


def _module_of(each: object) -> str:
    """Of a function or class where it is defined; of another object where its class is, builtins by their class."""
    kind = type(each)
    if isinstance(each, type | FunctionType):
        return str(each.__module__)
    return f"builtins {kind.__qualname__}" if kind.__module__ == "builtins" else kind.__module__


def cpu_by_thread() -> dict[str, float]:
    """Seconds of processor time by name of thread; `all` with those that ended."""
    spent = {"all": time.process_time()}
    for thread in threading.enumerate():
        try:
            with open(f"/proc/self/task/{thread.native_id}/schedstat") as file:
                spent[thread.name] = spent.get(thread.name, 0.0) + int(file.read().split()[0]) / 1e9
        except (OSError, ValueError):  # it has ended, or the kernel keeps no such figures
            continue
    return spent


def io_figures() -> dict[str, int]:
    """Bytes and calls of reading and writing, of files and sockets, and what of it went to a disk."""
    try:
        with open("/proc/self/io") as file:
            return {name: int(value) for name, value in (line.split(": ") for line in file)}
    except OSError:
        return {"pid": os.getpid()}
