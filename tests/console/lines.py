"""Bad serial lines: what is between the board's pseudo-terminal and the PC's."""

import os
import random
import select
import threading
import time
from collections.abc import Callable

from consolekit import raw_pty

KERNEL = b"\r\n[  123.456789] usb 1-1: new high-speed USB device number 2 using dwc2\r\n"

Harm = Callable[[bytes], bytes]


def nothing(data: bytes) -> bytes:
    return data


def flips(seed: int, one_in: int) -> Harm:
    """Every so manyth byte, on average, is another one, or lost, or doubled."""
    chance = random.Random(seed)

    def harm(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if chance.randrange(one_in):
                out.append(byte)
            else:
                out += chance.choice([b"", bytes([byte, byte]), bytes([byte ^ 1 << chance.randrange(8)])])
        return bytes(out)

    return harm


def kernel_messages(seed: int, one_in: int) -> Harm:
    """The board's kernel prints in the middle of what its console says."""
    chance = random.Random(seed)

    def harm(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            out.append(byte)
            if not chance.randrange(one_in):
                out += KERNEL
        return bytes(out)

    return harm


class Line:
    """board, port: the names that the board and the PC open. baud: 0 as fast as it goes."""

    def __init__(self, to_board: Harm = nothing, to_pc: Harm = nothing, baud: int = 0) -> None:
        self._board, self.board = raw_pty()
        self._pc, self.port = raw_pty()
        self._harms = {self._pc[0]: (self._board[0], to_board), self._board[0]: (self._pc[0], to_pc)}
        self._baud = baud
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def _relay(self) -> None:
        while not self._ended.is_set():
            for fd in select.select(list(self._harms), [], [], 0.1)[0]:
                to, harm = self._harms[fd]
                data = harm(os.read(fd, 64 if self._baud else 4096))
                if self._baud:
                    time.sleep(len(data) * 10 / self._baud)
                while data:
                    data = data[os.write(to, data) :]

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for fd in (*self._board, *self._pc):
            os.close(fd)
