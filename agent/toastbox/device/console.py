"""A board's console: the service that serves its serial ports, started by the image.

    python -m toastbox.device.console --port /dev/ttyAMA0 [--port /dev/ttyGS0] --settings FILE --folder DIR ...

One thread for all ports; core/console decides, device/console_board does. It sleeps in the kernel until a byte comes,
but for a port that is gone (a USB cable without a PC), which is looked for now and then.
"""

import argparse
import importlib
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from toastbox import __version__
from toastbox.core.console import Answer, Session
from toastbox.device.console_board import Board
from toastbox.device.console_port import SPEEDS, Port
from toastbox.device.console_store import SettingsFile
from toastbox.device.console_system import LinuxSystem, System

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
    options = build_parser().parse_args(argv)
    settings = SettingsFile(Path(options.settings), Path(options.defaults) if options.defaults else None)
    board = Board(settings, make_system(options), Path(options.folder), options.board)
    service = Service([Line(Port(path, options.speed), board) for path in options.port])
    signal.signal(signal.SIGTERM, service.end)
    signal.signal(signal.SIGINT, service.end)
    service.run()
    return 0


def make_system(options: argparse.Namespace) -> System:
    """LinuxSystem, or what MODULE:NAME makes of the folder of hooks."""
    if not options.system:
        return LinuxSystem(Path(options.hooks))
    module, _, name = options.system.partition(":")
    made: System = getattr(importlib.import_module(module), name)(Path(options.hooks))
    return made


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="toastbox.device.console", description="Serve a board's serial console.")
    parser.add_argument("--port", metavar="TTY", action="append", required=True, help="may be given several times")
    parser.add_argument("--speed", metavar="BAUD", type=int, choices=sorted(SPEEDS), default=115200)
    parser.add_argument("--settings", metavar="FILE", required=True, help="where settings are kept, KEY=VALUE")
    parser.add_argument("--defaults", metavar="FILE", help="settings of the image, only read")
    parser.add_argument("--folder", metavar="DIR", required=True, help="the folder that is kept in sync")
    parser.add_argument("--board", metavar="NAME", default="", help="the board this runs on")
    parser.add_argument("--hooks", metavar="DIR", default="/usr/lib/toastbox/hooks", help="see console_system.py")
    parser.add_argument("--system", metavar="MODULE:NAME", help="another System than that of an ordinary Linux")
    return parser


if __name__ == "__main__":
    sys.exit(main())
