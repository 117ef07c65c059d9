"""Runs told ahead: as bytes, and what is refused."""

import binascii
import struct

from entries import digest, refusal

from toastbox.core.ahead import Run, decode_ahead, decode_run, encode_ahead, encode_run, token_of
from toastbox.core.content import MAX_CHUNK, chunk_item

TOKEN = b"0123456789abcdef"
CHUNKS = chunk_item(digest(b"one"), 3) + chunk_item(digest(b"three"), 5)


def test_a_run_is_24_bytes_and_its_items():
    data = encode_run(Run(TOKEN, 7, CHUNKS))
    assert data == TOKEN + b"\x07" + bytes(7) + CHUNKS
    run = decode_run(data)
    assert (run.token, run.offset, run.chunks, run.end) == (TOKEN, 7, CHUNKS, 15)
    assert list(run.places()) == [(7, digest(b"one"), 3), (10, digest(b"three"), 5)]


def test_a_run_is_split_between_chunks():
    run = Run(TOKEN, 7, CHUNKS + chunk_item(digest(b"last"), 2))
    for size, count in ((0, 1), (3, 1), (7, 1), (8, 2), (9, 2), (10, 3), (99, 3)):
        head, rest = run.split(size)
        assert len(head.chunks) == 36 * count and head.offset == 7
        if rest is None:
            assert count == 3
        else:
            assert rest.offset == head.end and head.chunks + rest.chunks == run.chunks


def test_what_is_no_run_is_refused():
    good = encode_run(Run(TOKEN, 0, CHUNKS))
    for bad in (b"", TOKEN, good[:24], good[:-1], good + b"\0"):
        assert refusal(decode_run, bad)
    assert refusal(decode_run, encode_run(Run(TOKEN, (1 << 62) + 1, CHUNKS)))
    for size in (0, MAX_CHUNK + 1, 0xFFFFFFFF):
        assert refusal(decode_run, encode_run(Run(TOKEN, 0, chunk_item(digest(b""), size))))


def test_an_answer_holds_runs_as_they_came():
    runs = [encode_run(Run(TOKEN, 0, CHUNKS)), encode_run(Run(TOKEN, 8, CHUNKS[:36]))]
    data = encode_ahead(9, runs)
    assert data == struct.pack("<QI", 9, 96) + runs[0] + struct.pack("<I", 60) + runs[1]
    position, found = decode_ahead(data)
    assert position == 9
    assert [encode_run(run) for run in found] == runs
    assert decode_ahead(encode_ahead(3, [])) == (3, [])


def test_a_cut_answer_is_refused():
    data = encode_ahead(9, [encode_run(Run(TOKEN, 0, CHUNKS))])
    for end in range(len(data)):
        if end != 8:
            assert refusal(decode_ahead, data[:end])


def test_a_token_names_one_version_of_one_path():
    token = token_of(b"a/b", 5, 17)
    assert token == binascii.unhexlify("5be4e62a6e6a31ead4d8d629b38512fc")
    others = [token_of(b"a/c", 5, 17), token_of(b"a/b", 6, 17), token_of(b"a/b", 5, 18), token_of(b"a/b", 5, -17)]
    assert len(set(others + [token])) == 5
    assert token == token_of(b"a/b", 5, 17)
