"""A serial line by hand: this terminal becomes the board's, until Ctrl-]. When the port goes it is waited for."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from toastbox.cli.console_port import PortGone, PortMissing, Wire
from toastbox.output import warn

QUIT = 0x1D  # Ctrl-]
QUIET_S = 1.5
LOOK_S = 0.25


def talk(wire: Wire) -> int:
    """Until Ctrl-], or in a pipe until everything was said and nothing more comes."""
    if not sys.stdin.isatty():
        return _pipe(wire)
    print(f"{wire.port} at {wire.speed} baud. Ctrl-] ends.", file=sys.stderr)
    with _raw(sys.stdin.fileno()):
        while _relay(wire) and _await_port(wire):
            pass
    return 0


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        print(file=sys.stderr)


def _relay(wire: Wire) -> bool:
    """False: the person ended it; True: the port is gone."""
    keys = sys.stdin.fileno()
    try:
        wire.write(b"\x15\r")  # what was begun there is not finished by us; whoever is there shows a prompt
        while True:
            ready = select.select([keys, wire.fileno()], [], [])[0]
            if keys in ready:
                typed = os.read(keys, 1024)
                if not typed or QUIT in typed:
                    return False
                wire.write(typed)
            if len(ready) > 1 or keys not in ready:
                _show(wire.read(0))
    except PortGone:
        return True


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _await_port(wire: Wire) -> bool:
    """Whether it came back before Ctrl-]."""
    wire.close()
    print(f"\r\n({wire.port} is gone; it is waited for, Ctrl-] ends)\r", file=sys.stderr, flush=True)
    while True:
        if select.select([sys.stdin], [], [], LOOK_S)[0] and QUIT in (os.read(sys.stdin.fileno(), 1024) or b"\x1d"):
            return False
        try:
            wire.open()
        except PortMissing:
            continue
        print("(it is back)\r", file=sys.stderr, flush=True)
        return True


def _pipe(wire: Wire) -> int:
    """What stdin has is sent, what comes is printed."""
    try:
        for line in sys.stdin.buffer:
            wire.write(line.rstrip(b"\r\n") + b"\r")
            _show_until_quiet(wire)
        _show_until_quiet(wire)
    except PortGone as error:
        warn(str(error))
        return 1
    return 0


def _show_until_quiet(wire: Wire) -> None:
    end_s = time.monotonic() + QUIET_S
    while time.monotonic() < end_s:
        data = wire.read(max(0.0, end_s - time.monotonic()))
        if data:
            _show(data)
            end_s = time.monotonic() + QUIET_S
