"""A board's console: the service that serves its serial ports, started by the image.

    python -m toastbox.device.console --port TTY [--port TTY] --settings FILE --folder DIR
        [--defaults FILE] [--board NAME] [--hooks DIR] [--speed BAUD]

settings: where they are kept, KEY=VALUE; defaults: the image's own, only read; folder: what is kept in sync; hooks: see
device/console_system.py.

One thread for all ports; core/console decides, device/console_board does. It sleeps in the kernel until a byte comes,
but for a port that is gone (a USB cable without a PC), which is looked for now and then.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from toastbox import __version__
from toastbox.core.console import Answer, Session
from toastbox.device.console_board import Board
from toastbox.device.console_port import SPEEDS, Port
from toastbox.device.console_store import SettingsFile
from toastbox.device.console_system import LinuxSystem

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing and pathlib take a megabyte of a process that only waits for keys
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

OPTIONS = {
    "settings": "",
    "folder": "",
    "defaults": "",
    "board": "",
    "hooks": "/usr/lib/toastbox/hooks",
    "speed": "115200",
}
REOPEN_S = 1.0
REOPEN_MOST_S = 15.0
DRAIN_S = 3.0
GREETING = f"\r\nToastbox {__version__}. Type help."


class Line:
    """One port with its session."""

    def __init__(self, port: Port, board: Board) -> None:
        self.port = port
        self.session = Session(board.needs_password, GREETING)
        self._board = board
        self._retry_s = REOPEN_S
        self._opened_s = 0.0
        self.retry_at_s = 0.0

    def try_open(self, now_s: float) -> None:
        if self.port.open():
            self._opened_s = now_s
            self.pump()
        else:
            self._retry_later(now_s)

    def _retry_later(self, now_s: float) -> None:
        self.retry_at_s = now_s + self._retry_s
        self._retry_s = min(2 * self._retry_s, REOPEN_MOST_S)

    def readable(self, now_s: float) -> None:
        data = self.port.read()
        if data is None:
            self.port.close()
            self.session.hangup()
            if now_s - self._opened_s > REOPEN_S:
                self._retry_s, self.retry_at_s = REOPEN_S, now_s
            else:  # it opens, and is gone at once: no haste
                self._retry_later(now_s)
        elif data:
            self.session.feed(data, now_s)
            self.pump()

    def pump(self) -> None:
        """Send and do until nothing is left. What is to happen behind an answer waits until that has left."""
        while True:
            out, command = self.session.next()
            self.port.write(out)
            if command is None:
                return
            self.session.answer(self._do(command.name, command.args))
            if self._board.after is not None:
                after, self._board.after = self._board.after, None
                self.port.write(self.session.next()[0])
                self.port.drain(DRAIN_S)
                after()

    def _do(self, name: str, args: dict[str, object]) -> Answer:
        try:
            return self._board.do(name, args)
        except Exception as error:  # a defect must not take the console away, it is what a defect is mended with
            print(f"console: {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return Answer(None, f"this is a bug: {type(error).__name__}: {error}", "failed")


class Service:
    """Serves until SIGTERM."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._ended = False
        self._woken, self._waker = os.pipe()

    def end(self, number: int, frame: FrameType | None) -> None:
        """A signal: what is being done is done to its end, and then nothing more."""
        self._ended = True
        os.write(self._waker, b"\0")

    def run(self) -> None:
        while not self._ended:
            now_s = time.monotonic()
            for line in self._lines:
                if line.port.fd < 0 and now_s >= line.retry_at_s:
                    line.try_open(now_s)
            self._wait(now_s)

    def _wait(self, now_s: float) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        open_lines = {line.port.fd: line for line in self._lines if line.port.fd >= 0}
        for fd, line in open_lines.items():
            poll.register(fd, select.POLLIN | (select.POLLOUT if line.port.pending else 0))
        due = [line.retry_at_s for line in self._lines if line.port.fd < 0]
        due += [wake_s for line in open_lines.values() if (wake_s := line.session.wake_s()) is not None]
        timeout_ms = None if not due else max(0, int((min(due) - now_s) * 1000) + 1)
        ready = poll.poll(timeout_ms)
        now_s = time.monotonic()
        for fd, events in [each for each in ready if each[0] in open_lines]:
            line = open_lines[fd]
            if events & select.POLLOUT:
                line.port.flush()
            if events & ~select.POLLOUT:
                line.readable(now_s)
        for line in open_lines.values():
            line.session.tick(now_s)
            line.pump()


def main(argv: Sequence[str] | None = None) -> int:
    options, ports = parse_options(sys.argv[1:] if argv is None else argv)
    settings = SettingsFile(options["settings"], options["defaults"])
    board = Board(settings, LinuxSystem(options["hooks"]), options["folder"], options["board"])
    service = Service([Line(Port(path, int(options["speed"])), board) for path in ports])
    signal.signal(signal.SIGTERM, service.end)
    signal.signal(signal.SIGINT, service.end)
    service.run()
    return 0


def parse_options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """(options, ports). Without argparse, which takes half a megabyte for good. SystemExit(2): wrong use."""
    options, ports = dict(OPTIONS), []
    for at in range(0, len(words), 2):
        name = words[at].removeprefix("--")
        if at + 1 == len(words) or words[at] != "--" + name or name not in (*options, "port"):
            refuse(f"{words[at]} is no option, or lacks its value")
        if name == "port":
            ports.append(words[at + 1])
        else:
            options[name] = words[at + 1]
    if not ports or not options["settings"] or not options["folder"]:
        refuse("--port, --settings and --folder are needed")
    if options["speed"] not in map(str, SPEEDS):
        refuse(f"--speed is one of {', '.join(map(str, SPEEDS))}")
    return options, ports


def refuse(text: str) -> NoReturn:
    print(f"toastbox.device.console: {text}\n{__doc__}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(main())
