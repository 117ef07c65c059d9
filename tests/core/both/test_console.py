"""The console's shell: commands, questions, the password, and time that passes."""

from consoles import Desk, request

from toastbox.core import console_limits
from toastbox.core import console_settings as settings
from toastbox.core.console import SHELL, Answer
from toastbox.core.console_commands import COMMANDS, help_text, parse, render, unquoted

settings.add(console_limits.SETTINGS)


def asked(line):
    desk = Desk()
    desk.send(line + b"\r")
    return [(name, args) for name, args, source in desk.done if source == SHELL]


def test_lines_become_commands():
    for line, wanted in [
        (b"status", ("status", {})),
        (b"  show  ", ("show", {})),
        (b"set hostname kitchen", ("set", {"values": {"hostname": "kitchen"}})),
        (b"set wifi.ssid My Net ", ("set", {"values": {"wifi.ssid": "My Net"}})),
        (b"set wifi.ssid ' My Net '", ("set", {"values": {"wifi.ssid": " My Net "}})),
        (b'set hub ""', ("set", {"values": {"hub": ""}})),
        (b"wifi scan", ("wifi-scan", {})),
        (b"pair TBX1-AAAAAA BBBBBB", ("pair", {"code": "TBX1-AAAAAA BBBBBB"})),
        (b"log", ("log", {"count": 20})),
        (b"log 5", ("log", {"count": 5})),
        (b"factory-reset", ("factory-reset", {})),
    ]:
        assert asked(line) == [wanted], line


def test_wrong_lines_say_what_is_right():
    for line in (
        b"explode",
        b"set",
        b"set hostname",
        b"pair",
        b"log x",
        b"status now",
        b"wifi",
        b"wifi join",
        b"log 9999",
    ):
        desk = Desk()
        out = desk.send(line + b"\r")
        assert desk.done == [] and (b"usage: " in out or b"there is no" in out), line
    assert asked(b"") == [] and asked(b"   ") == []


def test_help_names_everything():
    text = help_text()
    for name in list(COMMANDS) + settings.names():
        assert name in text
    assert b"wifi scan" in Desk().send(b"help\r")
    assert parse("help") == ("help", {})


def test_results_are_shown_and_do_nothing_to_the_terminal():
    desk = Desk(answers={"status": Answer({"state": "in \x1b[2Jsync", "held": [], "net": {"up": True, "ip": None}})})
    out = desk.send(b"status\r")
    assert b"state  in ?[2Jsync\r\nheld   -\r\nnet    up yes, ip -\r\n" in out
    table = render([{"ssid": "a", "signal": -40}, {"ssid": "long", "signal": -7}])
    assert table == "SSID  SIGNAL\na     -40\nlong  -7"
    assert b"done" in Desk(answers={"unpair": Answer()}).send(b"unpair\r")
    assert b"not now" in Desk(answers={"unpair": Answer(None, "not now", "failed")}).send(b"unpair\r")


def test_a_secret_is_asked_for_and_never_echoed():
    desk = Desk()
    out = desk.send(b"set wifi.password\r") + desk.send(b"geheim99\r")
    assert desk.done == [("set", {"values": {"wifi.password": "geheim99"}}, SHELL)]
    assert b"wifi.password: " in out and b"geheim" not in out
    out = desk.send(b"set wifi.password geheim99\r") + desk.send(b"pair TBX1-GEHEIM\r\x1b[A\x1b[A\x0c")
    assert b"geheim" not in out.lower()
    desk.send(b"\x15set console.password\r\r")
    assert len(desk.done) == 3


def test_a_phrase_is_asked_for():
    desk = Desk(answers={"factory-reset": Answer(None, "type: erase kitchen", "phrase")})
    assert b"type: erase kitchen\r\nphrase: " in desk.send(b"factory-reset\r")
    desk.answers = {}
    desk.send(b"erase kitchen\r")
    assert desk.done[-1][:2] == ("factory-reset", {"phrase": "erase kitchen"})
    desk.answers = {"factory-reset": Answer(None, "type: erase kitchen", "phrase")}
    desk.send(b"factory-reset\r\x03status\r")
    assert desk.done[-1][0] == "status"


