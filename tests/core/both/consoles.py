"""A console whose commands are answered by a table, for the tests of both interpreters."""

from toastbox.core import console_machine as machine
from toastbox.core.console import Answer, Session


class Desk:
    """A session and somebody who answers. answers: {name: Answer}; done: what was asked, in order."""

    def __init__(self, password="", answers=None):
        self.password = password
        self.answers = answers or {}
        self.done = []
        self.now_s = 0.0
        self.session = Session(lambda: bool(self.password))
        self.greeting = self.pump()

    def pump(self):
        out = b""
        while True:
            found, command = self.session.next()
            out += found
            if command is None:
                return out
            self.done.append((command.name, command.args, command.source))
            self.session.answer(self.answer(command))

    def answer(self, command):
        if command.name == "auth":
            if command.args["password"] == self.password:
                return Answer({"unlocked": True})
            return Answer(None, "wrong password", "refused")
        return self.answers.get(command.name, Answer({"ok": "yes"}))

    def send(self, data, after_s=0.0):
        self.now_s += after_s
        self.session.feed(data, self.now_s)
        return self.pump()

    def wait(self, seconds):
        self.now_s += seconds
        self.session.tick(self.now_s)
        return self.pump()


def request(seq, name, **args):
    fields = {"seq": seq, "do": name}
    fields.update(args)
    return machine.encode(fields)


def answers_in(data):
    """Every good answer frame of a stream."""
    reader = machine.FrameReader(machine.MAX_ANSWER)
    found = []
    for byte in data:
        line = reader.feed(byte)
        if line is not None:
            found.append(machine.decode(line))
    return found
