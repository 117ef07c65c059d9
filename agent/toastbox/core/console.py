"""A board's console: bytes of a serial line in, bytes and commands out. Nothing here touches a port or a board.

One line carries three things. *Typing* goes to the line editor. A *machine's frame* begins with RS and may begin at
any moment: a half line typed before is dropped, nothing is echoed. An *Improv packet* begins with its header; bytes
that may be its beginning are held back for HOLD_S. Each has an end that noise cannot put off: what is not finished in
its time is dropped.

              RS                     held: I, IM, ... IMPROV 1
    FRAME <---------- TYPING <---------------------------------> PACKET
      | LF or FRAME_S   |  ^          its last byte or PACKET_S     |
      |                 v  |                                        v
      +-----------> a Command for the edge, answered by answer() <--+

While a command is done nothing is read (what comes waits in `feed`), so answers are in the order of the questions.

Machines may ask again: a request with the number and the bytes of the last one is not done again, its answer is sent
again. A damaged frame is answered by code `damaged`, number 0: whoever sent it sends it again.

A password, if one is set, comes before everything but `hello` and `auth`. It is asked for again after LOCK_S without a
byte, after a hang-up and after `logout`.
"""

from toastbox.core import console_commands as commands
from toastbox.core import console_improv as improv
from toastbox.core import console_machine as machine
from toastbox.core.console_commands import Command, UsageError
from toastbox.core.console_line import CANCEL, LEAVE, LineEditor
from toastbox.core.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:  # MicroPython has no typing
    from collections.abc import Callable

SHELL = "shell"
MACHINE = "machine"
IMPROV = "improv"

PROMPT = "toastbox> "
PASSWORD = "password: "
NOT_UNDERSTOOD = "this could not be understood; 'help' lists the commands"
HOLD_S = 0.25
PACKET_S = 1.0
FRAME_S = 2.0
LINE_S = 60.0
LOCK_S = 600.0
MAX_INPUT = 8192
MAX_KEPT_ANSWER = 4096

# What an edge answers with, besides no code: why it failed.
DAMAGED = "damaged"
LOCKED = "locked"
WRONG = "wrong-use"
REFUSED = "refused"
FAILED = "failed"
PHRASE = "phrase"


class Answer:
    """What came of a command. code "": done, with a result; else why not, and the text for people."""

    __slots__ = ("code", "error", "result")

    def __init__(self, result: object = None, error: str = "", code: str = "") -> None:
        self.result = result
        self.error = error
        self.code = code


