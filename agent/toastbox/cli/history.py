"""log, versions, restore: of a joined folder, by asking its hub; or on the hub itself, with --data."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from toastbox.errors import WrongUse
from toastbox.output import say, say_json, say_table, when
from toastbox.quantity import show_bytes

if TYPE_CHECKING:
    from toastbox.device.state import Store

STATE_NAME = ".toastbox"
HEADINGS = ("SEQ", "TIME", "DEVICE", "KIND", "SIZE", "PATH")


class History(Protocol):
    """What both a hub's data folder and a hub far away can tell. Entries: docs/SPEC.md section 4, /v1/log."""

    def log(self, before: int = 0, count: int = 100) -> list[dict[str, Any]]: ...

    def versions(self, path: bytes) -> list[dict[str, Any]]: ...

    def restore(self, path: bytes, seq: int) -> int: ...


def log(options: argparse.Namespace) -> int:
    with _history(options, Path(options.place)) as history:
        entries = history.log(options.before or 0, options.count)
    return _show(entries, options.json)


def versions(options: argparse.Namespace) -> int:
    with _history(options, Path(options.path)) as history:
        entries = history.versions(_inside(options))
    return _show(entries, options.json)


def restore(options: argparse.Namespace) -> int:
    with _history(options, Path(options.path)) as history:
        seq = history.restore(_inside(options), options.seq)
    say(f"version {options.seq} is now the newest, as {seq}")
    return 0


def _show(entries: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        say_json(entries)
    else:
        say_table(HEADINGS, map(_row, entries))
    return 0


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    size = show_bytes(entry["size"]) if entry["kind"] == "file" else "-"
    return entry["seq"], when(entry["time"]), _author(entry), entry["kind"], size, entry["path"]


def _author(entry: dict[str, Any]) -> str:
    """The device's name; its number if the hub is an older one and says no names."""
    return entry.get("name") or (str(entry["device"]) if entry["device"] else "(hub)")


# --- whose history, and the path in it


@contextmanager
def _history(options: argparse.Namespace, place: Path) -> Iterator[History]:
    if options.data:
        from toastbox.cli.hub import open_hub

        with open_hub(options.data) as admin:
            yield admin.history(options.folder or "")
        return
    if options.folder:
        raise WrongUse("--folder names a folder of a hub: give --data too")
    from toastbox.cli.device import settings_of, where_of
    from toastbox.device.remote import HubClient

    with _store_above(place) as store:
        client = HubClient(store.credentials(), where=where_of(store, settings_of(store)))
        try:
            yield client
        finally:
            client.close()


def _inside(options: argparse.Namespace) -> bytes:
    """PATH as the journal names it."""
    if options.data:
        return os.fsencode(options.path)
    with _store_above(Path(options.path)) as store:
        return os.fsencode(Path(os.path.abspath(options.path)).relative_to(store.folder))


def _store_above(place: Path) -> "Store":
    """State of the joined folder that a path, which need not exist, is in."""
    from toastbox.device.state import Store

    absolute = Path(os.path.abspath(place))
    for folder in (absolute, *absolute.parents):
        if (folder / STATE_NAME).is_dir():
            return Store.open(folder)
    raise WrongUse(f"{absolute} is in no joined folder: name one, or a hub's with --data")
