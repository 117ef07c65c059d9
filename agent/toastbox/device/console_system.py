"""What a console asks of the system it runs on, and the answer of an ordinary Linux.

An image may do each of these its own way: a program HOOKS/NAME, if there is one, is run in place of what is here.

| hook | arguments | does |
|---|---|---|
| apply | keys that changed | brings them into force: the settings file has them already |
| wifi-scan | | prints a line for each network: SIGNAL (dBm), SECURITY, NAME, with tabs between |
| log | count | prints the last lines of the log |
| reboot, poweroff | | |

Without a hook `apply` sets the host name and nothing else: how a network is brought up is the image's own.
"""

from __future__ import annotations

import os
import time

from toastbox.device.boot import boot_id
from toastbox.errors import ToastboxError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing and pathlib take a megabyte of a process that only waits for keys
    from collections.abc import Sequence
    from typing import Any, Protocol

    class System(Protocol):
        """Each may raise ToastboxError, whose text the person at the console reads."""

        def apply(self, keys: Sequence[str], values: dict[str, str]) -> None:
            """Bring these settings into force. values: all of them."""
            ...

        def wifi_scan(self) -> list[dict[str, Any]]:
            """ssid, signal (dBm), security of each network, strongest first."""
            ...

        def wifi_address(self, name: str = "") -> str:
            """The address that a wireless card has, on the network of this name if one is given; "": none."""
            ...

        def wifi_state(self) -> dict[str, str]:
            """`network` to be joined and the `state` of that, for people; {}: there is none."""
            ...

        def network(self) -> dict[str, Any]: ...

        def log(self, count: int) -> list[str]: ...

        def boot(self) -> str:
            """What differs from one start of the board to the next."""
            ...

        def reboot(self) -> None: ...

        def poweroff(self) -> None: ...


HOOK_TIMEOUT_S = 60.0
SCAN_TIMEOUT_S = 20.0
SCAN_TRIES, SCAN_PAUSE_S = 4, 2.0
LOGS = (
    ("logread",),
    ("journalctl", "--no-pager", "-q", "-n", "{count}"),
    ("tail", "-n", "{count}", "/var/log/messages"),
)


class LinuxSystem:
    """Debian, or an image of ours. hooks: a folder of programs, which need not be there."""

    def __init__(self, hooks: str | os.PathLike[str]) -> None:
        self._hooks = os.fspath(hooks)

    def apply(self, keys: Sequence[str], values: dict[str, str]) -> None:
        if self._hook("apply", *keys) is None and "hostname" in keys:
            import socket

            try:
                socket.sethostname(values["hostname"])
            except OSError as error:
                raise ToastboxError(f"the host name is kept, but cannot be set now: {error.strerror}") from error

    def wifi_scan(self) -> list[dict[str, Any]]:
        from toastbox.device import console_network

        text = self._hook("wifi-scan")
        if text is not None:
            return console_network.parse_hook_scan(text)
        import shutil

        cards = console_network.wireless()
        if not cards:
            raise ToastboxError("this board has no Wi-Fi card, or its driver is not loaded")
        if shutil.which("iw") is None:
            raise ToastboxError("this system cannot look for networks: it lacks the program iw")
        return console_network.parse_iw(_scanned(cards[0]))

    def wifi_address(self, name: str = "") -> str:
        from toastbox.device import console_network

        for card in console_network.wireless():
            joined = console_network.network_of(card)
            if (address := console_network.ipv4(card)) and joined in (name or joined, None):
                return address
        return ""

    def wifi_state(self) -> dict[str, str]:
        from toastbox.device import console_network, console_wifi

        return next((found for card in console_network.wireless() if (found := console_wifi.state(card))), {})

    def network(self) -> dict[str, Any]:
        from toastbox.device import console_network

        return console_network.describe()

    def log(self, count: int) -> list[str]:
        import shutil

        text = self._hook("log", str(count))
        for command in LOGS:
            if text is None and shutil.which(command[0]):
                text = _try_output([word.format(count=count) for word in command])
        if text is None:
            raise ToastboxError("this system keeps no log that can be read")
        return text.splitlines()[-count:] if count else []

    def boot(self) -> str:
        return boot_id()

    def reboot(self) -> None:
        if self._hook("reboot") is None:
            _output(["reboot"], HOOK_TIMEOUT_S)

    def poweroff(self) -> None:
        if self._hook("poweroff") is None:
            _output(["poweroff"], HOOK_TIMEOUT_S)

    def _hook(self, name: str, *arguments: str) -> str | None:
        """What the image's own program printed; None: it has none."""
        program = os.path.join(self._hooks, name)
        if not os.access(program, os.X_OK):
            return None
        return _output([program, *arguments], HOOK_TIMEOUT_S)


class TooSlow(ToastboxError):
    """A program did not end in its time."""


def _scanned(card: str) -> str:
    """What iw finds. The card may just be looking around for itself: then it is busy, for some seconds.

    On a card that has joined a network it may not end (seen on simulated ones): then, what the kernel has heard of.
    """
    for _ in range(SCAN_TRIES - 1):
        try:
            return _output(["iw", "dev", card, "scan"], SCAN_TIMEOUT_S)
        except TooSlow:
            return _output(["iw", "dev", card, "scan", "dump"], SCAN_TIMEOUT_S)
        except ToastboxError as error:
            if "busy" not in str(error):
                raise
        time.sleep(SCAN_PAUSE_S)
    return _output(["iw", "dev", card, "scan"], SCAN_TIMEOUT_S)


def _output(command: Sequence[str], timeout_s: float) -> str:
    import subprocess

    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise TooSlow(f"{command[0]} did not end within {timeout_s:.0f} s") from error
    except OSError as error:
        raise ToastboxError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ToastboxError(f"{os.path.basename(command[0])}: {said[-1] if said else f'failed ({done.returncode})'}")
    return done.stdout.decode("utf-8", "replace")


def _try_output(command: Sequence[str]) -> str | None:
    try:
        return _output(command, HOOK_TIMEOUT_S)
    except ToastboxError:
        return None
