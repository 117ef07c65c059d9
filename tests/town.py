"""A hub and devices on this machine, each in a process of its own, driven by the commands a person types."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = float(os.environ.get("TOASTBOX_PATIENCE", "1"))  # more where processors are emulated
WAIT_S = 30.0 * PATIENCE


class Town:
    """One hub and its devices, below one folder. url: the hub's; set once it listens."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.running: list[subprocess.Popen[str]] = []
        self.url = ""

    def start(self, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start a command. prefix: what it is run by, for instance prlimit."""
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "toastbox", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.place,
        )
        self.running.append(process)
        return process

    def start_hub(self, *more: str) -> subprocess.Popen[str]:
        """A hub; the next one listens at the same address."""
        hub = self.start("hub", "--data", "hub", "--listen", self.url[8:] or "127.0.0.1:0", "--no-announce", *more)
        assert hub.stdout is not None
        line = hub.stdout.readline()
        assert line, hub.communicate()
        self.url = line.split()[0]
        return hub

    def start_agent(self, name: str, *more: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """An agent that answers."""
        agent = self.start("agent", name, "--no-announce", *more, prefix=prefix)
        wait_for(lambda: agent.poll() is not None or self.status(name).get("running", False))
        assert agent.poll() is None, agent.communicate()
        return agent

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "toastbox", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=self.place,
            timeout=60 * PATIENCE,
            check=False,
        )

    def must(self, *arguments: object) -> str:
        """Run a command that has to succeed and to say nothing on stderr; its output."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def join(self, name: str, *more: str) -> Path:
        """Pair a folder; where it is."""
        code = self.must("invite", "--data", "hub").strip()
        self.must("join", code, name, "--hub", self.url, "--name", name, *more)
        return self.place / name

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.must("status", name, "--json"))
        return found

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


def wait_for(true: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Fails when it does not come true in time."""
    end = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    """Exit code and stderr after a signal."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=WAIT_S)
    return process.returncode, errors


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its content; folders with b"/"; links with their target."""
    found = {}
    for place, folders, files in os.walk(folder):
        if Path(place) == folder:
            folders.remove(".toastbox")
        for name in folders + files:
            path = Path(place, name)
            found[str(path.relative_to(folder))] = _content(path)
    return found


def _content(path: Path) -> bytes:
    try:
        if path.is_symlink():
            return os.fsencode(os.readlink(path))
        return b"/" if path.is_dir() else path.read_bytes()
    except FileNotFoundError:
        return b"(vanished while being looked at)"
