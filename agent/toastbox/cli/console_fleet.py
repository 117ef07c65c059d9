"""console --all: many boards set up at once, each with a pairing code of its own, and a table of what came of it.

The script is TOML:

    ports = ["/dev/ttyUSB*"]         # patterns; or a [[board]] for each
    hostname = "sign-{n:03}"         # n counts the boards from 1, in the order of their ports
    password_file = "console.txt"    # of consoles that have one
    wait_s = 60                      # for each board to answer first
    attempts = 2                     # a board that fails is begun anew

    [set]                            # for all; a secret may be { file = "PATH" }
    "wifi.ssid" = "shop"
    "wifi.password" = { file = "wifi.txt" }

    [pair]                           # left out: not paired
    data = "/var/lib/toastbox"       # a hub's data folder on this machine; or
    # invite = ["ssh", "hub", "toastbox", "invite"]
    # folder = "signs"               # with data
    # hub = "https://hub:8269"       # where boards reach it; left out: they look on their LAN

    [[board]]                        # one board, with what differs
    port = "/dev/ttyACM0"
    set = { hostname = "window" }

A code is made when its board has answered and taken its settings, so none is spent on a board that is not there. Paths
in the script are looked for beside it.
"""

import glob
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from toastbox.cli.console import check_code, check_settings, read_secret
from toastbox.cli.console_client import BoardRefused, Client
from toastbox.cli.console_port import Wire
from toastbox.errors import ToastboxError, WrongUse
from toastbox.output import Progress, say_json, say_table

MOST_AT_ONCE = 64
INVITE_TIMEOUT_S = 60
KEYS = {"ports": list, "hostname": str, "password_file": str, "wait_s": int, "attempts": int}
TABLES = {"set": dict, "pair": dict, "board": list}
PAIR_KEYS = {"data": str, "invite": list, "folder": str, "hub": str}


class Job(NamedTuple):
    """One board: where, and what it is told."""

    port: str
    values: dict[str, str]


class Outcome(NamedTuple):
    """error "": all was done."""

    port: str
    hostname: str
    board: str
    device: str
    attempts: int
    seconds: float
    error: str