class Session:
    """The console on one line. needs_password(): whether one is set now. Times in seconds, never going back."""

    def __init__(self, needs_password: "Callable[[], bool]", greeting: str = "") -> None:
        self.unlocked = False
        self._needs_password = needs_password
        self._input = bytearray()
        self._out = bytearray()
        self._editor = LineEditor(commands.complete, commands.secret_from)
        self._frames = machine.FrameReader(machine.MAX_REQUEST)
        self._improv = improv.ImprovReader()
        self._busy: Command | None = None
        self._found: list[Command] = []
        self._request: tuple[int, bytes] | None = None
        self._asking = ""
        self._after_packet = False
        self._last_s = 0.0
        self._answered: tuple[int, bytes] | None = None
        self._answer = b""
        if greeting:
            self._say(greeting)
        self._prompt()

    # --- the edge's side

    def feed(self, data: bytes, now_s: float) -> None:
        """Bytes that arrived. What is far too much is noise and is dropped."""
        self._last_s = now_s
        self._input.extend(data[: max(0, MAX_INPUT - len(self._input))])

    def next(self) -> "tuple[bytes, Command | None]":
        """(bytes to send, a command to do). Call until neither comes; after a command call answer() first."""
        at = 0
        while at < len(self._input) and self._busy is None and not self._found:
            self._take(self._input[at])
            at += 1
        self._input = self._input[at:]
        self._out.extend(self._editor.take())
        out, self._out = bytes(self._out), bytearray()
        if self._busy is None and self._found:
            self._busy = self._found.pop(0)
            return out, self._busy
        return out, None

    def wake_s(self) -> "float | None":
        """When tick() has something to do, if no byte comes before; None: never."""
        if self._improv.held:
            return self._last_s + (PACKET_S if self._improv.inside else HOLD_S)
        if self._frames.open:
            return self._last_s + FRAME_S
        if self._editor.text or self._asking:
            return self._last_s + LINE_S
        if self.unlocked and self._needs_password():
            return self._last_s + LOCK_S
        return None

    def tick(self, now_s: float) -> None:
        """Time has passed."""
        due = self.wake_s()
        if due is None or now_s < due or self._busy is not None:
            return
        if self._improv.held:
            for byte in self._improv.drop():
                self._type(byte)
        elif self._frames.open:
            self._frames.drop()
        elif self._editor.text or self._asking:
            self._say("\r\n(nothing came for a while: the line was dropped)")
            self._prompt()
        else:
            self._lock()

    def hangup(self) -> None:
        """The cable was pulled: whoever comes next is another one."""
        self._input = bytearray()
        self._frames.drop()
        self._improv.drop()
        self._lock()
        self._editor.take()
        self._out = bytearray()
        self._prompt()

    def answer(self, answer: Answer) -> None:
        """What came of the command that next() gave last."""
        command, self._busy = self._busy, None
        assert command is not None
        if not answer.code and (command.name == "auth" or _sets_password(command)):
            self.unlocked = True
        if command.source == SHELL:
            self._answer_shell(command, answer)
        elif command.source == MACHINE:
            self._answer_machine(answer)
        else:
            self._answer_improv(command, answer)

    # --- bytes

    def _take(self, byte: int) -> None:
        after_packet, self._after_packet = self._after_packet, False
        if not self._improv.inside and (byte == machine.RS or self._frames.open):
            self._improv.drop()
            line = self._frames.feed(byte)
            if line is not None:
                self._abandon_line()
                self._take_request(line)
            if self._frames.open or byte in (machine.RS, machine.LF):
                return
        if after_packet and byte in (10, 13):
            return
        for each in self._improv.feed(byte):
            self._type(each)
        if self._improv.packet is not None:
            kind, data = self._improv.packet
            self._abandon_line()
            self._after_packet = True
            self._take_packet(kind, data)

    def _type(self, byte: int) -> None:
        line = self._editor.feed(byte)
        if line is not None:
            self._take_line(line)

    def _say(self, text: str) -> None:
        self._out.extend(self._editor.take())
        if text:
            self._out.extend(text.replace("\n", "\r\n").replace("\r\r", "\r").encode() + b"\r\n")

    # --- typing

    def locked(self) -> bool:
        return not self.unlocked and self._needs_password()

    def _prompt(self) -> None:
        self._asking = ""
        if self.locked():
            self._editor.start(PASSWORD, False)
        else:
            self._editor.start(PROMPT)

    def _abandon_line(self) -> None:
        """A machine speaks: what was typed so far is dropped, silently, and so is the prompt."""
        self._prompt()
        self._editor.take()

    def _lock(self) -> None:
        """Ctrl-D, which noise can be too: only a password makes what was answered nobody's business any more."""
        self.unlocked = False
        self._editor.forget()
        if self._needs_password():
            self._answered = None
            self._answer = b""
            self._out.extend(b"\r\n")
        self._prompt()

    def _take_line(self, line: str) -> None:
        asking, self._asking = self._asking, ""
        if line == LEAVE:
            self._lock()
        elif line == CANCEL:
            self._prompt()
        elif self.locked():
            self._do("auth", {"password": line}, SHELL)
        elif asking:
            self._take_asked(asking, line)
        else:
            self._take_typed(line)

    def _take_asked(self, asking: str, line: str) -> None:
        if not line:
            self._say("nothing was changed")
            self._prompt()
        elif asking == "factory-reset":
            self._do("factory-reset", {"phrase": line.strip()}, SHELL)
        else:
            self._do("set", {"values": {asking: line}}, SHELL)

    def _take_typed(self, line: str) -> None:
        try:
            found = commands.parse(line)
        except UsageError as error:
            self._say(NOT_UNDERSTOOD if self._editor.was_secret else str(error))
            found = None
        if found is None:
            self._prompt()
        elif found[0] == "help":
            self._say(commands.help_text())
            self._prompt()
        elif found[0] == "logout":
            self._lock()
        elif "ask" in found[1]:
            self._asking = found[1]["ask"]
            self._editor.start(self._asking + ": ", False)
        else:
            self._do(found[0], found[1], SHELL)

    def _do(self, name: str, args: dict, source: str) -> None:  # type: ignore[type-arg]
        self._found.append(Command(name, args, source))

    def _answer_shell(self, command: Command, answer: Answer) -> None:
        if answer.code == PHRASE and "phrase" not in command.args:
            self._say(commands.plain(answer.error))
            self._asking = command.name
            self._editor.start("phrase: ")
            return
        if answer.code:
            self._say(commands.plain(answer.error))
        elif command.name != "auth":
            self._say(commands.render(answer.result) or "done")
        self._prompt()

    # --- machines

    def _take_request(self, line: bytes) -> None:
        try:
            fields = machine.decode(line)
            seq = machine.check_seq(fields.pop("seq", None))
        except WireError as error:
            self._send(0, Answer(None, str(error), DAMAGED))
            return
        self._request = (seq, line)
        if self._request == self._answered:
            self._out.extend(self._answer)
            return
        self._answered = None
        try:
            name, args = commands.check(fields.pop("do", None), fields)
        except UsageError as error:
            self._answer_machine(Answer(None, str(error), WRONG))
            return
        if self.locked() and name not in commands.MACHINE_ONLY:
            self._answer_machine(Answer(None, "the console has a password: auth comes first", LOCKED))
        elif name == "help":
            self._answer_machine(Answer(commands.help_text()))
        else:
            self._do(name, args, MACHINE)

    def _answer_machine(self, answer: Answer) -> None:
        assert self._request is not None
        if isinstance(answer.result, dict) and "protocol" in answer.result:
            answer.result["locked"] = self.locked()
        frame = self._send(self._request[0], answer)
        if len(frame) <= MAX_KEPT_ANSWER and answer.code not in (LOCKED,):
            self._answered, self._answer = self._request, frame

    def _send(self, seq: int, answer: Answer) -> bytes:
        fields: dict[str, object] = {"seq": seq, "ok": not answer.code}
        if answer.code:
            fields["code"] = answer.code
            fields["error"] = answer.error
        else:
            fields["result"] = answer.result
        frame = machine.encode(fields)
        self._out.extend(frame)
        return frame

    # --- Improv

    def _take_packet(self, kind: int, data: bytes) -> None:
        if kind not in (0, improv.RPC):
            return
        found = improv.parse_rpc(data) if kind else None
        if found is None:
            self._out.extend(improv.error(improv.BAD_PACKET))
            return
        call, rest = found
        self._out.extend(improv.error(improv.NO_ERROR))
        code = self._call(call, rest)
        if code:
            self._out.extend(improv.error(code))

    def _call(self, call: int, data: bytes) -> int:
        """Have it done; else the error."""
        if call in (improv.WIFI, improv.SCAN, improv.HOSTNAME, improv.NAME) and self.locked():
            return improv.OTHER_ERROR
        if call == improv.WIFI:
            found = improv.parse_wifi(data)
            if found is None:
                return improv.BAD_PACKET
            self._out.extend(improv.state(improv.PROVISIONING))
            self._do("wifi-join", {"ssid": found[0], "password": found[1]}, IMPROV)
        elif call in (improv.HOSTNAME, improv.NAME) and data:
            text = improv.text_of(data)
            if text is None:
                return improv.BAD_HOSTNAME
            self._do("set", {"values": {_call_key(call): text[0]}}, IMPROV)
        elif call in _CALLS:
            self._do(_CALLS[call], {}, IMPROV)
        else:
            return improv.UNKNOWN_COMMAND
        return 0

    def _answer_improv(self, command: Command, answer: Answer) -> None:
        result = answer.result if isinstance(answer.result, dict) else {}
        if answer.code:
            self._out.extend(_improv_failure(command))
        elif command.name == "online":
            provisioned = bool(result.get("online"))
            self._out.extend(improv.state(improv.PROVISIONED if provisioned else improv.READY))
            if provisioned:
                self._out.extend(improv.result(improv.GET_STATE, [str(result.get("url", ""))]))
        elif command.name == "wifi-join":
            self._out.extend(improv.state(improv.PROVISIONED))
            self._out.extend(improv.result(improv.WIFI, [str(result.get("url", ""))]))
        elif command.name == "wifi-scan":
            for each in answer.result if isinstance(answer.result, list) else []:
                strings = [str(each["ssid"]), str(each["signal"]), "NO" if each["security"] == "open" else "YES"]
                self._out.extend(improv.result(improv.SCAN, strings))
            self._out.extend(improv.result(improv.SCAN, []))
        elif command.name == "info":
            strings = [
                str(result.get(key, "")) for key in ("firmware", "version", "hardware", "name", "os", "os_version")
            ]
            self._out.extend(improv.result(improv.GET_INFO, strings))
        else:
            self._answer_name(command, result)

    def _answer_name(self, command: Command, result: dict) -> None:  # type: ignore[type-arg]
        """A hostname or a name, asked for (`get-hostname`, `get-name`) or set: then the new values are the result."""
        call = improv.HOSTNAME
        if command.name == "get-name" or "name" in command.args.get("values", {}):
            call = improv.NAME
        self._out.extend(improv.result(call, [str(result.get(_call_key(call), ""))]))


_CALLS = {
    improv.GET_STATE: "online",
    improv.GET_INFO: "info",
    improv.SCAN: "wifi-scan",
    improv.HOSTNAME: "get-hostname",
    improv.NAME: "get-name",
}


def _call_key(call: int) -> str:
    return "hostname" if call == improv.HOSTNAME else "name"


def _sets_password(command: Command) -> bool:
    return command.name == "set" and "console.password" in command.args.get("values", {})


def _improv_failure(command: Command) -> bytes:
    if command.name == "wifi-join":
        return improv.state(improv.READY) + improv.error(improv.CANNOT_CONNECT)
    if command.name == "set" and "hostname" in command.args["values"]:
        return improv.error(improv.BAD_HOSTNAME)
    return improv.error(improv.OTHER_ERROR)
