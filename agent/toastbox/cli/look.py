"""status, pause, resume, discover: looking, and telling a running agent to rest."""

import argparse
from typing import Any

from toastbox.device import control
from toastbox.device.state import Store
from toastbox.output import Progress, printable, say, say_json, say_table
from toastbox.quantity import show_bytes

MOST_SHOWN = 20
SIZES = (
    "resident", "resident_peak", "private", "python_heap", "libc_heap", "sqlite", "sqlite_cache", "arena_size",
)  # fmt: skip


# --- status


def status(options: argparse.Namespace) -> int:
    """From the running agent, else from the state on disk."""
    with Store.open(options.folder) as store:
        found = control.ask(store.identity(), {"do": "status"})
        if found is None:
            from toastbox.device.summary import summarize

            found = summarize(store)
        found["path"] = str(store.folder)
    found.pop("ok", None)
    if options.json:
        say_json(found)
    else:
        show(found)
    return 0


def show(found: dict[str, Any]) -> None:
    """A running agent's status (device/agent.py), or that on disk (device/summary.py), in lines."""
    behind = max(0, found.get("head", 0) - found["cursor"])
    _line("folder", f"{found['path']} on {found['name']}, hub {found['hub']}")
    _line("state", found["state"] + (f": {found['error']}" if found["error"] else ""))
    _line("cursor", f"{found['cursor']}" + (f", {behind} behind" if behind else ""))
    _line("entries", f"{found['entries']:,}")
    if found["running"]:
        _show_running(found)
    if found.get("held_deletes"):
        _line("held", f"{found['held_deletes']} deletions, until 'toastbox sync --accept-deletes'")
    for held in found["held"][:MOST_SHOWN]:
        _line("held", f"{held['path']}: {held['reason']}")
    if len(found["held"]) > MOST_SHOWN:
        _line("held", f"and {len(found['held']) - MOST_SHOWN} more, all of them with --json")


def _show_running(found: dict[str, Any]) -> None:
    """What only a running agent has."""
    _line("since start", ", ".join(f"{count} {name}" for name, count in found["counts"].items()))
    _line("traffic", ", ".join(f"{show_bytes(count)} {name}" for name, count in found["traffic"].items()))
    _line("watching", f"{found['watch']['folders']} folders {found['watch']['trouble']}")
    memory = found["memory"]
    sizes = (f"{name.replace('_', ' ')} {show_bytes(memory[name])}" for name in SIZES if name in memory)
    _line("memory", ", ".join(sizes))
    for part in memory["arena"]:
        used = f"{show_bytes(part['in_use_bytes'])} of {show_bytes(part['size_bytes'])} in use"
        most = f"peak {show_bytes(part['peak_bytes'])}, {part['refusals']} refusals"
        _line(f"arena {part['name']}", f"{used}, {most}")


def _line(name: str, text: str) -> None:
    say(f"{name + ':':<16}{printable(text.strip())}")


# --- pause, resume


def pause(options: argparse.Namespace) -> int:
    return _set_paused(options, True)


def resume(options: argparse.Namespace) -> int:
    return _set_paused(options, False)


def _set_paused(options: argparse.Namespace, paused: bool) -> int:
    """The mark on disk holds over restarts; a running agent is told at once."""
    with Store.open(options.folder) as store:
        store.paused = paused
        control.ask(store.identity(), {"do": "pause" if paused else "resume"})
    return 0


# --- discover


def discover(options: argparse.Namespace) -> int:
    """Everything of ours that answers within the time."""
    from toastbox.announce import discover as listen

    with Progress() as progress:
        progress.show(f"listening for {options.timeout} s")
        found = listen(options.timeout)
    if options.json:
        say_json([each._asdict() for each in found])
    else:
        say_table(("ROLE", "NAME", "ADDRESS", "ID"), [(each.role, each.name, each.url, each.id) for each in found])
    return 0