def test_password_before_anything():
    desk = Desk(password="geheim99")
    assert desk.greeting == b"password: "
    out = desk.send(b"status\r")
    assert b"wrong password\r\npassword: " in out
    out = desk.send(b"geheim99\r")
    assert b"geheim" not in out and out.endswith(b"toastbox> ")
    assert desk.send(b"status\r") and desk.done[-1][0] == "status"
    assert desk.send(b"\x04").endswith(b"password: ")
    desk.send(b"geheim99\rlogout\rreboot\r")
    assert desk.done[-1] == ("auth", {"password": "reboot"}, SHELL)


def test_who_sets_the_password_stays_in():
    desk = Desk()
    desk.send(b"set console.password geheim99\r")
    desk.password = "geheim99"
    assert desk.send(b"status\r").endswith(b"toastbox> ") and desk.done[-1][0] == "status"
    desk.session.hangup()
    assert desk.pump() == b"password: "


def test_an_unlocked_console_locks_itself():
    desk = Desk(password="geheim99")
    desk.send(b"geheim99\r")
    assert desk.session.wake_s() == 600
    assert desk.wait(599) == b""
    assert desk.wait(2).endswith(b"password: ")
    assert desk.session.wake_s() is None


def test_a_half_line_is_dropped_after_a_while():
    desk = Desk()
    desk.send(b"factory-res")
    assert b"dropped" in desk.wait(61)
    assert b"no command 'et'" in desk.send(b"et\r")
    desk.send(b"half")
    desk.session.hangup()
    desk.pump()
    desk.send(b"status\r")
    assert desk.done[-1][0] == "status"
    assert desk.session.wake_s() is None


def test_capital_letters_are_not_kept_for_long():
    desk = Desk()
    assert desk.send(b"IMP") == b""
    assert desk.wait(0.3) == b"IMP"
    assert b"no command 'IMPX'" in desk.send(b"X\r")


def test_what_comes_while_a_command_is_done_waits():
    desk = Desk()
    desk.session.feed(b"status\rshow\r" + request(9, "network"), 0.0)
    assert desk.session.next()[1].name == "status"
    assert desk.session.next()[1] is None
    desk.session.answer(Answer())
    desk.pump()
    assert [name for name, _, _ in desk.done] == ["show", "network"]


def test_settings_are_checked():
    for key, value, wanted in [
        ("hostname", "Kitchen-2", "kitchen-2"),
        ("wifi.country", "de", "DE"),
        ("network.address", "", "dhcp"),
        ("network.address", "192.168.1.20/24", "192.168.1.20/24"),
        ("hub", "https://hub.local:8269", "https://hub.local:8269"),
        ("limit.up", "100kB", "100000"),
        ("limit.down", "", "0"),
        ("schedule", "08:00-18:00 100kB/1MB", "08:00-18:00 100kB/1MB"),
        ("wifi.password", "", ""),
        ("time.offset", "-03:30", "-03:30"),
    ]:
        assert settings.check(key, value) == wanted, key
    for key, values in [
        ("hostname", ("", "-a", "a-", "a.b", "a" * 64, "k\u00fcche")),
        ("name", ("x" * 65, "a\nb")),
        ("wifi.ssid", ("x" * 33, "a\x1b")),
        ("wifi.password", ("short", "x" * 64, "gr\u00fc\u00df1234")),
        ("wifi.country", ("DEU", "1A")),
        ("network.address", ("192.168.1.20", "192.168.1.256/24", "1.2.3/8", "1.2.3.4/0", "1.2.3.4/032", "01.2.3.4/8")),
        ("network.dns", ("dhcp",)),
        ("hub", ("http://hub", "https://", "https://a/b", "https://a b")),
        ("mode", ("", "both")),
        ("limit.up", ("fast", "-1", "1..2")),
        ("schedule", ("08:00 1/1", "08:00-18:00", "25:00-26:00 1/1", "08:00-08:00 1/1", "x" * 500)),
        ("time.offset", ("01:00", "+15:00", "+1")),
        ("console.password", ("short", "x" * 65)),
        ("colour", ("red",)),
    ]:
        for value in values:
            try:
                settings.check(key, value)
            except ValueError as error:
                assert not (settings.is_secret(key) and value in str(error))
            else:
                raise AssertionError((key, value))


def test_defaults_are_allowed_and_secrets_hidden():
    for key in settings.names():
        assert settings.check(key, settings.default(key)) == settings.default(key)
    assert settings.shown("wifi.password", "geheim99") == "(set)"
    assert settings.shown("wifi.password", "") == "(not set)"
    assert settings.shown("hostname", "x") == "x"
    assert unquoted("'a\"") == "'a\""
