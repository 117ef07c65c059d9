"""A whole board: boot.py and main.py of a flash in a folder, run by the real MicroPython, which is started again after
each reset as a chip would be."""

import base64
import binascii
import json
import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiled import laid_out

from hubkit import Caller, Running, file
from toastbox.core import console_machine as machine
from tools.cross import micropython
from town import wait_for

MICROPYTHON = str(Path(sys.executable).with_name("micropython"))
HERE = Path(__file__).parent
RESET = 4


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def small_interpreter() -> list[str]:
    """MicroPython with words of 4 bytes, as on a chip, without TLS; built when it is not there."""
    return ["qemu-arm-static", str(micropython.unix())]


def record(data: bytes) -> bytes:
    """As store.py keeps it."""
    return b"%08x\n" % binascii.crc32(data) + data


def put(caller: Caller, path: str, data: bytes, seq: int = 0) -> int:
    """Save a file at the hub as another device; the revision it got. seq: the one it replaces."""
    caller.upload(data)
    ((status, seq),) = caller.commit(caller.epoch(), file(path, data, seq))
    assert status == 0
    return seq


class Board:
    """place: its flash; shared: the folder it syncs; starts: how often it was started."""

    def __init__(self, place: Path, heap: str = "192k") -> None:
        self.place = place
        self.shared = place / "shared"
        self.heap = heap
        self.starts = 0
        self.interpreter = [MICROPYTHON]
        self.output = ""
        self.caller: Caller | None = None
        shutil.copytree(laid_out(), place)
        shutil.copyfile(HERE / "board_user.py", place / "user.py")
        (place / "conf").mkdir()
        self.shared.mkdir()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._off = False
        self.line: int | None = None  # our end of its serial line
        self._serial: int | None = None

    def plug(self) -> str:
        """Give it a serial line, a pseudo-terminal; its name."""
        self.line, self._serial = pty.openpty()
        tty.setraw(self._serial)
        tty.setraw(self.line)
        return os.ttyname(self._serial)

    def attach(self, end: int) -> None:
        """Its serial line is this file descriptor, which stays the caller's."""
        self._serial = os.dup(end)

    def pair(self, hub: Running, name: str, **settings: Any) -> None:
        """Write the settings that pairing would; caller is the device as a test plays it."""
        caller = self.caller = hub.device(name)
        answer = caller.answer
        self.settings = {
            "hub": "127.0.0.1",
            "port": hub.port,
            "device": answer["device"],
            "name": answer["name"],
            "folder": answer["folder"],
            "key": base64.b64encode(caller.key).decode(),
            "certificate": "".join(answer["ca"].split("-----")[2].split()),
            "port_here": free_port(),
            **settings,
        }
        self.write_settings()

    def without_tls(self, hub: Running) -> None:
        """Both sides say that it may do without; the hub listens for such."""
        assert self.caller is not None
        device = hub.service.device(self.caller.number)
        assert device is not None
        hub.server.writer.call(lambda: hub.service.set_plain(device, True))
        self.settings.update(plain=True, port=hub.server.plain_port)
        self.write_settings()

    def write_settings(self) -> None:
        self.write_record(self.settings)

    def write_record(self, settings: dict[str, Any]) -> None:
        """Settings of a board that is not paired."""
        (self.place / "conf/settings").write_bytes(record(json.dumps(settings).encode()))

    def read_record(self, name: str = "settings") -> Any:
        return json.loads((self.place / "conf" / name).read_bytes().partition(b"\n")[2])

    def fake(self, name: str) -> None:
        """Put a module of tests/firmware/fakes on the board."""
        shutil.copyfile(HERE / f"fakes/{name}.py", self.place / f"{name}.py")

    def on(self) -> None:
        self._off = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_for(lambda: self._process is not None)

    def off(self) -> None:
        """Pull the plug."""
        self._off = True
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.join()
        self._process = self._thread = None
        for end in (self.line, self._serial):
            if end is not None:
                os.close(end)
        self.line = self._serial = None

    def ended(self) -> bool:
        """Whether it stands at MicroPython's own prompt."""
        return self._thread is not None and not self._thread.is_alive()

    def _run(self) -> None:
        while not self._off:
            self.starts += 1
            command = [*self.interpreter, "-X", f"heapsize={self.heap}", "main.py"]
            serial = self._serial
            self._process = subprocess.Popen(
                command,
                cwd=self.place,
                stdin=subprocess.DEVNULL if serial is None else serial,
                stdout=subprocess.PIPE if serial is None else serial,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if self._process.stdout is not None:
                self.output += self._process.stdout.read()
            if self._process.wait() != RESET:
                return

    def say(self, data: bytes) -> None:
        assert self.line is not None
        os.write(self.line, data)

    def hear(self, wanted: bytes, wait_s: float = 30) -> bytes:
        """What it sends, up to and with wanted."""
        assert self.line is not None
        heard, end = b"", time.monotonic() + wait_s
        while wanted not in heard:
            ready, _, _ = select.select([self.line], [], [], max(end - time.monotonic(), 0))
            assert ready, f"not heard: {wanted!r}; heard: {heard!r}"
            heard += os.read(self.line, 4096)
        return heard

    def status(self) -> dict[str, Any]:
        answer = self.place / "answer"
        answer.unlink(missing_ok=True)
        (self.place / "ask").touch()
        self.wait(answer.exists)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found

    def wait(self, true: Callable[[], bool]) -> None:
        try:
            wait_for(true)
        except AssertionError:
            raise AssertionError(f"did not happen in time; the board said:\n{self.output}") from None

    def wait_for_status(self, **wanted: Any) -> dict[str, Any]:
        """Its status once it has these values."""
        found: dict[str, Any] = {}

        def has() -> bool:
            found.update(self.status())
            return all(found.get(name) == value for name, value in wanted.items())

        try:
            self.wait(has)
        except AssertionError as error:
            raise AssertionError(f"{error}\nstatus: {found}, not {wanted}") from None
        return found

    def files(self) -> dict[str, bytes]:
        names = {str(path.relative_to(self.shared)): path for path in self.shared.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".toastbox/")}

    def write(self, name: str, data: bytes) -> None:
        path = self.shared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def forget_age(self, name: str) -> None:
        """As if the file was written some seconds ago."""
        then = (self.shared / name).stat().st_mtime - 10
        os.utime(self.shared / name, (then, then))


def ask(board: Board, seq: int, do: str, **fields: Any) -> dict[str, Any]:
    """What the board's console answers to a machine."""
    board.say(machine.encode({"seq": seq, "do": do, **fields}))
    heard = board.hear(b'"}\n')
    start = heard.rindex(bytes([machine.RS])) + 1
    found: dict[str, Any] = machine.decode(heard[start:-1])
    assert found.pop("seq") == seq, found
    return found
