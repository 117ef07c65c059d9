"""A serial port, or what a USB gadget offers as one: opened raw, written without waiting, reopened when it was gone.

No modem line is looked at: three wires are enough. A break and bytes with wrong framing are dropped by the driver
(IGNBRK, IGNPAR); what else is noise the session bears. Nobody may be listening (a USB cable without a PC): then what
has piled up is thrown away, never waited for.
"""

import os
import select
import termios
import time
from contextlib import suppress

READ_SIZE = 4096
MAX_PENDING = 64 << 10
SPEEDS = {
    speed: getattr(termios, f"B{speed}")
    for speed in (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
    if hasattr(termios, f"B{speed}")
}


class Port:
    """fd: -1 while it is not there. connections: how often it was opened."""

    def __init__(self, path: str, speed: int) -> None:
        self.path = path
        self.fd = -1
        self.connections = 0
        self._speed = speed
        self._pending = bytearray()

    def open(self) -> bool:
        """Whether it is there."""
        self.close()
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._make_raw()
        except (OSError, termios.error):
            self.close()
            return False
        self.connections += 1
        return True

    def _make_raw(self) -> None:
        speed = SPEEDS[self._speed]
        controls = termios.tcgetattr(self.fd)[6]
        controls[termios.VMIN], controls[termios.VTIME] = 1, 0
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL
        new = [termios.IGNBRK | termios.IGNPAR, 0, flags, 0, speed, speed, controls]
        termios.tcsetattr(self.fd, termios.TCSANOW, new)

    def close(self) -> None:
        if self.fd >= 0:
            with suppress(OSError):
                os.close(self.fd)
        self.fd = -1
        self._pending = bytearray()

    def read(self) -> bytes | None:
        """What is there; None: the port is gone."""
        try:
            return os.read(self.fd, READ_SIZE) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def write(self, data: bytes) -> None:
        """Now or later. More than MAX_PENDING nobody reads: it is dropped."""
        self._pending.extend(data)
        self.flush()
        if len(self._pending) > MAX_PENDING:
            self._pending = bytearray()

    def flush(self) -> None:
        """As much as the driver takes."""
        try:
            while self._pending:
                sent = os.write(self.fd, self._pending)
                del self._pending[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._pending = bytearray()

    def drain(self, wait_s: float) -> None:
        """Until it has left the wire, for so long at most."""
        end = time.monotonic() + wait_s
        while self.fd >= 0 and self._pending and time.monotonic() < end:
            select.select([], [self.fd], [], 0.1)
            self.flush()
        time.sleep(0.05 if self.fd >= 0 else 0)
