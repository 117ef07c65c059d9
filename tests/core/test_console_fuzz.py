"""The console under noise: it answers afterwards, does nothing that nobody asked for, and leaks nothing.

Frames are damaged byte by byte; a client that follows the specification (docs/SPEC.md, section 12) gets through.
"""

import sys
from pathlib import Path
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from toastbox.core import console_machine as machine
from toastbox.core.console import Answer
from toastbox.core.errors import WireError

sys.path.insert(0, str(Path(__file__).parent / "both"))

from consoles import Desk, answers_in, request

SECRET = "geheim99"
HARMFUL = {"reboot", "poweroff", "factory-reset", "unpair"}

noise = st.binary(max_size=300)
pieces = st.lists(
    st.one_of(
        noise,
        st.sampled_from(
            [
                b"\x1e",
                b"\x1e{",
                b"IMPROV\x01",
                b"IMPROV",
                b"\r\n",
                b"\x1b[",
                b"\x03",
                b"\x04",
                b"[   12.3] usb 1-1: new",
            ]
        ),
    ),
    max_size=12,
)
json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=40)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)


def answered(desk: Desk, seq: int) -> bool:
    """Whether the console, left alone for a moment as a client's time-out does, answers a request."""
    desk.wait(3.0)
    return any(each["seq"] == seq and each["ok"] for each in answers_in(desk.send(request(seq, "status"))))


@given(pieces)
@settings(max_examples=300, deadline=None)
def test_noise_does_nothing_and_ends(parts: list[bytes]) -> None:
    desk = Desk()
    for part in parts:
        desk.send(part)
    assert answered(desk, 77)
    assert not HARMFUL & {name for name, _, source in desk.done if source == "machine"}
    desk.wait(3.0)
    desk.send(b"\x03")
    desk.send(b"network\r")
    assert desk.done[-1][0] == "network"


@given(pieces)
@settings(max_examples=200, deadline=None)
def test_noise_never_opens_a_locked_console(parts: list[bytes]) -> None:
    desk = Desk(password=SECRET)
    for part in parts:
        desk.send(part)
    assert {name for name, _, _ in desk.done} <= {"auth", "online", "info"}
    assert desk.session.locked()


@given(st.dictionaries(st.text(min_size=1, max_size=12), json_values, max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_object_is_answered_or_asked_for_again(fields: dict[str, object]) -> None:
    frame = machine.encode({"seq": 3, **fields})
    assume(len(frame) <= machine.MAX_REQUEST)  # what is longer is no request
    desk = Desk()
    found = answers_in(desk.send(frame))
    assert len(found) == 1 and set(found[0]) >= {"seq", "ok"}


@given(st.dictionaries(st.text(min_size=1, max_size=12), json_values, min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_frames_come_back_whatever_they_hold(fields: dict[str, object]) -> None:
    frame = machine.encode(fields)
    assert frame.count(b"\n") == 1 and frame[:1] == b"\x1e"
    assert machine.decode(frame[1:-1]) == fields


@given(st.integers(0, 10**6), st.integers(1, 255), st.integers(0, 3))
@settings(max_examples=400, deadline=None)
def test_a_flipped_byte_is_asked_for_again_or_lost(at: int, flip: int, also: int) -> None:
    frame = bytearray(request(9, "reboot"))
    frame[at % len(frame)] ^= flip
    start = at // 7 % len(frame)
    del frame[start : start + also]
    desk = Desk()
    found = answers_in(desk.send(bytes(frame)))
    assert desk.done == [] and all(each["code"] == "damaged" and each["seq"] == 0 for each in found)
    assert answered(desk, 10)


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_requests_are_done_once_over_a_bad_line(chance: Random) -> None:
    """A client that repeats until it hears gets every request done, and none twice, though both ways lose bytes."""
    desk = Desk(answers={"unpair": Answer({"done": True})})
    for seq in range(1, 6):
        for attempt in range(8):
            frame, clean = bytearray(request(seq, "unpair")), attempt > 5
            answer = bytearray(desk.send(bytes(frame if clean else hurt(frame, chance))))
            desk.wait(3.0)
            if heard(bytes(answer if clean else hurt(answer, chance)), seq):
                break
        else:
            raise AssertionError("never heard")
    assert [name for name, _, source in desk.done if source == "machine"] == ["unpair"] * 5


def hurt(frame: bytearray, chance: Random) -> bytearray:
    """None, one or two of its bytes are others."""
    for _ in range(chance.randrange(3) if frame else 0):
        frame[chance.randrange(len(frame))] ^= chance.randrange(1, 256)
    return frame


def heard(stream: bytes, seq: int) -> bool:
    reader = machine.FrameReader(machine.MAX_ANSWER)
    for byte in stream:
        line = reader.feed(byte)
        try:
            if line is not None and machine.decode(line)["seq"] == seq:
                return True
        except WireError:
            continue
    return False


@given(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FFF), min_size=8, max_size=40),
    st.binary(max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_what_is_typed_as_a_secret_is_never_sent_back(secret: str, edits: bytes) -> None:
    desk = Desk()
    marked = "\u2603" + secret.replace(" ", "_") + "\u2603"
    for start in ("set wifi.password ", "set console.password ", "pair "):
        out = desk.send(
            start.encode()
            + marked.encode()
            + edits.replace(b"\x1e", b"").replace(b"I", b"")
            + b"\x0c\r"
            + b"\x1b[A\x0c\x03"
        )
        assert "\u2603".encode() not in out
