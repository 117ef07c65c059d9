"""A serial line of a machine under QEMU, and what is said over it: the board's console, or a root shell."""

import itertools
import re
import time
from abc import ABC, abstractmethod

import serial

BOOT_S = 600.0
COMMAND_S = 300.0
_NUMBERS = itertools.count()


class Line(ABC):
    """serial: where it is heard and spoken; set by whoever opens it."""

    _serial: serial.SerialBase

    def __init__(self) -> None:
        self.heard = b""
        self.all_heard = bytearray()  # since it was made, over all the machine's starts

    @abstractmethod
    def runs(self) -> bool:
        """Whether the machine is on."""

    def expect(self, pattern: str, timeout_s: float = BOOT_S) -> re.Match[str]:
        """Read until this comes; what was before it is dropped."""
        end = time.monotonic() + timeout_s
        while True:
            text = self.heard.decode(errors="replace")
            if found := re.search(pattern, text):
                self.heard = text[found.end() :].encode()
                return found
            assert time.monotonic() < end, f"{pattern!r} did not come; last heard: {text[-3000:]}"
            assert self.runs(), f"the machine ended; last heard: {text[-3000:]}"
            self._hear()

    def _hear(self) -> None:
        data = self._serial.read(4096)
        self.heard += data
        self.all_heard += data

    def type(self, line: str) -> None:
        self.send(f"{line}\r".encode())

    def send(self, data: bytes) -> None:
        self._serial.write(data)

    def hear(self, *wanted: bytes, timeout_s: float = COMMAND_S) -> None:
        """Read until all of these bytes have come, in this order; what was before them is dropped."""
        end = time.monotonic() + timeout_s
        for each in wanted:
            while each not in self.heard:
                assert time.monotonic() < end, f"{each!r} did not come; last heard: {self.heard[-3000:]!r}"
                assert self.runs(), f"the machine ended; last heard: {self.heard[-3000:]!r}"
                self._hear()
            self.heard = self.heard.partition(each)[2]

    def meet(self) -> None:
        """Boot to the console."""
        self.expect(r"(?s)Type help.*?toastbox> ")

    def console(self, line: str, timeout_s: float = COMMAND_S) -> str:
        """What the board's console answers."""
        self.type(line)
        return self.expect(r"(?s)\r\n(.*?)toastbox> ", timeout_s)[1].replace("\r", "")

    def status(self) -> dict[str, str]:
        """What the console's `status` says, by name. Without `state`: it could not tell just now."""
        pairs = (line.split(None, 1) for line in self.console("status").splitlines())
        return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}

    def login(self) -> None:
        """Boot to a shell."""
        self.expect(r"login: ")
        self.type("root")
        self.expect(r":\S*# ", COMMAND_S)
        self.type("stty columns 2000")  # so that the shell breaks no line
        self.expect(r":\S*# ", COMMAND_S)

    def run(self, command: str, timeout_s: float = COMMAND_S) -> tuple[int, str]:
        """Exit code and output of a command. What it is asked to print at the end is not what is typed."""
        mark = f"{next(_NUMBERS)}"
        self.type(f"{command}; echo mark-$?-'{mark}'-end")
        self.expect(rf"{mark}'-end\r\n", timeout_s)
        found = self.expect(rf"(?s)(.*?)mark-(\d+)-{mark}-end", timeout_s)
        return int(found[2]), found[1].replace("\r", "")

    def ask(self, command: str, timeout_s: float = COMMAND_S) -> str:
        """Output of a command that must succeed."""
        code, text = self.run(command, timeout_s)
        assert code == 0, f"{command} ended with {code}: {text}"
        return text

    def until(self, command: str, timeout_s: float = BOOT_S) -> str:
        """Repeat a command until it succeeds."""
        end = time.monotonic() + timeout_s
        while True:
            code, text = self.run(command)
            if code == 0:
                return text
            assert time.monotonic() < end, f"{command} does not succeed: {text}\n{self.run('logread | tail -n 30')[1]}"
            time.sleep(1)
