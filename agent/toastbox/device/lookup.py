"""Looking for many things in the index at once: a query for each would cost more than what it finds."""

import sqlite3
from collections.abc import Sized

from toastbox.device.row import prefix_of

LOOKUP = 256  # looked for by one query


def known_keys(db: sqlite3.Connection, keys: list[bytes]) -> set[bytes]:
    """Those of these keys that have a row."""
    known: set[bytes] = set()
    for at in range(0, len(keys), LOOKUP):
        part = keys[at : at + LOOKUP]
        known.update(key for (key,) in db.execute(f"SELECT key FROM entry WHERE key IN ({_marks(part)})", part))
    return known


def unknown_chunks(db: sqlite3.Connection, digests: list[bytes]) -> set[bytes]:
    """Those of these chunks that no file here has, for certain: Index.holders would say none."""
    unknown: set[bytes] = set()
    for at in range(0, len(digests), LOOKUP):
        prefixes = {prefix_of(digest): digest for digest in digests[at : at + LOOKUP]}
        marks = _marks(prefixes)
        found = db.execute(
            f"SELECT prefix FROM entry WHERE prefix IN ({marks}) AND prefix != 0"
            f" UNION SELECT prefix FROM piece WHERE prefix IN ({marks})",
            (*prefixes, *prefixes),
        )
        for (prefix,) in found:
            del prefixes[prefix]
        unknown.update(prefixes.values())
    return unknown


def _marks(looked_for: Sized) -> str:
    return ",".join("?" * len(looked_for))