class Script:
    """What is to be done, checked before any port is opened. WrongUse names the key."""

    def __init__(self, path: Path) -> None:
        try:
            document = tomllib.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise WrongUse(f"{path} cannot be read as a script: {error}") from error
        self._place = path.parent
        check_kinds(document, {**KEYS, **TABLES}, str(path))
        check_kinds(document.get("pair", {}), PAIR_KEYS, "pair")
        self.pairs = "pair" in document
        self.pair: dict[str, Any] = document.get("pair", {})
        if self.pairs and ("data" in self.pair) == ("invite" in self.pair):
            raise WrongUse("pair: give data (a hub's folder here) or invite (a command that prints a code)")
        self.wait_s = document.get("wait_s", 30)
        self.attempts = max(1, document.get("attempts", 2))
        named = document.get("password_file")
        self.password = read_secret(str(self._place / named)) if named else ""
        self.jobs = self._jobs(document)

    def _jobs(self, document: dict[str, Any]) -> list[Job]:
        common = self._values(document.get("set", {}), "set")
        found: list[tuple[str, dict[str, str]]] = []
        found += [(port, {}) for pattern in document.get("ports", []) for port in sorted(glob.glob(str(pattern)))]
        for number, board in enumerate(document.get("board", []), 1):
            check_kinds(board, {"port": str, "set": dict}, f"board {number}")
            if "port" not in board:
                raise WrongUse(f"board {number}: port is missing")
            found.append((board["port"], self._values(board.get("set", {}), f"board {number}")))
        if not found:
            raise WrongUse("the script names no port that is there: 'toastbox console --list' shows them")
        ports = [port for port, _ in found]
        if len(set(ports)) != len(ports):
            raise WrongUse("the script names a port twice")
        return [Job(port, self._merged(common, own, document, at)) for at, (port, own) in enumerate(found, 1)]

    def _merged(
        self, common: dict[str, str], own: dict[str, str], document: dict[str, Any], number: int
    ) -> dict[str, str]:
        values = dict(common)
        if "hostname" in document:
            try:
                values["hostname"] = document["hostname"].format(n=number)
            except (ValueError, LookupError) as error:
                raise WrongUse("hostname: only {n} may be in braces, as in sign-{n:03}") from error
        return check_settings({**values, **own})

    def _values(self, table: dict[str, Any], where: str) -> dict[str, str]:
        """Keys may be quoted with their dot, or tables."""
        found: dict[str, str] = {}
        for key, value in table.items():
            if isinstance(value, dict) and set(value) == {"file"}:
                found[key] = read_secret(str(self._place / str(value["file"])))
            elif isinstance(value, dict):
                inner = self._values(value, where)
                found.update((f"{key}.{name}", each) for name, each in inner.items())
            elif isinstance(value, str):
                found[key] = value
            else:
                raise WrongUse(f"{where}: {key} must be text")
        return found

    def code(self) -> str:
        """A fresh pairing code. ToastboxError: there is none to be had."""
        command = self.pair.get("invite")
        if command is None:
            command = [sys.executable, "-m", "toastbox", "invite", "--data", str(self._place / self.pair["data"])]
            command += ["--folder", self.pair["folder"]] if "folder" in self.pair else []
        try:
            done = subprocess.run(
                [str(word) for word in command], capture_output=True, text=True, timeout=INVITE_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToastboxError(f"no pairing code: {error}") from error
        if done.returncode:
            raise ToastboxError(f"no pairing code: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
        return check_code(done.stdout.strip())


def check_kinds(table: Mapping[str, Any], kinds: Mapping[str, type], where: str) -> None:
    for key, value in table.items():
        if key not in kinds:
            raise WrongUse(f"{where}: there is no key {key!r}; there are {', '.join(kinds)}")
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise WrongUse(f"{where}: {key} must be of kind {kinds[key].__name__}")


def provision(path: Path, speed: int, as_json: bool) -> int:
    """Every board of the script; exit code 1 when one was not done."""
    script = Script(path)
    inviting = threading.Lock()
    with Progress() as progress, ThreadPoolExecutor(min(MOST_AT_ONCE, len(script.jobs))) as pool:
        futures = [pool.submit(work, job, script, speed, inviting) for job in script.jobs]
        outcomes = []
        for future in futures:
            progress.show(f"{sum(each.done() for each in futures)} of {len(futures)} boards")
            outcomes.append(future.result())
    if as_json:
        say_json([each._asdict() for each in outcomes])
    else:
        show(outcomes)
    return 1 if any(each.error for each in outcomes) else 0


def show(outcomes: list[Outcome]) -> None:
    rows = [
        (
            each.port,
            each.hostname,
            each.board,
            each.device,
            each.attempts,
            f"{each.seconds:.1f} s",
            each.error or "done",
        )
        for each in outcomes
    ]
    say_table(("PORT", "HOSTNAME", "BOARD", "DEVICE", "TRIES", "TIME", "RESULT"), rows)


def work(job: Job, script: Script, speed: int, inviting: threading.Lock) -> Outcome:
    """One board, from the beginning as often as the script allows. Never raises a failure of this board."""
    begun_s = time.monotonic()
    hello: dict[str, Any] = {}
    device, error, attempt = "", "", 0
    while attempt < script.attempts:
        attempt += 1
        wire = Wire(job.port, speed)
        try:
            wire.open()
            client = Client(wire)
            hello = client.connect(script.password, script.wait_s)
            device = set_up(client, job, script, inviting)
            error = ""
            break
        except ToastboxError as failure:
            error = str(failure)
            if isinstance(failure, BoardRefused) and failure.code in ("wrong-use", "refused"):
                break
        finally:
            wire.close()
    hostname = job.values.get("hostname", str(hello.get("hostname", "")))
    seconds = round(time.monotonic() - begun_s, 1)
    return Outcome(job.port, hostname, str(hello.get("board", "")), device, attempt, seconds, error)


def set_up(client: Client, job: Job, script: Script, inviting: threading.Lock) -> str:
    """The name under which the board was paired; "": it was not to be."""
    if job.values:
        client.ask("set", values=job.values)
    if not script.pairs:
        return ""
    status = client.ask("status")
    if status.get("paired"):
        raise BoardRefused(f"is paired already as {status.get('device')}: 'unpair' it first", "refused")
    with inviting:
        code = script.code()
    args = {"hub": script.pair["hub"]} if "hub" in script.pair else {}
    return str(client.ask("pair", code=code, **args).get("device", ""))
