"""Hosts on a LAN of their own: network namespaces joined by a bridge in one more, with real multicast.

Needs root. Without it these tests fail and say so: a LAN that was not tested is not a LAN that works. Whatever a test
does, all of it is removed: processes first, then namespaces, which take their links along.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_NUMBERS = count()


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"


class Program:
    """A Python program on a host. It prints JSON lines; leave() ends it politely, kill() does not."""

    def __init__(self, namespace: str, script: str, *arguments: object) -> None:
        command = ["ip", "netns", "exec", namespace, sys.executable, str(HERE / script)]
        self._process = subprocess.Popen(
            [*command, *map(json.dumps, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[dict] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, kind: str, timeout_s: float = 20, **values: object) -> dict:
        """The next message of this kind with these values; others are passed over."""
        while True:
            message = self._lines.get(timeout=timeout_s)
            assert message.get("kind") != "ended", f"ended before {kind} {values}"
            if message["kind"] == kind and all(message.get(name) == value for name, value in values.items()):
                return message

    def heard(self) -> list[dict]:
        """What has been printed and not yet been passed over."""
        messages = []
        while not self._lines.empty():
            messages.append(self._lines.get())
        return messages

    def rest(self, timeout_s: float = 60) -> None:
        """Return when all that came has been dealt with: half a second has passed without any work."""
        end, before = time.monotonic() + timeout_s, -1
        while self._worked() != before:
            assert time.monotonic() < end, "does not come to rest"
            before = self._worked()
            time.sleep(0.5)

    def _worked(self) -> int:
        """Processor time, in ticks."""
        with open(f"/proc/{self._process.pid}/stat") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))

    @property
    def resident_kb(self) -> int:
        with open(f"/proc/{self._process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def say(self) -> None:
        """A line on its standard input: go on."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def leave(self) -> None:
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(10)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put({"kind": "ended"})


class Host:
    """A namespace with one link to the bridge. address: its first; link: name of its interface."""

    def __init__(self, namespace: str, number: int) -> None:
        self.namespace = namespace
        self.number = number
        self.address = f"10.77.0.{number}"
        self.programs: list[Program] = []

    def run(self, script: str, *arguments: object) -> Program:
        program = Program(self.namespace, script, *arguments)
        self.programs.append(program)
        return program

    def ip(self, *words: str) -> None:
        ip("-n", self.namespace, *words)


class Lan:
    """A bridge and its hosts."""

    def __init__(self) -> None:
        self._name = f"tbx{os.getpid()}-{next(_NUMBERS)}"
        self._bridge = f"{self._name}-lan"
        self._namespaces: list[str] = []
        self.hosts: list[Host] = []

    def make(self) -> None:
        self._add(self._bridge)
        ip("-n", self._bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("-n", self._bridge, "link", "set", "br0", "up")

    def host(self) -> Host:
        number = len(self.hosts) + 1
        host = Host(f"{self._name}-{number}", number)
        self._add(host.namespace)
        host.ip("link", "add", "eth0", "type", "veth", "peer", "name", f"port{number}", "netns", self._bridge)
        ip("-n", self._bridge, "link", "set", f"port{number}", "master", "br0", "up")
        host.ip("addr", "add", f"{host.address}/24", "dev", "eth0")
        host.ip("link", "set", "eth0", "up")
        self.hosts.append(host)
        return host

    def cut(self, host: Host) -> None:
        """Pull the cable at the switch: the host's own link stays up, as with Wi-Fi or a switch between."""
        ip("-n", self._bridge, "link", "set", f"port{host.number}", "nomaster")

    def join(self, host: Host) -> None:
        """Plug it in again."""
        ip("-n", self._bridge, "link", "set", f"port{host.number}", "master", "br0")

    def remove(self) -> None:
        for host in self.hosts:
            for program in host.programs:
                program.kill()
        for namespace in self._namespaces:
            ip("netns", "del", namespace)

    def _add(self, namespace: str) -> None:
        ip("netns", "add", namespace)
        self._namespaces.append(namespace)
        ip("-n", namespace, "link", "set", "lo", "up")


@pytest.fixture
def lan() -> Iterator[Lan]:
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces and need root: run 'sudo make test'")
    made = Lan()
    try:
        made.make()
        yield made
    finally:
        made.remove()
