"""Runs MicroPython on an emulated microcontroller, by its raw REPL on the serial line.

A board has no file system here. `put` gives it files: they lie in its heap and are seen below /, enough for import
and open().
"""

import os
import selectors
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tools.cross.micropython import Board

DISK = """
import io, sys, vfs
files = {}
class Disk:
    def mount(self, readonly, mkfs):
        pass
    def umount(self):
        pass
    def stat(self, path):
        if path.lstrip("/") not in files:
            raise OSError(2)
        return (0x8000,) + (0,) * 9
    def open(self, path, mode):
        self.stat(path)
        return io.BytesIO(files[path.lstrip("/")])
vfs.mount(Disk(), "/")
sys.path[:] = ["/", ".frozen"]
"""
_PIECE = 512


class BoardError(Exception):
    """The code raised on the board (the text is its traceback), or the board did not answer."""


class Emulator:
    """One board, from power on to power off. Use it in a with statement."""

    def __init__(self, board: Board, image: Path) -> None:
        machine, *more = board.machine
        flags = ["-nographic", "-monitor", "none", "-semihosting", "-serial", "stdio", "-kernel", str(image)]
        command = ["qemu-system-arm", "-machine", machine, *more, *flags]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self._held = b""
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> "Emulator":
        self._write(b"\r\x03\x01")
        self._until(b"raw REPL; CTRL-B to exit\r\n>", 30)
        self.run(DISK)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._selector.close()
        self._process.kill()
        self._process.communicate()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(data)

    def _until(self, end: bytes, timeout_s: float) -> bytes:
        """What the board sends before end. BoardError when end does not come."""
        assert self._process.stdout
        deadline = time.monotonic() + timeout_s
        while end not in self._held:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise BoardError(f"no answer in {timeout_s} s; last: {self._held[-200:]!r}")
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise BoardError(f"the emulator ended; last: {self._held[-200:]!r}")
            self._held += part
        found, _, self._held = self._held.partition(end)
        return found

    def run(self, code: str, timeout_s: float = 60) -> str:
        """What the code prints. BoardError with its traceback when it raises."""
        self._write(code.encode() + b"\x04")
        self._until(b"OK", timeout_s)
        printed = self._until(b"\x04", timeout_s)
        error = self._until(b"\x04", timeout_s)
        self._until(b">", timeout_s)
        if error:
            raise BoardError(error.decode())
        return printed.decode().replace("\r\n", "\n")

    def put(self, name: str, data: bytes) -> None:
        """A file on the board, made in small pieces: the code of a line costs heap as well."""
        self.run(f"files[{name!r}] = bytearray({len(data)})")
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            self.run(f"files[{name!r}][{at}:{at + len(piece)}] = {piece!r}")
        self.run(f"files[{name!r}] = bytes(files[{name!r}])")
