"""A board's console as it runs on a board, in a process of its own, on a pseudo-terminal."""

import os
import select
import subprocess
import sys
import time
import tty
from pathlib import Path

from toastbox.core import console_machine as machine
from toastbox.core.errors import WireError

WAIT_S = 30.0
PROMPT = b"toastbox> "


def make_hooks(place: Path) -> Path:
    """An image's own programs: they write down that they were called."""
    hooks = place / "hooks"
    hooks.mkdir(parents=True)
    programs = {
        "apply": f'echo "apply $@" >> {place}/called',
        "wifi-scan": r"printf -- '-40\twpa2\thome\n-70\topen\tcafe\n'",
        "log": 'echo "one"; echo "two $1"',
        "reboot": f"echo reboot >> {place}/called",
        "poweroff": f"echo poweroff >> {place}/called",
    }
    for name, body in programs.items():
        (hooks / name).write_text(f"#!/bin/sh\n{body}\n")
        (hooks / name).chmod(0o755)
    return hooks


class BoardProcess:
    """The service on `port`; settings and folder below `place`."""

    def __init__(self, place: Path, port: str) -> None:
        self.place = place
        self.port = port
        self.folder = place / "folder"
        self.settings = place / "config" / "settings.conf"
        self._hooks = place / "hooks" if (place / "hooks").exists() else make_hooks(place)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        command = [sys.executable, "-m", "toastbox.device.console", "--port", self.port, "--board", "test-board"]
        command += ["--settings", str(self.settings), "--folder", str(self.folder), "--hooks", str(self._hooks)]
        self.process = subprocess.Popen([*command, *more], stderr=subprocess.PIPE, cwd=self.place)

    def called(self) -> list[str]:
        path = self.place / "called"
        return path.read_text().splitlines() if path.exists() else []

    def end(self) -> bytes:
        """Its stderr."""
        assert self.process is not None and self.process.stderr is not None
        self.process.terminate()
        _, errors = self.process.communicate(timeout=WAIT_S)
        return errors


def raw_pty() -> tuple[tuple[int, int], str]:
    """((master, slave), the slave's name): bytes go through as they are, before anybody has set it up."""
    master, slave = os.openpty()
    tty.setraw(slave)
    return (master, slave), os.ttyname(slave)


class Cable:
    """The PC's end of a pseudo-terminal: raw bytes. port: what the board opens."""

    def __init__(self) -> None:
        (self.fd, self._slave), self.port = raw_pty()
        self._seq = 0

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.fd, data) :]

    def read(self, timeout_s: float = 0.0) -> bytes:
        ready = select.select([self.fd], [], [], timeout_s)[0]
        return os.read(self.fd, 65536) if ready else b""

    def until(self, wanted: bytes, timeout_s: float = WAIT_S) -> bytes:
        """Everything up to where this was seen."""
        end, seen = time.monotonic() + timeout_s, b""
        while wanted not in seen:
            assert time.monotonic() < end, f"{wanted!r} did not come: {seen!r}"
            seen += self.read(0.2)
        return seen

    def line(self, text: str, wanted: bytes = PROMPT) -> bytes:
        """What came behind a typed line, up to the next prompt."""
        self.send(text.encode() + b"\r")
        return self.until(b"\n" + wanted)

    def ask(self, name: str, **args: object) -> dict[str, object]:
        """The answer to one request."""
        self._seq += 1
        self.send(machine.encode({"seq": self._seq, "do": name, **args}))
        return self.answer(self._seq)

    def answer(self, seq: int) -> dict[str, object]:
        end, reader = time.monotonic() + WAIT_S, machine.FrameReader(machine.MAX_ANSWER)
        while time.monotonic() < end:
            for byte in self.read(0.2):
                line = reader.feed(byte)
                try:
                    if line is not None and (fields := machine.decode(line))["seq"] == seq:
                        return fields
                except WireError:
                    continue
        raise AssertionError("no answer")

    def close(self) -> None:
        for fd in (self.fd, self._slave):
            os.close(fd)
