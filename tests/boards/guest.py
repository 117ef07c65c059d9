"""A whole machine under QEMU, driven over its serial port by pyserial, on a LAN in a network namespace.

kill() is the power cut. Time-outs are generous: the emulator may share its processor with everything else.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import serial

from line import BOOT_S, COMMAND_S, Line
from tools.image.emulate import Machine

CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()
_LIBC = ctypes.CDLL(None, use_errno=True)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"


# Prints when (of the monotonic clock, which is one for all programs) a device of this name is first heard of.
LISTENER = """
import asyncio, sys, time
from toastbox.announce import Presence

async def main():
    heard = asyncio.Event()
    presence = Presence(found=lambda found: heard.set() if found.name == sys.argv[1] else None)
    await presence.start()
    await heard.wait()
    print(time.monotonic(), flush=True)

asyncio.run(main())
"""


def _e2fsck(option: str, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"}
    command = ["e2fsck", option, str(path)]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )


class Lan:
    """A bridge in a namespace: guests have their ports on it, programs of this machine run beside it.

    There is no DHCP: everyone has an address of 169.254.0.0/16, as on a cable between two boards.
    """

    def __init__(self) -> None:
        self.namespace = f"tbxb{os.getpid()}-{next(_NUMBERS)}"
        self._ports = 0

    def make(self) -> None:
        ip("netns", "add", self.namespace)
        self._ip("link", "set", "lo", "up")
        self._ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self._ip("addr", "add", "169.254.0.1/16", "dev", "br0")
        self._ip("link", "set", "br0", "up")
        self._ip("route", "add", "224.0.0.0/4", "dev", "br0")

    def _ip(self, *words: str) -> None:
        ip("-n", self.namespace, *words)

    def port(self) -> str:
        """A new tap on the bridge."""
        name = f"tap{self._ports}"
        self._ports += 1
        self._ip("tuntap", "add", name, "mode", "tap")
        self._ip("link", "set", name, "master", "br0", "up")
        return name

    def plug(self, port: str, there: bool) -> None:
        """Pull the cable of a port, or put it back."""
        self._ip("link", "set", port, "master" if there else "nomaster", *(["br0"] if there else []))

    def command(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *words]

    def toastbox(self, *words: object) -> list[str]:
        return self.command(sys.executable, "-m", "toastbox", *map(str, words))

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[Callable[[], float]]:
        """Gives what waits until a device of this name announces itself, and says when (time.monotonic) that was."""
        command = self.command(sys.executable, "-c", LISTENER, name)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield lambda: float(process.communicate(timeout=BOOT_S)[0])
        finally:
            process.kill()
            process.wait(30)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """This thread is on the LAN; sockets made meanwhile stay there."""
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self.namespace}") as there:
            assert _LIBC.setns(there.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert _LIBC.setns(before.fileno(), CLONE_NEWNET) == 0

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)


class Guest(Line):
    """One machine and its card. port: on the lan; without a lan it has a network of its own."""

    def __init__(self, image: Path, folder: Path, card_bytes: int, lan: Lan | None, memory_mib: int = 0) -> None:
        super().__init__()
        self.number = next(_NUMBERS) + 1
        self.card = folder / f"card-{self.number}.img"
        self.folder = folder / f"boot-{self.number}"
        self.folder.mkdir()
        subprocess.run(["cp", "--sparse=always", str(image), str(self.card)], check=True)
        os.truncate(self.card, card_bytes)
        self._lan, self._memory_mib = lan, memory_mib
        self.port = lan.port() if lan else ""
        self._process: subprocess.Popen[bytes] | None = None
        self.more: list[str] = []  # options of QEMU

    def start(self, login: bool = True) -> None:
        """Power on. login: with a root shell on the serial port, in place of the console."""
        with self._inside():
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                number = free.getsockname()[1]
            network = f"tap,ifname={self.port},script=no,downscript=no" if self._lan else "user"
            machine = Machine(
                self.card,
                self.folder,
                self._memory_mib,
                network=network,
                serial=f"tcp:127.0.0.1:{number},server=on,wait=off",
                mac=f"52:54:00:77:00:{self.number:02x}",
                login=login,
                more=self.more,
            )
            log = (self.folder / "qemu.log").open("ab")
            self.started = time.monotonic()
            self._process = subprocess.Popen(machine.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self._serial = self.connect(f"socket://127.0.0.1:{number}")
        self.heard = b""

    def _inside(self) -> contextlib.AbstractContextManager[None]:
        return self._lan.inside() if self._lan else contextlib.nullcontext()

    def connect(self, url: str) -> serial.SerialBase:
        for _ in range(200):
            with contextlib.suppress(serial.SerialException):
                return serial.serial_for_url(url, timeout=0.2)
            assert self.runs(), (self.folder / "qemu.log").read_text()
            time.sleep(0.05)
        raise AssertionError("QEMU does not open its serial port")

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """The power cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)
            self._serial.close()
            self._process = None

    def check_card(self) -> None:
        """While it is off: the journal is replayed as a start would, on a copy, and then nothing is wrong at all."""
        copy = self.folder / "data.img"
        with self.card.open("rb") as card:
            card.seek(446 + 2 * 16 + 8)  # where the third partition begins, in the table
            start = int.from_bytes(card.read(4), "little") * 512
        command = ["dd", f"if={self.card}", f"of={copy}", "bs=1M", f"skip={start >> 20}", "conv=sparse"]
        subprocess.run(command, check=True, capture_output=True)
        replayed = _e2fsck("-p", copy)
        assert "errors" not in replayed.stdout and "forced" not in replayed.stdout, replayed.stdout
        assert replayed.returncode <= 1, replayed.stdout
        checked = _e2fsck("-fn", copy)
        copy.unlink()
        assert checked.returncode == 0, checked.stdout

    def poweroff(self) -> None:
        self.type("poweroff")
        assert self._process is not None
        end = time.monotonic() + COMMAND_S
        with contextlib.suppress(serial.SerialException):  # QEMU closes the port when it ends
            while self.runs() and time.monotonic() < end:
                self._hear()
        assert self._process.wait(COMMAND_S) == 0, self.heard[-2000:]
        self._serial.close()
        self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.card.unlink(missing_ok=True)
