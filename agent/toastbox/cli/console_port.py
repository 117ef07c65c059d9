"""Serial ports of the PC: which there are, one opened, and what is wrong with it in words that help.

Nothing needs a modem line: adapters and pseudo-terminals that refuse RTS and DTR are as good as others. A port is
locked while it is open (flock, TIOCEXCL), so that two programs never eat each other's answers.
"""

import errno
import fcntl
import grp
import os
import termios
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

try:
    import serial
    from serial.tools import list_ports
except ImportError as missing:
    from toastbox.errors import ToastboxError

    raise ToastboxError("serial ports need pyserial: pip install 'toastbox[tools]'") from missing

from toastbox.errors import ToastboxError, WrongUse

WRITE_TIMEOUT_S = 10.0


class Found(NamedTuple):
    """A port as the system knows it."""

    port: str
    name: str
    id: str


class PortGone(ToastboxError):
    """The port vanished while it was open: cable pulled, or the board started again."""


class PortMissing(ToastboxError):
    """There is no such port (yet)."""


def ports() -> list[Found]:
    """Those of USB first, as boards mostly are."""
    found = [
        Found(each.device, "" if each.description in (None, "n/a") else each.description, _id_of(each.vid, each.pid))
        for each in list_ports.comports()
    ]
    return sorted(found, key=lambda each: (not each.id, each.port))


def _id_of(vid: int | None, pid: int | None) -> str:
    return f"{vid:04x}:{pid:04x}" if vid is not None and pid is not None else ""


def only_port() -> str:
    """The one that is there. WrongUse: none, or which of several?"""
    found = ports()
    usb = [each.port for each in found if each.id]
    names = usb or [each.port for each in found]
    if not names:
        raise WrongUse("no serial port is found: plug the board in, or name its port")
    if len(names) > 1:
        raise WrongUse(f"there are several serial ports, name one: {', '.join(names)}")
    return names[0]


class _Serial(serial.Serial):
    """Bears adapters that know no RTS and DTR, whatever error they give for them."""

    def _update_dtr_state(self) -> None:
        with suppress(OSError):
            super()._update_dtr_state()  # type: ignore[misc]

    def _update_rts_state(self) -> None:
        with suppress(OSError):
            super()._update_rts_state()  # type: ignore[misc]


class Wire:
    """An open port: bytes. Closed by `close`; may be opened again."""

    def __init__(self, port: str, speed: int) -> None:
        self.port = port
        self.speed = speed
        self._serial: serial.SerialBase | None = None

    def open(self) -> None:
        """PortMissing: not there. ToastboxError: somebody has it, or it may not be used."""
        self.close()
        try:
            if "://" in self.port:
                self._serial = serial.serial_for_url(self.port, self.speed, timeout=0)
            else:
                self._serial = _Serial(self.port, self.speed, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True)
                with suppress(OSError):
                    fcntl.ioctl(self._serial.fileno(), termios.TIOCEXCL)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise explained(self.port, error) from error

    def close(self) -> None:
        if self._serial is not None:
            with suppress(OSError):
                self._serial.close()
        self._serial = None

    def fileno(self) -> int:
        assert self._serial is not None
        return int(self._serial.fileno())

    def read(self, timeout_s: float) -> bytes:
        """What comes within the time, as soon as something does; b"": nothing. PortGone."""
        if self._serial is None:
            raise PortGone(f"{self.port} is gone")
        try:
            self._serial.timeout = timeout_s
            first: bytes = self._serial.read(1)
            self._serial.timeout = 0
            return first + (self._serial.read(4096) if first else b"")
        except (OSError, TypeError) as error:  # TypeError: pyserial, when it was closed meanwhile
            raise PortGone(f"{self.port} is gone: {error}") from error

    def write(self, data: bytes) -> None:
        """PortGone; also when nothing takes it for WRITE_TIMEOUT_S."""
        if self._serial is None:
            raise PortGone(f"{self.port} is gone")
        try:
            self._serial.write(data)
        except (OSError, termios.error) as error:
            raise PortGone(f"{self.port} takes nothing: {error}") from error


def explained(port: str, error: Exception) -> ToastboxError:
    """Why a port cannot be opened, and what to do."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or "No such file" in text:
        return PortMissing(f"{port} is not there: plug the board in; 'toastbox console --list' shows the ports")
    if number in (errno.EACCES, errno.EPERM) or "Permission denied" in text:
        return ToastboxError(f"{port} may not be used by you: {_permission(port)}")
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "busy" in text:
        return ToastboxError(f"{port} is busy: {_holder(port)}")
    if isinstance(error, ValueError):
        return WrongUse(f"{port} cannot be opened: {text}")
    return ToastboxError(f"{port} cannot be opened: {text}")


def _permission(port: str) -> str:
    try:
        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (OSError, KeyError):
        return "ask its owner"
    if group == "root":
        return "only root may; a udev rule can give it to a group"
    return f"join the group {group} (sudo usermod -aG {group} $USER) and log in anew"


def _holder(port: str) -> str:
    """Who has it open, as far as this user may see."""
    real = os.path.realpath(port)
    for place in Path("/proc").glob("[0-9]*"):
        if int(place.name) == os.getpid():
            continue
        with suppress(OSError):
            if any(os.path.realpath(fd) == real for fd in (place / "fd").iterdir()):
                name = (place / "comm").read_text().strip()
                return f"{name} (process {place.name}) has it open; end that first"
    return "another program has it open; end that first"
