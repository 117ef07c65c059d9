"""Event streams: as the standard has them, in any pieces, bounded."""

from entries import refusal

from toastbox.core.sse import EventParser, encode_event

STREAM = (
    b": a comment\nretry: 2000\nid: 7:1\nevent: head\ndata: 1\n\n"
    b"event: peers\ndata\n\n"
    b"data: two\ndata:lines\nunknown: x\n\n"
    b"event: no data\n\n"
    b"id\ndata:  spaced\n\n"
    b"data: open"
)
WANTED = [
    ("7:1", "head", "1"),
    ("7:1", "peers", ""),
    ("7:1", "message", "two\nlines"),
    ("", "message", " spaced"),
]


def read(stream, size):
    parser = EventParser()
    events = []
    for at in range(0, len(stream), size):
        events += parser.feed(stream[at : at + size])
    return events


def test_any_cutting_and_any_line_end_give_the_same_events():
    for end in (b"\n", b"\r\n", b"\r"):
        stream = STREAM.replace(b"\n", end)
        for size in (1, 2, 3, 5, 8, 13, 50, len(stream)):
            assert read(stream, size) == WANTED, (end, size)


def test_what_is_encoded_is_read():
    text = encode_event("18446744073709551615:3", "head", "3", 2000) + encode_event("", "peers", "4")
    parser = EventParser()
    assert parser.feed(text) == [
        ("18446744073709551615:3", "head", "3"),
        ("18446744073709551615:3", "peers", "4"),
    ]
    assert parser.retry_ms == 2000 and parser.last_id == "18446744073709551615:3"
    assert encode_event("7:1", "head", "1") == b"id: 7:1\nevent: head\ndata: 1\n\n"


def test_byte_order_mark_is_skipped_once():
    assert read(b"\xef\xbb\xbfdata: x\n\n", 1) == [("", "message", "x")]


def test_identifiers_with_zero_bytes_and_odd_delays_are_passed_over():
    parser = EventParser()
    parser.feed(b"id: a\nid: b\0c\nretry: 1e3\nretry: -5\nretry:\ndata: x\n\n")
    assert parser.last_id == "a" and parser.retry_ms == 0


def test_endless_lines_and_events_are_refused():
    parser = EventParser()
    parser.feed(b"x" * 4096)
    assert refusal(parser.feed, b"x")
    parser = EventParser()
    line = b"data: " + b"x" * 1000 + b"\n"
    parser.feed(line * 4)
    assert refusal(parser.feed, line)


def test_bad_utf8_is_refused():
    assert refusal(EventParser().feed, b"data: \xff\n")
