"""The line editor: what is typed is what comes out, secrets are not shown, noise does nothing."""

from toastbox.core import console_line
from toastbox.core.console_commands import complete, secret_from
from toastbox.core.console_line import CANCEL, LEAVE, LineEditor

UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"


def editor():
    made = LineEditor(complete, secret_from)
    made.start("> ")
    made.take()
    return made


def type_in(made, data):
    """Lines that came."""
    return [line for line in [made.feed(byte) for byte in data] if line is not None]


def line_of(data):
    lines = type_in(editor(), data + b"\r")
    assert len(lines) == 1
    return lines[0]


class Screen:
    """One row of a terminal: enough of VT100 to see what a person sees."""

    def __init__(self):
        self.row = []
        self.at = 0

    def show(self, data):
        text = data.decode()
        while text:
            if text[:2] == "\x1b[":
                end = 2
                while text[end] in "0123456789":
                    end += 1
                if text[end] == "K":
                    self.row = self.row[: self.at]
                else:
                    assert text[end] == "D"
                    self.at -= int(text[2:end])
                text = text[end + 1 :]
            else:
                self._put(text[0])
                text = text[1:]
        return "".join(self.row)

    def _put(self, each):
        if each == "\r":
            self.at = 0
        elif each == "\n":
            self.row = []
        elif each != "\a":
            self.row[self.at : self.at + 1] = [each]
            self.at += 1


def test_every_line_end_is_one_line():
    for end in (b"\r", b"\n", b"\r\n"):
        assert type_in(editor(), b"status" + end + b"show" + end) == ["status", "show"], end


def test_editing():
    for data, wanted in [
        (b"statuz\x7fs", "status"),
        (b"statuz\x08s", "status"),
        (b"tatus\x01s", "status"),
        (b"tatus" + b"\x1b[H" + b"s", "status"),
        (b"tatus" + b"\x1b[1~" + b"s" + b"\x1b[4~" + b"!", "status!"),
        (b"satus" + LEFT * 4 + b"t", "status"),
        (b"sXtatus" + LEFT * 6 + b"\x1b[3~", "status"),
        (b"sXtatus" + b"\x01\x06\x04", "status"),
        (b"one two three\x17\x17", "one "),
        (b"one two\x15three", "three"),
        (b"one two\x01\x1bf\x0b", "one"),
        (b"one two\x1bb\x1bd", "one "),
        (b"one two\x1b[1;5D\x0b\x01\x19", "twoone "),
        (b"sattus" + LEFT * 3 + b"\x14", "status"),
        ("gr\u00fc\u00df".encode() + LEFT + b"\x7f" + "\u00fc".encode(), "gr\u00fc\u00df"),
        (b"s" + b"\x1b[9;9;9;9;9;9~" + b"t", "st"),
    ]:
        assert line_of(data) == wanted, data


def test_noise_is_no_key():
    assert line_of(b"sta\xff\xfetus\x00\x02\x06\x1f\x1c") == "status"
    assert line_of(b"st\xc3atus") == "status"
    assert line_of(b"\xe2\x82status") == "status"
    assert line_of(b"status\x1b") == "status"
    assert line_of(b"status\x1b[") == "status"


def test_the_screen_shows_what_is_in_the_line():
    made, screen = editor(), Screen()
    screen.show(b"> ")
    for data, wanted in [
        (b"status", "> status"),
        (LEFT * 3 + b"xx", "> staxxtus"),
        (b"\x7f\x7f", "> status"),
        (b"\x05!", "> status!"),
        (b"\x15", "> "),
        (b"set wifi.password geheim", "> set wifi.password ******"),
        (b"\x01\x0b", "> "),
        (b"pair TBX1-1234", "> pair *********"),
    ]:
        type_in(made, data)
        assert screen.show(made.take()) == wanted
    assert screen.at == len("> pair *********")


def test_a_long_line_scrolls_in_its_row():
    made, screen = editor(), Screen()
    screen.show(b"> ")
    text = "".join([chr(97 + at % 26) for at in range(200)])
    type_in(made, text.encode())
    row = screen.show(made.take())
    assert len(row) <= console_line.COLUMNS and row.endswith(text[-20:])
    type_in(made, b"\x01")
    assert screen.show(made.take()) == "> " + text[: console_line.COLUMNS - 2]
    assert type_in(made, b"\r") == [text]


def test_a_line_too_long_is_refused_whole():
    made = editor()
    assert type_in(made, b"x" * (console_line.MAX_LINE + 1) + b"\r") == [""]
    assert b"too long" in made.take()
    assert type_in(made, b"status\r") == ["status"]


def test_history_goes_back_and_forth_and_keeps_the_draft():
    made = editor()
    type_in(made, b"one\rtwo\rtwo\rthree\r")
    assert type_in(made, UP + UP + b"\r") == ["two"]
    assert type_in(made, UP * 9 + b"\r") == ["one"]
    assert type_in(made, b"draft" + UP + UP + DOWN + DOWN + b"\r") == ["draft"]
    made.forget()
    assert type_in(made, UP + b"\r") == [""]


def test_secrets_are_in_no_history():
    made = editor()
    type_in(made, b"status\rset wifi.password geheim99\rpair TBX1-AAAA\r")
    type_in(made, b"set console.password geheim99\x15")
    made.take()
    assert type_in(made, b"\x19\r") == [""]
    made.start("wifi.password: ", False)
    assert type_in(made, b"geheim99\x7f8\r") == ["geheim98"]
    made.start("> ")
    assert b"geheim" not in made.take()
    assert type_in(made, UP + UP + UP + b"\r") == ["status"]


def test_completion():
    assert line_of(b"stat\t") == "status "
    assert line_of(b"set host\tkitchen") == "set hostname kitchen"
    assert line_of(b"wifi \t") == "wifi scan "
    made = editor()
    type_in(made, b"set wifi.\t")
    assert b"wifi.country  wifi.password  wifi.ssid" in made.take()
    assert type_in(made, b"s\tx\r") == ["set wifi.ssid x"]
    assert line_of(b"set mode r\t") == "set mode receive-only "
    assert line_of(b"zzz\t") == "zzz"


def test_keys_that_end_a_line_otherwise():
    assert type_in(editor(), b"half\x03status\r")[0] == CANCEL
    assert type_in(editor(), b"\x04") == [LEAVE]
    assert type_in(editor(), b"x\x04\r") == ["x"]
