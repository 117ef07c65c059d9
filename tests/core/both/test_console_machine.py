"""Machine frames: golden bytes, every flipped bit is seen, and what a session answers."""

from consoles import Desk, answers_in, request
from entries import refusal

from toastbox.core import console_machine as machine
from toastbox.core.console import Answer

GOLDEN = b'\x1e{"seq":7,"crc":"6500d349"}\n'


def test_golden_frame():
    assert machine.encode({"seq": 7}) == GOLDEN
    assert machine.decode(GOLDEN[1:-1]) == {"seq": 7}


def test_any_text_comes_back():
    for text in ("", "x\n\r\x1e\x00\x7f", 'a"b\\c', "gr\u00fc\u00df \U0001f35e", ',"crc":"00000000"}'):
        frame = machine.encode({"seq": 1, "text": text})
        assert frame.count(b"\x1e") == 1 and frame.count(b"\n") == 1
        assert machine.decode(frame[1:-1])["text"] == text


def test_every_flipped_bit_is_seen():
    line = machine.encode({"seq": 1, "do": "set", "values": {"hostname": "kitchen"}})[1:-1]
    for at in range(len(line)):
        for bit in range(8):
            bad = line[:at] + bytes([line[at] ^ 1 << bit]) + line[at + 1 :]
            assert refusal(machine.decode, bad), (at, bit)
        assert refusal(machine.decode, line[:at]) and refusal(machine.decode, line[at + 1 :])


def test_right_checksum_of_what_is_no_request():
    for body in (b"[1", b"1", b'{"seq":1} ', b"{" * 400, b"\xff", b"["):
        line = body + machine.TAIL + b"%08x" % machine.checksum(body) + b'"}'
        assert refusal(machine.decode, line), body


def test_requests_are_answered_with_their_number():
    desk = Desk(answers={"status": Answer({"state": "in sync"}), "reboot": Answer(None, "not now", "failed")})
    out = desk.send(request(5, "status") + request(6, "reboot"))
    assert answers_in(out) == [
        {"seq": 5, "ok": True, "result": {"state": "in sync"}},
        {"seq": 6, "ok": False, "code": "failed", "error": "not now"},
    ]
    assert out.replace(b"\n", b"").count(b"toastbox>") == 0


def test_a_repeated_request_is_done_once():
    desk = Desk()
    once = desk.send(request(5, "unpair"))
    assert desk.send(request(5, "unpair")) == once
    assert [name for name, _, _ in desk.done] == ["unpair"]
    desk.send(request(5, "reboot"))
    desk.send(request(6, "reboot"))
    assert [name for name, _, _ in desk.done] == ["unpair", "reboot", "reboot"]


def test_noise_that_logs_out_does_not_make_a_repetition_a_second_request():
    desk = Desk()
    once = desk.send(request(5, "unpair"))
    desk.send(b"\x04")
    assert desk.send(request(5, "unpair")).endswith(once)
    assert [name for name, _, _ in desk.done] == ["unpair"]


def test_a_damaged_request_is_asked_for_again():
    desk = Desk()
    bad = request(5, "reboot").replace(b"reboot", b"rebooT")
    assert answers_in(desk.send(bad))[0]["code"] == "damaged"
    assert desk.done == []
    lost_end = request(5, "status")[:-1]
    assert answers_in(desk.send(lost_end + request(6, "status")))[0]["seq"] == 6


def test_half_lines_and_half_frames_do_no_harm():
    desk = Desk()
    assert [each["seq"] for each in answers_in(desk.send(b"factory-res" + request(5, "status")))] == [5]
    assert desk.send(b"et\r").count(b"no command 'et'") == 1
    desk.send(request(6, "status")[:9])
    desk.wait(2.5)
    assert b"toastbox>" in desk.send(b"status\r")
    assert [name for name, _, _ in desk.done] == ["status", "status"]
    assert b"there is no command" in desk.send(b"\x1exyz\r")


def test_a_frame_without_end_is_let_go():
    desk = Desk()
    desk.send(b"\x1e{" + b"x" * 5000 + b"\r")
    assert answers_in(desk.send(request(6, "status")))[0]["seq"] == 6


def test_wrong_requests():
    desk = Desk()
    for fields in (
        {"seq": 1},
        {"seq": 2, "do": "explode"},
        {"seq": 3, "do": "logout"},
        {"seq": 4, "do": "status", "x": 1},
        {"seq": 5, "do": "set"},
        {"seq": 6, "do": "set", "values": {}},
        {"seq": 7, "do": "set", "values": {"hostname": 3}},
        {"seq": 8, "do": "set", "values": {"hostname": "x" * 600}},
        {"seq": 9, "do": "pair", "code": ["TBX1"]},
        {"seq": 10, "do": "log", "count": True},
        {"seq": 11, "do": "log", "count": 100000},
        {"seq": 12, "do": ["status"]},
    ):
        found = answers_in(desk.send(machine.encode(fields)))
        assert [(each["seq"], each["code"]) for each in found] == [(fields["seq"], "wrong-use")], fields
    for seq in (0, -1, "1", True, None, 1.5, 1 << 40):
        assert answers_in(desk.send(machine.encode({"seq": seq, "do": "status"})))[0]["code"] == "damaged", seq
    assert desk.done == []


def test_a_password_comes_first():
    desk = Desk(password="geheim99", answers={"hello": Answer({"protocol": 1})})
    assert answers_in(desk.send(request(1, "status")))[0]["code"] == "locked"
    assert answers_in(desk.send(request(2, "hello")))[0]["result"] == {"protocol": 1, "locked": True}
    assert answers_in(desk.send(request(3, "auth", password="falsch99")))[0]["code"] == "refused"
    assert answers_in(desk.send(request(4, "auth", password="geheim99")))[0]["ok"]
    assert answers_in(desk.send(request(5, "status")))[0]["ok"]
    assert answers_in(desk.send(request(6, "hello")))[0]["result"]["locked"] is False
    desk.session.hangup()
    assert answers_in(desk.send(request(5, "status")))[0]["code"] == "locked"
