"""What `toastbox status` tells where no agent runs: read from the state on disk, in the agent's own shape.

See device/agent.py for a running agent's answer; what only a running one has (memory, traffic, counts) is missing.
"""

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from toastbox.core.names import path_of
from toastbox.device.state import Store

MOST_HELD = 1000


class Agreed(NamedTuple):
    """What the index knows. held: (path, reason) of entries that cannot be applied here."""

    cursor: int
    epoch: int
    entries: int
    held: list[tuple[bytes, str]]


NOTHING = Agreed(0, 0, 0, [])


def summarize(store: Store) -> dict[str, Any]:
    """The state on disk. WrongUse: the stored pairing is damaged."""
    credentials = store.credentials()
    agreed = read_index(store.index_path)
    return {
        "running": False,
        "name": credentials.name,
        "hub": credentials.url,
        "folder": credentials.folder,
        "state": "paused" if store.paused else "not running",
        "error": "",
        "epoch": str(agreed.epoch),
        "cursor": agreed.cursor,
        "entries": agreed.entries,
        "held": [{"path": path.decode("utf-8", "backslashreplace"), "reason": why} for path, why in agreed.held],
    }


def read_index(path: str) -> Agreed:
    """The agreed state; zeros when there is none yet. Another process may be writing it meanwhile."""
    if not Path(path).exists():
        return NOTHING
    db = sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)
    try:
        meta = dict(db.execute("SELECT name, value FROM meta"))
        entries = db.execute("SELECT count(*) FROM entry").fetchone()[0]
        held = db.execute(f"SELECT key, reason FROM held ORDER BY key LIMIT {MOST_HELD}").fetchall()
    except sqlite3.OperationalError:  # a first start that has not come to the tables
        return NOTHING
    finally:
        db.close()
    cursor, epoch = int(meta.get("cursor", 0)), int(meta.get("epoch", 0))
    return Agreed(cursor, epoch, entries, [(path_of(key), reason) for key, reason in held])
