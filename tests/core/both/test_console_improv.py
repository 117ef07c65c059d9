"""Improv: packets as its clients make and read them."""

from consoles import Desk

from toastbox.core import console_improv as improv
from toastbox.core.console import Answer

# What the standard's JavaScript client sends: the checksum covers the header, a line feed follows.
ASK_STATE = b"IMPROV\x01\x03\x02\x02\x00\xe5\n"
ASK_INFO = b"IMPROV\x01\x03\x02\x03\x00\xe6\n"


def rpc(command, data=b""):
    body = b"IMPROV\x01\x03" + bytes([len(data) + 2, command, len(data)]) + data
    return body + bytes([sum(body) & 255]) + b"\n"


def heard(data):
    """(kind, data) of each packet, read as that client reads: a packet begins a line, a tenth byte LF ends one."""
    found, line, skipping = [], b"", False
    for byte in data:
        if len(line) >= 9:
            line += bytes([byte])
            if len(line) == 10 + line[8]:
                assert sum(line[:-1]) & 255 == line[-1]
                found.append((line[7], line[9:-1]))
                line = b""
        elif byte == 10:
            line, skipping = b"", False
        elif not skipping:
            line += bytes([byte])
            if len(line) == 9 and line[:6] != b"IMPROV":
                line, skipping = b"", True
    return found


def strings(data):
    """(command, strings) of a result."""
    assert data[1] == len(data) - 2
    found, at = [], 2
    while at < len(data):
        found.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return data[0], found


def test_packets_are_the_clients():
    assert rpc(2) == ASK_STATE and rpc(3) == ASK_INFO
    assert improv.state(2) == b"\nIMPROV\x01\x01\x01\x02\xe2\n"
    assert improv.error(0) == b"\nIMPROV\x01\x02\x01\x00\xe1\n"


def test_state():
    desk = Desk(answers={"online": Answer({"online": False})})
    assert heard(desk.send(ASK_STATE)) == [(2, b"\x00"), (1, b"\x02")]
    desk.answers = {"online": Answer({"online": True, "url": "http://10.0.0.2/"})}
    found = heard(desk.send(ASK_STATE))
    assert found[:2] == [(2, b"\x00"), (1, b"\x04")]
    assert strings(found[2][1]) == (2, ["http://10.0.0.2/"])


def test_wifi():
    desk = Desk(answers={"wifi-join": Answer({"url": ""})})
    found = heard(desk.send(rpc(1, b"\x0cMyWirelessAP\x10mysecurepassword")))
    assert [kind for kind, _ in found] == [2, 1, 1, 4]
    assert found[1][1] == b"\x03" and found[2][1] == b"\x04"
    assert desk.done == [("wifi-join", {"ssid": "MyWirelessAP", "password": "mysecurepassword"}, "improv")]
    desk.answers = {"wifi-join": Answer(None, "no such network", "failed")}
    found = heard(desk.send(rpc(1, b"\x01a\x00")))
    assert found[2:] == [(1, b"\x02"), (2, b"\x03")]
    for data in (b"", b"\x05abc\x00", b"\x01a", b"\x01a\x05abc", b"\x01\xff\x00"):
        assert heard(desk.send(rpc(1, data)))[-1] == (2, b"\x01"), data


def test_info_scan_and_names():
    desk = Desk(
        answers={
            "info": Answer(
                {"firmware": "Toastbox", "version": "1", "hardware": "x", "name": "k", "os": "", "os_version": ""}
            ),
            "wifi-scan": Answer(
                [
                    {"ssid": "home", "signal": -40, "security": "wpa2"},
                    {"ssid": "cafe", "signal": -70, "security": "open"},
                ]
            ),
            "get-hostname": Answer({"hostname": "kitchen"}),
            "get-name": Answer({"name": "the kitchen"}),
        }
    )
    assert strings(heard(desk.send(rpc(3)))[1][1]) == (3, ["Toastbox", "1", "x", "k", "", ""])
    found = heard(desk.send(rpc(4)))[1:]
    assert [strings(data) for _, data in found] == [(4, ["home", "-40", "YES"]), (4, ["cafe", "-70", "NO"]), (4, [])]
    assert strings(heard(desk.send(rpc(5)))[1][1])[1][0] == "kitchen"
    assert strings(heard(desk.send(rpc(6)))[1][1]) == (6, ["the kitchen"])
    desk.answers = {"set": Answer({"hostname": "porch", "name": "the porch"})}
    assert strings(heard(desk.send(rpc(5, b"porch")))[1][1]) == (5, ["porch"])
    assert strings(heard(desk.send(rpc(6, b"the porch")))[1][1]) == (6, ["the porch"])
    desk.answers = {"set": Answer(None, "bad", "wrong-use")}
    assert heard(desk.send(rpc(5, b"-")))[1:] == [(2, b"\x05")]
    assert heard(desk.send(rpc(5, b"\xff")))[1:] == [(2, b"\x05")]


def test_every_length_of_result_is_heard():
    for size in range(0, 200):
        found = heard(improv.result(5, ["x" * size]))
        assert len(found) == 1 and strings(found[0][1])[1][0] == "x" * min(size, improv.MAX_STRING), size
    assert strings(heard(improv.result(5, ["\u00fc" * 100]))[0][1]) == (5, ["\u00fc" * 60])


def test_bad_packets():
    desk = Desk()
    bad = ASK_STATE[:-2] + b"\x00\n"
    assert heard(desk.send(bad)) == [(2, b"\x01")]
    assert heard(desk.send(rpc(77))) == [(2, b"\x00"), (2, b"\x02")]
    assert heard(desk.send(improv.state(4))) == []
    assert desk.done == []


def test_packets_among_typing():
    desk = Desk(answers={"online": Answer({"online": False})})
    out = desk.send(b"stat" + ASK_STATE)
    assert len(heard(out)) == 2
    assert b"no command 'us'" in desk.send(b"us\r")
    out = b""
    for byte in b"IIMPIMPRO" + ASK_STATE:
        out += desk.send(bytes([byte]))
    assert len(heard(out)) == 2


def test_half_a_packet_is_dropped():
    desk = Desk()
    desk.send(ASK_STATE[:10])
    desk.wait(1.5)
    desk.send(b"status\r")
    assert [name for name, _, _ in desk.done] == ["status"]


def test_a_password_keeps_improv_out():
    desk = Desk(password="geheim99", answers={"online": Answer({"online": False})})
    for command, data in ((1, b"\x01a\x00"), (4, b""), (5, b"x"), (6, b"")):
        assert heard(desk.send(rpc(command, data)))[-1] == (2, b"\xff")
    assert heard(desk.send(ASK_STATE))[-1] == (1, b"\x02")
    assert [name for name, _, _ in desk.done] == ["online"]
