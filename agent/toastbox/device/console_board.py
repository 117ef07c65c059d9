"""What the console's commands do on a Linux board: settings, pairing, status, and leaving it all behind.

The agent is another process, started again by the image when it ends. Pairing runs as a command of its own: what it
needs (TLS, zeroconf) is not kept in the memory of a process that waits for keys. What other commands need is imported
when the first of them comes, so that a console that nobody uses stays small.

Leaving a hub has an order that a power cut cannot turn into harm: credentials first (from then on no agent starts),
then the agent ends, then the index goes (a new pairing compares everything), and only then a factory reset removes
files. So no agent ever sees files vanish that it would report as deleted.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from toastbox import __version__
from toastbox.core import console_settings as known
from toastbox.core.console import PHRASE, REFUSED, WRONG, Answer
from toastbox.device.console_store import SettingsFile
from toastbox.device.console_wifi import JOINED
from toastbox.device.console_wifi import REFUSED as WIFI_REFUSED
from toastbox.errors import SafetyRefused, ToastboxError, WrongUse

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing and pathlib take a megabyte of a process that only waits for keys
    from collections.abc import Callable
    from typing import Any

    from toastbox.device.console_system import System
    from toastbox.device.state import Store

JOIN_TIMEOUT_S = 90.0
WIFI_TIMEOUT_S = 40.0
WIFI_SETTLES_S = 3  # what is told before may be of the settings before
AGENT_ENDS_S = 15.0
SLOWEST_DELAY_S = 5.0
PROTOCOL = 1
MAX_LOG_CHARACTERS = 8192
MAX_LOG_LINE = 300
SYSTEM_KEYS = ("hostname", "wifi.", "network.")
AGENT_KEYS = ("name", "mode", "limit.", "schedule", "time.offset")


class Refusal(Exception):
    """A command is not done; code: of core/console.py."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Board:
    """Does commands, one at a time. after: to be done once the last answer has left the wire; None: nothing."""

    def __init__(
        self,
        settings: SettingsFile,
        system: System,
        folder: str | os.PathLike[str],
        name: str,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.after: Callable[[], None] | None = None
        self._settings = settings
        self._system = system
        self._folder = os.fspath(folder)
        self._name = name
        self._wait = wait
        self._failures = 0

    def needs_password(self) -> bool:
        return self._settings.has_password()

    def do(self, name: str, args: dict[str, Any]) -> Answer:
        """The answer to a command, whatever happens."""
        try:
            return Answer(getattr(self, "_" + name.replace("-", "_"))(**args))
        except Refusal as refusal:
            return Answer(None, str(refusal), refusal.code)
        except WrongUse as error:
            return Answer(None, str(error), WRONG)
        except SafetyRefused as error:
            return Answer(None, str(error), REFUSED)
        except (ToastboxError, OSError) as error:
            return Answer(None, str(error), "failed")

    # --- who is there

    def _hello(self) -> dict[str, Any]:
        found = {"protocol": PROTOCOL, "version": __version__, "hostname": self._hostname(), "board": self._name}
        return {**found, "boot": self._system.boot()}

    def _hostname(self) -> str:
        chosen = self._settings.get("hostname")
        return os.uname().nodename if chosen == known.default("hostname") else chosen

    def _auth(self, password: str) -> None:
        """Each failure in a row makes the next answer slower."""
        if not self._settings.is_password(password):
            self._failures += 1
            self._wait(min(0.25 * 2**self._failures, SLOWEST_DELAY_S))
            raise Refusal(REFUSED, "wrong password")
        self._failures = 0

    def _info(self) -> dict[str, Any]:
        machine = os.uname()
        name = self._settings.get("name") or self._hostname()
        found = {
            "firmware": "Toastbox",
            "version": __version__,
            "hardware": self._name or machine.machine,
            "name": name,
        }
        return {**found, "os": machine.sysname, "os_version": machine.release}

    def _get_hostname(self) -> dict[str, str]:
        return {"hostname": self._hostname()}

    def _get_name(self) -> dict[str, str]:
        return {"name": self._settings.get("name") or self._hostname()}

    # --- settings

    def _show(self) -> dict[str, str]:
        values = {**self._settings.all(), "hostname": self._hostname()}
        return {key: known.shown(key, values[key]) for key in known.names()}

    def _set(self, values: dict[str, str]) -> dict[str, str]:
        try:
            checked = {key: known.check(key, value) for key, value in values.items()}
        except ValueError as error:
            raise Refusal(WRONG, str(error)) from error
        before = self._settings.all()
        self._settings.set(checked)
        after = self._settings.all()
        self._apply([key for key in checked if after[key] != before[key]], after)
        return {key: known.shown(key, value) for key, value in checked.items()}

    def _apply(self, changed: list[str], values: dict[str, str]) -> None:
        of_agent = [key for key in changed if key.startswith(AGENT_KEYS)]
        if of_agent and self._is_joined():
            with _store().open(self._folder) as store:
                self._tell_agent(store, values)
                self._end_agent(store)
        of_system = [key for key in changed if key.startswith(SYSTEM_KEYS)]
        if of_system:
            self._system.apply(of_system, values)

    def _tell_agent(self, store: Store, values: dict[str, str]) -> None:
        """Settings of the agent that the console sets go before those of its own file."""
        store.set_board_settings(
            {
                "name": values["name"],
                "mode": values["mode"],
                "limit_up": int(values["limit.up"]),
                "limit_down": int(values["limit.down"]),
                "limit_schedule": values["schedule"],
                "limit_offset": values["time.offset"],
            }
        )

    # --- Wi-Fi and network

    def _wifi_scan(self) -> list[dict[str, Any]]:
        return self._system.wifi_scan()

    def _wifi_join(self, ssid: str, password: str) -> dict[str, str]:
        """Improv: set both, and wait until there is an address."""
        if not ssid:
            raise Refusal(WRONG, "a Wi-Fi name is missing")
        before = {key: self._settings.get(key) for key in ("wifi.ssid", "wifi.password")}
        self._set({"wifi.ssid": ssid, "wifi.password": password})
        state = ""
        for second in range(int(WIFI_TIMEOUT_S)):
            self._wait(1.0)
            state = self._wifi_state(ssid)
            if state in ("", JOINED) and self._system.wifi_address(ssid):  # it may have an own one before it is let in
                return {"url": ""}
            if second >= WIFI_SETTLES_S and state == WIFI_REFUSED:
                break
        self._set(before)
        raise ToastboxError(f"no address from {ssid!r}: {state or f'not within {WIFI_TIMEOUT_S:.0f} s'}")

    def _wifi_state(self, ssid: str) -> str:
        found = self._system.wifi_state()
        return found["state"] if found.get("network") == ssid else ""

    def _online(self) -> dict[str, Any]:
        return {"online": bool(self._system.wifi_address()), "url": ""}

    def _network(self) -> dict[str, Any]:
        return self._system.network()

    def _log(self, count: int = 20) -> list[str]:
        """The last lines that fit: an answer has a limit, and a slow line its time."""
        kept: list[str] = []
        left = MAX_LOG_CHARACTERS
        for line in reversed(self._system.log(count)):
            left -= len(line[:MAX_LOG_LINE]) + 1
            if left < 0:
                break
            kept.append(line[:MAX_LOG_LINE])
        return kept[::-1]

    # --- the hub

    def _is_joined(self) -> bool:
        try:
            with _store().open(self._folder):
                return True
        except SafetyRefused:
            return False

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = {"hostname": self._hostname(), "board": self._name, "version": __version__}
        found["uptime_s"] = int(time.monotonic())
        found["memory"] = {"available": _memory_available()}
        if wifi := self._system.wifi_state():
            found["wifi"] = wifi
        if not self._is_joined():
            return {**found, "paired": False, "state": "not paired"}
        with _store().open(self._folder) as store:
            agent = _ask(store)
            credentials = store.credentials()
        found.update({"paired": True, "device": credentials.name, "hub": credentials.url})
        if agent is None:
            return {**found, "state": "not running"}
        for key in ("state", "error", "cursor", "head", "entries"):
            found[key] = agent.get(key)
        found["memory"]["agent"] = agent.get("memory", {}).get("resident")
        return {**found, "held": len(agent.get("held", [])), "traffic": agent.get("traffic")}

    def _pair(self, code: str, hub: str = "") -> dict[str, str]:
        self._check_code(code)
        if self._is_joined():
            raise Refusal(REFUSED, "this board is paired already: 'unpair' first")
        values = self._settings.all()
        with _store().create(self._folder) as store:
            self._tell_agent(store, values)
        command = ["join", "-", self._folder, "--name", values["name"] or self._hostname()]
        if hub or values["hub"]:
            command += ["--hub", hub or values["hub"]]
        self._run(command, code)
        with _store().open(self._folder) as store:
            credentials = store.credentials()
        return {"device": credentials.name, "folder": credentials.folder_name, "hub": credentials.url}

    def _check_code(self, code: str) -> None:
        """Before it costs a minute: whether it came whole over the line."""
        from toastbox.core.pairing import decode_code

        try:
            decode_code(code)
        except ValueError as error:
            raise Refusal(WRONG, f"{error}: paste it again") from error

    def _run(self, words: list[str], given: str) -> None:
        import subprocess

        command = [sys.executable, "-s", "-m", "toastbox", *words]
        try:
            done = subprocess.run(
                command, input=given + "\n", text=True, capture_output=True, timeout=JOIN_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ToastboxError(f"the hub did not answer within {JOIN_TIMEOUT_S:.0f} s") from error
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["the pairing failed"]
            text = said[-1].removeprefix("toastbox: ")
            raise ToastboxError(text.replace("name it with --hub https://HOST:PORT", "name it with 'set hub'"))

    def _unpair(self) -> str:
        if not self._is_joined():
            raise Refusal(REFUSED, "this board is not paired")
        self._leave()
        return "no longer paired; the files stay"

    def _leave(self) -> None:
        if self._is_joined():
            with _store().open(self._folder) as store:
                store.leave()
        if not os.path.exists(os.path.join(self._folder, ".toastbox")):
            return
        with _store().create(self._folder) as store:
            for _ in range(int(AGENT_ENDS_S)):  # one that is just starting may not answer yet
                self._end_agent(store)
                if not store.is_locked():
                    break
                self._wait(1.0)
            with store.locked():
                store.forget_index()

    def _end_agent(self, store: Store) -> None:
        """The image starts it again, if it is still paired. ToastboxError: it does not end."""
        agent = _ask(store)
        if agent is None:
            return
        pid = int(agent["pid"])
        os.kill(pid, signal.SIGTERM)
        for _ in range(int(AGENT_ENDS_S * 10)):
            if _is_gone(pid):
                return
            self._wait(0.1)
        raise ToastboxError("the agent does not end: reboot the board")

    # --- the whole board

    def _reboot(self, boot: str = "") -> str:
        """boot: the start that is to end. One who did not hear the answer asks again, when that has ended already."""
        if boot and boot != self._system.boot():
            return "has started again"
        self.after = self._system.reboot
        return "starting again"

    def _poweroff(self) -> str:
        self.after = self._system.poweroff
        return "stopping; wait for the light to settle before the power is cut"

    def _factory_reset(self, phrase: str = "") -> str:
        wanted = f"erase {self._hostname()}"
        if phrase != wanted:
            raise Refusal(PHRASE, f"this erases settings, pairing and all files of the board. To go on, type: {wanted}")
        import shutil

        self._leave()
        for name in os.listdir(self._folder) if os.path.isdir(self._folder) else ():
            path = os.path.join(self._folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        self._settings.forget()
        os.sync()
        self.after = self._system.reboot
        return "erased; starting again"


def _store() -> type[Store]:
    from toastbox.device.state import Store

    return Store


def _ask(store: Store) -> dict[str, Any] | None:
    """A running agent's status; None: none runs."""
    from toastbox.device import asking

    return asking.ask(store.identity(), {"do": "status"})


def _memory_available() -> int:
    """Bytes that programs of this board can still have; 0: it does not tell."""
    try:
        with open("/proc/meminfo") as file:
            return next((1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:")), 0)
    except OSError:
        return 0


def _is_gone(pid: int) -> bool:
    """Not there, or there only for its parent to read how it ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in ("Z", "X")
