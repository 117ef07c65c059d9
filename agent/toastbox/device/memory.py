"""How much memory this process has, and where: the figures of `toastbox status`."""

from typing import Any

from toastbox.config import AgentSettings
from toastbox.native.arena import Arena


def memory_figures(arena: Arena, settings: AgentSettings) -> dict[str, Any]:
    """Bytes: resident and private now, resident at most; the arena by region; SQLite's page cache at most."""
    status = _kilobytes("/proc/self/status")
    rollup = _kilobytes("/proc/self/smaps_rollup")
    return {
        "resident": status.get("VmRSS", 0),
        "resident_peak": status.get("VmHWM", 0),
        "private": rollup.get("Private_Clean", 0) + rollup.get("Private_Dirty", 0),
        "sqlite_cache": settings.sqlite_cache,
        "arena": [part._asdict() for part in arena.stats()],
    }


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
