"""join, agent, sync: what runs on a device."""

import argparse
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toastbox.cli.service import set_up_log
from toastbox.config import NOTHING, AgentSettings, changed
from toastbox.device import control
from toastbox.device.state import Store
from toastbox.errors import SafetyRefused, ToastboxError, WrongUse
from toastbox.output import Progress, printable, say, warn

if TYPE_CHECKING:
    from toastbox.device.interfaces import Credentials
    from toastbox.device.preview import Preview
    from toastbox.device.whereabouts import Whereabouts

MAX_NAME = 64
MAX_CODE = 256
BUDGET = ("arena", "sqlite_cache", "window")


# --- join


def join(options: argparse.Namespace) -> int:
    """Pair, and bind the folder. Run again after a lost answer, the same code gets the same."""
    from toastbox.device import remote

    code = sys.stdin.readline(MAX_CODE).strip() if options.code == "-" else options.code
    name = options.name if options.name is not None else socket.gethostname()
    if not 0 < len(name.encode()) <= MAX_NAME or not name.isprintable():
        raise WrongUse(f"a device's name has 1 to {MAX_NAME} printable bytes: choose one with --name")
    fingerprint = fingerprint_of(code)
    with Store.create(options.folder) as store:
        if store.joined() and not options.again:
            raise WrongUse(f"{store.folder} is paired already{_as_whom(store)}: to pair it anew, add --again")
        with store.locked():
            url = options.hub or find_hub(fingerprint)
            credentials = remote.pair(url, code, name, store.pairing_key(code))
            store.accept(credentials)
            store.remember_root()
    _welcome(store, credentials)
    return 0


def _as_whom(store: Store) -> str:
    with suppress(WrongUse):
        credentials = store.credentials()
        return f" as {credentials.name!r} with {credentials.url}"
    return ""


def _welcome(store: Store, credentials: "Credentials") -> None:
    say(
        f"{store.folder} is now {printable(credentials.folder_name)!r} of {credentials.url}, "
        f"this device is {printable(credentials.name)!r}. Next: toastbox agent {store.folder}"
    )


def fingerprint_of(code: str) -> bytes:
    """The hub's fingerprint in a pairing code. WrongUse: it is mistyped."""
    from toastbox.core.pairing import decode_code

    try:
        return decode_code(code)[0]
    except ValueError as error:
        raise WrongUse(f"this is not a pairing code ({error}): copy it whole, or ask for another") from error


def find_hub(fingerprint: bytes) -> str:
    """URL of the hub on the LAN that has this fingerprint. WrongUse: none is found."""
    from toastbox import announce

    with Progress() as progress:
        progress.show("looking for the hub on the LAN")
        for found in announce.find_hub(fingerprint.hex()):
            return found.url
    raise WrongUse("the hub of this code is not found on the LAN: name it with --hub https://HOST:PORT")


# --- agent


def agent(options: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C."""
    set_up_log()
    from toastbox.device.begin import run

    with Store.open(options.folder) as store, store.locked(), store.healing():
        settings = settings_of(store, options.board or "", budget_of(options))
        changes: dict[str, Any] = {}
        if options.listen:
            changes["listen"] = options.listen
        if options.no_announce:
            changes["announce"] = False
        if options.accept_deletes:
            changes["accept_deletes"] = True
        run(store, replace(settings, **changes))
    return 0


def settings_of(store: Store, board: str = "", budget: Mapping[str, int] = NOTHING) -> AgentSettings:
    """What config.toml says, and for the rest what the board says: the one named, else config.toml's own.

    budget: options that go before both. WrongUse: a budget that cannot work.
    """
    board = board or store.settings().board
    settings = store.settings(_board_settings(board) if board else None)
    return changed(replace(settings, board=board), budget)


def _board_settings(board: str) -> Mapping[str, Any]:
    from toastbox import boards  # what checks them takes a tenth of a start

    return boards.load(board).agent


def budget_of(options: argparse.Namespace) -> dict[str, int]:
    """What the command line says of memory."""
    return {name: getattr(options, name) for name in BUDGET if getattr(options, name) is not None}


# --- sync


def sync(options: argparse.Namespace) -> int:
    """One shot: by the running agent if there is one, else in this process."""
    set_up_log()
    with Store.open(options.folder) as store:
        if options.dry_run:
            return preview(store, options)
        if store.paused:
            raise paused(store.folder)
        status = _by_agent(store, options.accept_deletes)
        if status is None:
            status = _alone(store, options)
    return conclude(status, store.folder)


def _by_agent(store: Store, accept_deletes: bool) -> dict[str, Any] | None:
    """Status after the running agent went round, with counts of this round only; None: there is none."""
    before = control.ask(store.identity(), {"do": "status"})
    if before is None:
        return None
    with Progress() as progress:
        progress.show("the running agent syncs")
        after = control.ask(store.identity(), {"do": "sync", "accept_deletes": accept_deletes}, timeout_s=None)
    if after is not None:
        after["counts"] = {name: count - before["counts"].get(name, 0) for name, count in after["counts"].items()}
    return after


def _alone(store: Store, options: argparse.Namespace) -> dict[str, Any]:
    """Status after a sync in this process."""
    from toastbox.device.once import sync_once

    settings = settings_of(store, budget=budget_of(options))
    with store.locked(), store.healing(), Progress() as progress:
        return sync_once(store, settings, options.accept_deletes, progress.show, where_of(store, settings))


def conclude(status: dict[str, Any], folder: Path) -> int:
    """Say what was done and what was not; the exit code."""
    counts = status.get("counts", {})
    done = [f"{counts[name]} {name}" for name in ("received", "sent", "deleted", "conflicts") if counts.get(name)]
    if done:
        say(", ".join(done))
    for held in status.get("held", []):
        warn(f"held back: {held['path']}: {held['reason']}")
    if status.get("held_deletes"):
        raise SafetyRefused(
            f"{status['held_deletes']} deletions are held: if they are meant, "
            f"run 'toastbox sync --accept-deletes {folder}'"
        )
    if status["state"] == "paused":
        raise paused(folder)
    if status["state"] != "in sync":
        raise ToastboxError(status.get("error") or f"not in sync: {status['state']}")
    return 0


def where_of(store: Store, settings: AgentSettings) -> "Whereabouts":
    """Where the hub may be: a hub that has moved is looked for on the LAN, unless the settings want no LAN."""
    from toastbox.device.tls import certificate_bytes
    from toastbox.device.whereabouts import Place, Whereabouts
    from toastbox.neighbours import hub_id

    identity = hub_id(certificate_bytes(store.credentials().ca))

    def look() -> list[Place]:
        from toastbox.announce import find_hub

        with suppress(OSError):  # no network to ask: that the hub does not answer says enough
            return [(found.address, found.port) for found in find_hub(identity)]
        return []

    return Whereabouts(look if settings.announce else None)


def paused(folder: Path) -> ToastboxError:
    return ToastboxError(f"the folder is paused: end that with 'toastbox resume {folder}'")


def preview(store: Store, options: argparse.Namespace) -> int:
    """Print what a sync would do."""
    from toastbox.device.once import preview_once

    settings = settings_of(store, budget=budget_of(options))
    preview_once(store, settings, show_preview, where_of(store, settings))
    return 0


def show_preview(found: "Preview") -> None:
    """A line for each step: where, what, path."""
    for step in found.steps():
        to = f" -> {printable(step.path_to)}" if step.path_to else ""
        say(f"{step.where}\t{step.what}\t{printable(step.path)}{to}")
    if found.would_hold_deletions:
        warn(f"{found.deletions} deletions would be held until --accept-deletes")
