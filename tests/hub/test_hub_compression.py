"""Compressed bodies at the hub: the same content, told only to who asks, and never more than was announced."""

import os
import zlib
from hashlib import sha256

from hubkit import Caller, Running, body_of, bundle, file
from toastbox.compression import inflate, inflate_body, pack
from toastbox.core.bundle import MAX_SEGMENT, BundleReader, segment_head
from toastbox.core.wire import MAX_BUNDLE, MAX_CHUNK, MAX_COMMIT, decode_answer

ASKING = {"Accept-Encoding": "deflate"}
DATAS = [b"a line of some text, number %d\n" % number * 40 for number in range(400)]
MIXED = [*DATAS[:50], os.urandom(3000), b"x", os.urandom(MAX_CHUNK), *DATAS[50:], bytes(300_000), bytes(MAX_CHUNK)]


def packed(*datas: bytes) -> bytes:
    return b"".join(part for run in pack((sha256(data).digest(), data) for data in datas) for part in run)


def deflated(plain: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(plain) + packer.flush()


def segment(plain: bytes, size: int = 0) -> bytes:
    data = deflated(plain)
    return segment_head(len(data), size or len(plain)) + data


def run(*datas: bytes) -> bytes:
    return b"".join(len(data).to_bytes(4, "little") + data for data in datas)


def refused(caller: Caller, body: bytes, path: str = "/v1/chunks", **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answered = caller.ask("POST", path, body, **named)
    return answered.status, answered.json["code"]


def test_a_compressed_upload_stores_the_same_chunks(hub: Running) -> None:
    caller = hub.device()
    body = packed(*MIXED)
    assert len(body) < len(bundle(*MIXED)) * 0.75
    answered = caller.ask("POST", "/v1/chunks", body)
    assert answered.json == {"stored": len(MIXED), "bytes": sum(map(len, MIXED))}
    hashes = b"".join(sha256(data).digest() for data in MIXED)
    plain = caller.ask("POST", "/v1/fetch", hashes)
    assert plain.body == bundle(*MIXED)


def test_a_fetch_is_compressed_for_who_asks(hub: Running) -> None:
    caller = hub.device()
    caller.upload(*MIXED)
    hashes = b"".join(sha256(data).digest() for data in [*MIXED[:3], b"nobody has it", *MIXED[3:]])
    answered = caller.ask("POST", "/v1/fetch", hashes, **ASKING)
    assert len(answered.body) < len(bundle(*MIXED)) * 0.75
    reader = BundleReader(MAX_CHUNK, inflate)
    found = [None if data is None else bytes(data) for _, data in reader.feed(answered.body)]
    reader.close()
    assert found == [*MIXED[:3], None, *MIXED[3:]]


def test_commit_and_pull_are_compressed_for_who_asks(hub: Running) -> None:
    caller = hub.device()
    caller.upload(b"one")
    body = body_of(hub.service, [file(f"a name that is like others {number}", b"one") for number in range(300)])
    sent = zlib.compress(body)
    headers = {"Content-Encoding": "deflate", "Toastbox-Size": str(len(body))}
    answered = caller.ask("POST", "/v1/commit", sent, **headers)
    assert decode_answer(answered.body).results == [(0, seq) for seq in range(1, 301)]
    plain = caller.ask("GET", "/v1/pull?after=0&epoch=0")
    assert "Content-Encoding" not in plain.headers and plain.headers["Accept-Encoding"] == "deflate"
    asked = caller.ask("GET", "/v1/pull?after=0&epoch=0", **ASKING)
    assert asked.headers["Content-Encoding"] == "deflate" and len(asked.body) < len(plain.body) / 3
    assert inflate_body(asked.body, int(asked.headers["Toastbox-Size"])) == plain.body
    small = caller.ask("GET", "/v1/pull?after=299&epoch=" + str(hub.service.epoch), **ASKING)
    assert "Content-Encoding" not in small.headers


def test_bombs_are_refused(hub: Running) -> None:
    caller = hub.device()
    zeros = run(bytes(MAX_CHUNK))
    assert refused(caller, segment(zeros)) == (400, "bad-request")  # above MAX_SEGMENT, and says so
    assert refused(caller, segment(zeros, MAX_SEGMENT)) == (400, "bad-request")  # and does not
    assert refused(caller, segment(zeros, 100)) == (400, "bad-request")
    many = segment(run(*[bytes(50_000)] * 10)) * (MAX_BUNDLE // 500_000 + 2)
    assert len(many) < 200_000
    assert refused(caller, many) == (413, "too-large")
    coding = {"Content_Encoding": "deflate"}
    bomb = zlib.compress(bytes(MAX_COMMIT))
    for size, expected in (
        (str(MAX_COMMIT + 1), 413),
        ("100000", 400),
        (str(MAX_COMMIT), 400),  # no more than it says, and no commit
        ("0", 400),
        ("", 400),
        ("-1", 400),
        ("9" * 30, 400),
    ):
        assert refused(caller, bomb, "/v1/commit", **coding, Toastbox_Size=size)[0] == expected, size
    assert refused(caller, bomb, "/v1/commit", **coding)[0] == 400
    assert caller.ask("GET", "/v1/folder").json["seq"] == 0


def test_damaged_segments_are_refused_or_are_other_chunks(hub: Running) -> None:
    caller = hub.device()
    good = segment(run(*DATAS[:5]))
    for at in range(8, len(good)):
        body = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]
        answered = caller.ask("POST", "/v1/chunks", body)
        assert answered.status in (200, 400)  # deflate has no checksum: other chunks then, under their own names
    for body in (good[:-1], good[:5], segment(b""), segment(run(b"")), segment(b"\xff" * 100)):
        assert refused(caller, body) == (400, "bad-request")
    assert caller.ask("POST", "/v1/chunks", good).status == 200
