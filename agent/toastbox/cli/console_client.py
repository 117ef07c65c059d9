"""Talks to a board's console in machine mode (docs/SPEC.md, section 12): asks until it hears.

A question is sent again when its time is over (each time it is given twice as long), or at once when the board says
that it was damaged. The board does a repeated question once, so asking again is always safe: while it is busy they wait
in its input, and cost it nothing but an answer sent again. While an answer is coming in nothing is sent. When the port
vanishes (a board that starts again takes its USB port with it) it is opened again until the deadline.
"""

import random
import time
from typing import Any

from toastbox.cli.console_port import PortGone, PortMissing, Wire
from toastbox.core import console_machine as machine
from toastbox.core.errors import WireError
from toastbox.errors import SafetyRefused, ToastboxError, WrongUse

HELLO_S = 8.0
REBOOT_S = 180.0
SETTLE_S = 1.0
REPEAT_S = 2.0
REPEAT_MOST_S = 20.0
HELLO_REPEAT_S = 1.5
COMING_S = 0.5
DEADLINE_S = {"pair": 150.0, "unpair": 60.0, "wifi-scan": 95.0, "set": 90.0, "factory-reset": 120.0}
ORDINARY_DEADLINE_S = 20.0
MOST_SEEN = 4096


class BoardRefused(ToastboxError):
    """The board's answer is a reason. code: of the specification."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code
        self.exit_code = {"wrong-use": WrongUse.exit_code, "refused": SafetyRefused.exit_code}.get(code, 1)


class NobodyAnswers(ToastboxError):
    """No answer came; the text says what came instead."""


class Client:
    """One board. repeats: how often something had to be sent again."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.repeats = 0
        self._boot = ""
        self._seq = random.randrange(1, machine.MAX_SEQ // 2)
        self._reader = machine.FrameReader(machine.MAX_ANSWER)
        self._seen = bytearray()

    def connect(self, password: str = "", wait_s: float = HELLO_S) -> dict[str, Any]:
        """What `hello` tells; logged in, if the console has a password. NobodyAnswers, BoardRefused."""
        self._seen.clear()
        hello: dict[str, Any] = self.ask("hello", deadline_s=wait_s)
        self._boot = str(hello.get("boot", ""))
        if hello.get("protocol") != 1:
            raise ToastboxError("the board speaks a newer protocol: update this program")
        if hello.get("locked"):
            if not password:
                raise ToastboxError("this console has a password: give it with --password-file")
            self.ask("auth", password=password)
        return hello

    def ask(self, name: str, deadline_s: float = 0.0, **args: Any) -> Any:
        """The result. BoardRefused: it was not done. NobodyAnswers: within the deadline."""
        if name == "reboot" and self._boot:  # asked again of a board that has done it, it must not be done again
            args = {"boot": self._boot, **args}
        self._seq += 1
        frame = machine.encode({"seq": self._seq, "do": name, **args})
        end_s = time.monotonic() + (deadline_s or DEADLINE_S.get(name, ORDINARY_DEADLINE_S))
        repeat_s, tries = REPEAT_S, 0
        while time.monotonic() < end_s:
            self.repeats += tries > 0
            tries += 1
            until_s = min(end_s, time.monotonic() + (HELLO_REPEAT_S if name == "hello" else repeat_s))
            try:
                answer = self._try(frame, until_s)
            except PortGone:
                self._reopen(end_s)
                continue
            if answer is not None:
                return _result(answer)
            if time.monotonic() >= until_s:
                repeat_s = min(2 * repeat_s, REPEAT_MOST_S)
        raise NobodyAnswers(self._what_came())

    def _try(self, frame: bytes, end_s: float) -> dict[str, Any] | None:
        """The answer to this frame; None: it has to be sent again."""
        self._reader.drop()
        self.wire.write(frame)
        while (left_s := end_s - time.monotonic()) > 0:
            data = self.wire.read(left_s)
            self._seen.extend(data)
            del self._seen[:-MOST_SEEN]
            if data and self._reader.open:
                end_s = max(end_s, time.monotonic() + COMING_S)
            for answer in self._answers(data):
                if answer.get("seq") == self._seq:
                    return answer
                if answer.get("code") == "damaged":
                    return None
        return None

    def _answers(self, data: bytes) -> list[dict[str, Any]]:
        """Every whole frame; one that is damaged counts as the board's word that ours was: it has to be asked again."""
        found: list[dict[str, Any]] = []
        for byte in data:
            line = self._reader.feed(byte)
            if line is None:
                continue
            try:
                found.append(machine.decode(line))
            except WireError:
                found.append({"seq": -1, "code": "damaged"})
        return found

    def _reopen(self, end_s: float) -> None:
        while time.monotonic() < end_s:
            try:
                self.wire.open()
                return
            except PortMissing:
                time.sleep(0.2)
        raise NobodyAnswers(f"{self.wire.port} did not come back")

    def await_return(self, password: str = "", wait_s: float = REBOOT_S) -> dict[str, Any]:
        """After a reboot: until the board answers again. What is still the old system is left time to go."""
        time.sleep(SETTLE_S)
        return self.connect(password, wait_s)

    def _what_came(self) -> str:
        where = f"{self.wire.port} at {self.wire.speed} baud"
        seen = bytes(self._seen)
        if not seen.strip(b"\0\r\n "):
            return (
                f"nobody answers on {where}: is the board powered, are its transmit and receive wires crossed, "
                "and does its console run on this port?"
            )
        strange = sum(not (32 <= byte < 127 or byte in (9, 10, 13, 27, machine.RS)) for byte in seen)
        if strange * 5 > len(seen):
            return f"what comes on {where} cannot be read: another speed (--speed), or no common ground wire?"
        last = [line for line in seen.decode("ascii", "replace").splitlines() if line.strip()][-1].strip()
        return f"something else than a board's console answers on {where}; it said last: {last[-60:]!r}"


def _result(answer: dict[str, Any]) -> Any:
    if answer.get("ok") is True:
        return answer.get("result")
    raise BoardRefused(str(answer.get("error", "no reason"))[:500], str(answer.get("code", "failed")))
