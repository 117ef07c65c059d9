"""top: where a running agent's memory and time are, live."""

import argparse
import sys
import time
from typing import Any

from toastbox.device import control
from toastbox.device.state import Store
from toastbox.errors import ToastboxError
from toastbox.output import printable, say, say_json
from toastbox.quantity import show_bytes

INTERVAL_S = 1.0
MOST_CALLS = 20
MOST_MODULES, MOST_OWN = 8, 6
CLEAR = "\x1b[H\x1b[2J"
MEMORY = ("resident", "resident_peak", "private", "python_heap", "libc_heap", "sqlite", "sqlite_cache", "arena_size")


def top(options: argparse.Namespace) -> int:
    """Until Ctrl-C; once: one interval."""
    with Store.open(options.folder) as store:
        before = ask(store)
        while True:
            time.sleep(options.interval)
            now = ask(store)
            show(since(before, now), options.json)
            sys.stdout.flush()
            if options.once:
                return 0
            before = now


def ask(store: Store) -> dict[str, Any]:
    found = control.ask(store.identity(), {"do": "top"})
    if found is None:
        raise ToastboxError(f"no agent runs on {store.folder}: start it with 'toastbox agent {store.folder}'")
    found.pop("ok", None)
    return found


def since(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What happened between two answers of the agent; memory and objects are as they are now."""
    calls = {}
    for name, row in now["calls"].items():
        old = before["calls"].get(name, {})
        if old.get("count", 0) > row["count"]:
            old = {}  # counted anew since
        difference = {what: value - old.get(what, 0) for what, value in row.items()}
        if difference["count"]:
            calls[name] = difference
    return {
        "interval_s": now["at_s"] - before["at_s"],
        "memory": now["memory"],
        "objects": now["objects"],
        "calls": calls,
        "cpu": {name: spent - before["cpu"].get(name, 0.0) for name, spent in now["cpu"].items()},
        "io": {name: value - before["io"].get(name, 0) for name, value in now["io"].items()},
    }


def show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    if sys.stdout.isatty():
        print(CLEAR, end="")
    _memory(found["memory"])
    _time(found)
    for each in largest(found["objects"]):
        say(f"objects  {printable(each['module']):<34}{each['count']:>9,}{show_bytes(each['bytes']):>12}")


def largest(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of modules in order of size: the first, and the first of our own behind them."""
    first = objects[:MOST_MODULES]
    return first + [each for each in objects[MOST_MODULES:] if each["module"].startswith("toastbox")][:MOST_OWN]


def _memory(memory: dict[str, Any]) -> None:
    say("memory   " + ", ".join(f"{name.replace('_', ' ')} {show_bytes(memory[name])}" for name in MEMORY))
    for part in memory["arena"]:
        used = f"{show_bytes(part['in_use_bytes'])} of {show_bytes(part['size_bytes'])}"
        say(f"region   {part['name']:<12}{used}, peak {show_bytes(part['peak_bytes'])}, {part['refusals']} refusals")


def _time(found: dict[str, Any]) -> None:
    share = 100 / found["interval_s"]
    cpu = sorted(found["cpu"].items(), key=lambda item: -item[1])
    say("cpu      " + ", ".join(f"{printable(name)} {spent * share:.1f} %" for name, spent in cpu))
    io = {name: found["io"].get(name, 0) for name in ("rchar", "wchar", "read_bytes", "write_bytes", "syscr", "syscw")}
    sizes = ", ".join(f"{name} {show_bytes(io[name])}" for name in ("rchar", "wchar", "read_bytes", "write_bytes"))
    say(f"io       {sizes}, {io['syscr']} reads, {io['syscw']} writes")
    ranked = sorted(found["calls"].items(), key=lambda item: -item[1]["seconds"])
    for name, row in ranked[:MOST_CALLS]:
        size = show_bytes(row["bytes"]) if row["bytes"] else ""
        say(f"call     {name:<34}{row['count']:>9,}{row['seconds'] * share:>10.2f} %{size:>12}")
