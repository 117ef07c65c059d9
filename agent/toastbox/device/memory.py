"""How much memory this process has, and where: the figures of `toastbox status`, and of the line that a run logs."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from toastbox.config import AgentSettings
from toastbox.native import posix
from toastbox.native.arena import Arena
from toastbox.quantity import show_bytes

UNLIMITED = 1 << 60  # version 1 writes the largest number it has
SHORT_BYTES = 64 << 20

_log = logging.getLogger(__name__)


def memory_figures(arena: Arena, settings: AgentSettings) -> dict[str, Any]:
    """Bytes. resident and private: of the process now, resident_peak: at most so far.

    arena: by region; arena_size: all of it, arena_resident: what of it is in memory. sqlite: allocated by SQLite, of
    which the page cache may have sqlite_cache. libc_heap: malloc's, SQLite's and OpenSSL's included. python_heap:
    anonymous memory that is neither: the interpreter's objects, in python_blocks pieces, and the stacks of threads.
    """
    status = _kilobytes("/proc/self/status")
    rollup = _kilobytes("/proc/self/smaps_rollup")
    heap, arena_resident = posix.malloc_figures(), arena.resident_bytes()
    anonymous = rollup.get("Anonymous", 0)
    return {
        "resident": status.get("VmRSS", 0),
        "resident_peak": status.get("VmHWM", 0),
        "private": rollup.get("Private_Clean", 0) + rollup.get("Private_Dirty", 0),
        "python_heap": max(anonymous - arena_resident - heap.held, 0),
        "python_blocks": sys.getallocatedblocks(),
        "libc_heap": heap.held,
        "libc_heap_in_use": heap.in_use,
        "sqlite": posix.sqlite_memory(),
        "sqlite_cache": settings.sqlite_cache,
        "arena_size": arena.size_bytes,
        "arena_resident": arena_resident,
        "arena": [part._asdict() for part in arena.stats()],
    }


def memory_limit(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """The least limit of the cgroups this process is in, version 1 or 2; 0: none."""
    found = []
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return 0
    for _, controllers, place in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "memory":
            found += _limits(root / "memory", place, "memory.limit_in_bytes")
        elif not controllers:
            found += _limits(root, place, "memory.max") + _limits(root / "unified", place, "memory.max")
    return min((limit for limit in found if limit < UNLIMITED), default=0)


def _limits(root: Path, place: str, name: str) -> list[int]:
    """Of a group and of those above it."""
    texts = []
    group = root / place.lstrip("/")
    for folder in (group, *group.parents):
        with suppress(OSError):
            texts.append((folder / name).read_text().strip())
        if folder == root:
            break
    return [int(text) for text in texts if text.isdecimal()]


def bytes_to_free(limit: int) -> int:
    """How much a device of this limit makes free after each flush; 0 where memory is not so short.

    A batch of a thousand new files leaves some megabytes of inodes in the kernel's cache, which count. In the middle of
    an operation of the file system the kernel cannot let them go: it would find nothing to free, and kill us.
    """
    return limit // 12 if 0 < limit <= SHORT_BYTES else 0


def log_memory(arena: Arena, settings: AgentSettings) -> None:
    """One line at the end of a run, for who wants it (TOASTBOX_LOG=info)."""
    if _log.isEnabledFor(logging.INFO):
        _log.info("%s", memory_line(memory_figures(arena, settings)))


def memory_line(figures: dict[str, Any]) -> str:
    names = ("resident", "resident_peak", "private", "python_heap", "libc_heap", "sqlite", "sqlite_cache", "arena_size")
    words = [f"{name.replace('_', ' ')} {show_bytes(figures[name])}" for name in names]
    for part in figures["arena"]:
        used, most = show_bytes(part["in_use_bytes"]), show_bytes(part["peak_bytes"])
        words.append(f"region {part['name']} {used} in use, peak {most}, {part['refusals']} refusals")
    return "memory: " + ", ".join(words)


def _kilobytes(path: str) -> dict[str, int]:
    """The lines `Name:  N kB` of a file of /proc, in bytes. A kernel without the file gives no figures."""
    figures = {}
    try:
        with open(path) as file:
            for line in file:
                words = line.split()
                if len(words) == 3 and words[2] == "kB":
                    figures[words[0].rstrip(":")] = int(words[1]) << 10
    except FileNotFoundError:
        return {}
    return figures
