"""hub, invite, devices, plain, revoke, folders, prune: what runs where the hub's data folder is."""

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toastbox.errors import WrongUse
from toastbox.output import Progress, printable, say, say_json, say_table, warn, when
from toastbox.quantity import show_bytes

if TYPE_CHECKING:
    from toastbox.hub.admin import Admin

ROOT_DATA = "/var/lib/toastbox"
CONFIG = "config.toml"
JOURNAL = "journal.db"  # what a data folder is known by
LOCK = "lock"  # what a hub makes before its journal
STARTS_S = 30.0
EMBEDDED = "embedded"
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


def default_data() -> Path:
    """Where this user's hub keeps its data when nothing else is said."""
    if os.geteuid() == 0:
        return Path(ROOT_DATA)
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(home) / "toastbox-hub"


def open_hub(data: str | None) -> "Admin":
    """The hub whose data folder is `data`. WrongUse: nothing of a hub is there, and none must be made by mistake."""
    place = Path(data) if data else default_data()
    if not _is_hub(place):
        raise WrongUse(f"{place} holds no hub: name its folder with --data, or start one with 'toastbox hub'")
    from toastbox.hub.admin import Admin

    return Admin(place)


def _is_hub(place: Path) -> bool:
    """Whether a hub is there. One that is starting for the first time, which takes a board seconds, is waited for."""
    end_s = time.monotonic() + STARTS_S
    with Progress() as progress:
        while (place / LOCK).exists() and not (place / JOURNAL).exists() and time.monotonic() < end_s:
            progress.show("the hub is only starting")
            time.sleep(0.1)
    return (place / JOURNAL).exists()


def hub(options: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C."""
    import logging
    from dataclasses import replace

    from toastbox.config import HubSettings, load_hub, write_example

    _require_embedded(options)
    data = Path(options.data) if options.data else default_data()
    settings = load_hub(data / CONFIG)
    if options.listen:
        settings = replace(settings, listen=options.listen)
    if options.listen_plain:
        settings = replace(settings, listen_plain=options.listen_plain)
    if options.no_announce:
        settings = replace(settings, announce=False)
    from toastbox.hub.server import run

    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    write_example(data / CONFIG, HubSettings)
    run(data, settings, restored=options.restored)
    return 0


def _require_embedded(options: argparse.Namespace) -> None:
    for name, url in (("journal", options.journal), ("chunks", options.chunks)):
        if url != EMBEDDED:
            raise WrongUse(f"--{name} {url!r} is not in this version: leave it out, to use what is embedded")


def invite(options: argparse.Namespace) -> int:
    """The code alone goes to stdout, so that it can be piped to a serial line."""
    with open_hub(options.data) as admin:
        if options.folder and all(folder["name"] != options.folder for folder in admin.folders()):
            admin.create_folder(options.folder)
            warn(f"the hub has a new folder {options.folder!r}")
        if options.plain and not admin.listens_plain():
            warn("the hub does not listen without TLS, so nobody can use this code: start it with --listen-plain")
        say(admin.invite(options.ttl, options.folder or "", options.plain))
    return 0


def devices(options: argparse.Namespace) -> int:
    with open_hub(options.data) as admin:
        found = admin.devices()
    if options.json:
        say_json(found)
        return 0
    rows = [(each["number"], each["name"], each["folder"], when(each["created"]), _notes(each)) for each in found]
    say_table(("NUMBER", "NAME", "FOLDER", "PAIRED", ""), rows)
    return 0


def _notes(device: dict[str, Any]) -> str:
    if device["revoked"]:
        return "revoked"
    notes = ["plain"] * device["plain"] + ["used by two machines at once: revoke it, pair both anew"] * device["twice"]
    return ", ".join(notes)


def plain(options: argparse.Namespace) -> int:
    allowed = options.state == "on"
    with open_hub(options.data) as admin:
        number = admin.set_plain(options.name, allowed, options.folder or "")
    told = "may ask over plain HTTP, signed: who listens can read what it sends and gets"
    say(f"device {number}, {printable(options.name)!r}, {told if allowed else 'needs TLS'}")
    return 0


def revoke(options: argparse.Namespace) -> int:
    with open_hub(options.data) as admin:
        number = admin.revoke(options.name, options.folder or "")
    say(f"device {number}, {printable(options.name)!r}, is cut off; what it has, it keeps")
    return 0


def folders(options: argparse.Namespace) -> int:
    with open_hub(options.data) as admin:
        found = admin.folders()
    if options.json:
        say_json(found)
        return 0
    rows = [(each["name"], each["live"], each["seq"], each["devices"], each["folder"]) for each in found]
    say_table(("NAME", "ENTRIES", "SEQ", "DEVICES", "ID"), rows)
    return 0


def prune(options: argparse.Namespace) -> int:
    with open_hub(options.data) as admin, Progress() as progress:
        progress.show("pruning")
        gone = admin.prune()
    say(f"{gone['versions']} versions and {gone['chunks']} chunks gone, {show_bytes(gone['bytes'])} free again")
    return 0
