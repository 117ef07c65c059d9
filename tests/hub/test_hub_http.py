"""The hub over TLS: what is answered, to whom, and how much anybody may send."""

import contextlib
import http.client
import json
import os
import socket
import sqlite3
import ssl
import time
from collections.abc import Iterator
from hashlib import sha256

import pytest

from hubkit import Caller, Running, big_file, bundle, connect, file, folder, no_check
from toastbox.core.auth import token
from toastbox.core.bundle import BundleReader
from toastbox.core.entry import FILE
from toastbox.core.wire import MAX_CHUNK, decode_pull, encode_commit, encode_entry
from toastbox.hub.connections import MAX_FIELD_BYTES, MAX_HEADERS


def hashes(*datas: bytes) -> bytes:
    return b"".join(sha256(data).digest() for data in datas)


def unbundled(body: bytes) -> list[bytes | None]:
    reader = BundleReader(MAX_CHUNK)
    found = [None if data is None else bytes(data) for _, data in reader.feed(body)]
    reader.close()
    return found


def problem_of(answered: object) -> tuple[int, str]:
    document = answered.json  # type: ignore[attr-defined]
    assert answered.headers["Content-Type"].startswith("application/problem+json")  # type: ignore[attr-defined]
    assert document["status"] == answered.status and document["title"]  # type: ignore[attr-defined]
    return document["status"], document["code"]


def test_a_file_goes_up_and_comes_down(hub: Running) -> None:
    caller = hub.device()
    datas = [os.urandom(size) for size in (1, 1000, 70_000, MAX_CHUNK)]
    assert caller.ask("POST", "/v1/missing", hashes(*datas)).body == b"\x0f"
    answered = caller.upload(*datas)
    assert answered.json == {"stored": 4, "bytes": sum(map(len, datas))}
    assert caller.upload(*datas).json == {"stored": 0, "bytes": 0}
    assert caller.ask("POST", "/v1/missing", hashes(b"no", *datas)).body == b"\x01"
    epoch = caller.epoch()
    assert caller.commit(epoch, big_file("big", datas), file("x", datas[1])) == [(0, 1), (0, 2)]
    page = decode_pull(caller.ask("GET", "/v1/pull?after=0&epoch=0").body)
    assert [record.entry.path for record in page.records()] == [b"big", b"x"]
    fetched = caller.ask("POST", "/v1/fetch", hashes(datas[3], b"no", datas[0], datas[0]))
    assert unbundled(fetched.body) == [datas[3], None, datas[0], datas[0]]
    items = caller.ask("GET", f"/v1/list?content={big_file('big', datas).content.hex()}&from=1&count=2")
    assert items.body == big_file("big", datas).chunks[36:108]
    assert items.headers["Toastbox-Chunks"] == "4"


def test_large_upload_passes_through(hub: Running) -> None:
    caller = hub.device()
    datas = [os.urandom(200_000) for _ in range(60)] + [os.urandom(100) for _ in range(3000)]
    assert caller.upload(*datas).json["stored"] == 3060
    fetched = caller.ask("POST", "/v1/fetch", hashes(*datas))
    assert unbundled(fetched.body) == datas


def test_answers_for_people(hub: Running) -> None:
    caller = hub.device("Küche")
    caller.upload(b"one")
    caller.commit(caller.epoch(), folder("d"), file("d/ü +%", b"one"))
    info = caller.ask("GET", "/v1/folder").json
    assert (info["seq"], info["live"], info["device"]) == (2, 2, {"number": caller.number, "name": "Küche"})
    log = caller.ask("GET", "/v1/log?count=1").json["entries"]
    assert [(entry["seq"], entry["path"], entry["kind"]) for entry in log] == [(2, "d/ü +%", "file")]
    assert caller.ask("GET", "/v1/versions?path=d%2F%C3%BC%20%2B%25").json["entries"] == log
    restored = caller.ask("POST", "/v1/restore", json.dumps({"path": "d/ü +%", "seq": 2}).encode())
    assert restored.json == {"seq": 3}
    assert caller.ask("GET", "/v1/peers").json["peers"][0]["name"] == "Küche"


AUTHORIZATIONS = [
    None,
    "",
    "Toastbox",
    "Toastbox ",
    "Toastbox :",
    "Toastbox {n}:",
    "Toastbox {n}:{prefix}",
    "Toastbox {n}:{token}0",
    "Toastbox {n}:{upper}",
    "Toastbox {n}:{zero}",
    "Toastbox 0:{token}",
    "Toastbox {m}:{token}",
    "Toastbox -{n}:{token}",
    "Toastbox +{n}:{token}",
    "Toastbox 0x1:{token}",
    "Toastbox 99999999999:{token}",
    "toastbox {n}:{token}",
    "Bearer {token}",
    "Basic {n}:{token}",
    " {n}:{token}",
    "Toastbox  {n}:{token}",
    "Toastbox {n} :{token}",
    "Toastbox {n}:{token}, Toastbox {n}:{token}",
]


@pytest.mark.parametrize("form", AUTHORIZATIONS)
def test_authorization_that_proves_nothing(hub: Running, form: str | None) -> None:
    good = hub.device()
    right = token(good.key)
    words = {"n": good.number, "m": good.number + 1, "token": right, "prefix": right[:63], "zero": "0" * 64}
    stranger = Caller(hub.port)
    stranger.authorization = None if form is None else form.format(**words, upper=right.upper())
    for method, target, body in (
        ("GET", "/v1/folder", None),
        ("GET", "/v1/events", None),
        ("POST", "/v1/commit", b"x"),
        ("DELETE", "/v1/webhook", None),
    ):
        assert problem_of(stranger.ask(method, target, body)) == (401, "unauthorized")
    assert good.ask("GET", "/v1/folder").status == 200


def test_two_authorizations_are_none(hub: Running) -> None:
    good = hub.device()
    with connect(hub.port) as sock:
        line = f"Authorization: {good.authorization}\r\n"
        sock.sendall(f"GET /v1/folder HTTP/1.1\r\nHost: h\r\n{line}{line}\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 40")


def test_stranger_is_refused_before_the_body_is_read(hub: Running) -> None:
    with connect(hub.port) as sock:
        sock.sendall(b"POST /v1/chunks HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\n")
        assert b" 401 " in sock.recv(100)
        sock.settimeout(5)
        while sock.recv(4096):
            pass


def test_expect_is_answered_once_the_device_is_known(hub: Running) -> None:
    good = hub.device()
    data = b"x" * 1000
    for authorization, wanted in (("Toastbox 1:0", b" 401 "), (good.authorization, b" 100 ")):
        with connect(hub.port) as sock:
            head = f"POST /v1/chunks HTTP/1.1\r\nHost: h\r\nAuthorization: {authorization}\r\n"
            sock.sendall(f"{head}Content-Length: 1036\r\nExpect: 100-continue\r\n\r\n".encode())
            assert wanted in sock.recv(25)
            if wanted == b" 100 ":
                sock.sendall(bundle(data))
                assert b" 200 " in sock.recv(1000)


LARGEST = {
    "/v1/pair": 4096,
    "/v1/missing": 8192 * 32,
    "/v1/fetch": 8192 * 32,
    "/v1/commit": (32 << 20) + (64 << 10),
    "/v1/chunks": 64 << 20,
    "/v1/restore": 16 << 10,
}


@pytest.mark.parametrize("target", LARGEST)
def test_body_above_its_limit(hub: Running, target: str) -> None:
    caller = hub.device()
    with connect(hub.port) as sock:
        head = f"POST {target} HTTP/1.1\r\nHost: h\r\nAuthorization: {caller.authorization}\r\n"
        sock.sendall(f"{head}Content-Length: {LARGEST[target] + 1}\r\n\r\n".encode())
        assert b" 413 " in sock.recv(200)


def test_chunked_body_above_its_limit(hub: Running) -> None:
    caller = hub.device()
    with connect(hub.port) as sock:
        head = f"POST /v1/restore HTTP/1.1\r\nHost: h\r\nAuthorization: {caller.authorization}\r\n"
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sock.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n1\r\ny\r\n")
        assert b" 413 " in sock.recv(200)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * (MAX_FIELD_BYTES + 9000) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(MAX_HEADERS * 4)) + b"\r\n",
        b"\0\1\2\3 nonsense\r\n\r\n",
        b"POST /v1/chunks HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/chunks HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["line", "field", "fields", "nonsense", "negative", "smuggled"],
)
def test_head_above_its_limits(hub: Running, head: bytes) -> None:
    with connect(hub.port) as sock:
        sock.sendall(head)
        answer = sock.recv(300)
        assert answer.startswith(b"HTTP/1.") and b" 400 " in answer
        assert b"problem+json" in answer


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("POST", "/v1/missing", b"", "bad-request"),
        ("POST", "/v1/missing", b"x" * 33, "bad-request"),
        ("POST", "/v1/fetch", b"", "bad-request"),
        ("POST", "/v1/commit", b"TBC1", "bad-request"),
        ("POST", "/v1/commit", b"", "bad-request"),
        ("POST", "/v1/chunks", b"\1", "bad-request"),
        ("POST", "/v1/chunks", (1 << 20).to_bytes(4, "little") + bytes(32), "bad-request"),
        ("POST", "/v1/chunks", ((1 << 20) + 1).to_bytes(4, "little") + bytes(32), "bad-request"),
        ("POST", "/v1/chunks", (1 << 28 | 5).to_bytes(4, "little") + bytes(37), "bad-request"),
        ("POST", "/v1/chunks", (15 << 28).to_bytes(4, "little") + bytes(32), "bad-request"),
        ("POST", "/v1/chunks", (1).to_bytes(4, "little") + bytes(33), "bad-request"),
        ("POST", "/v1/chunks", bytes(36), "bad-request"),
        ("GET", "/v1/pull?after=x", None, "bad-request"),
        ("GET", "/v1/pull?after=-1", None, "bad-request"),
        ("GET", "/v1/pull?after=" + "9" * 30, None, "bad-request"),
        ("GET", "/v1/pull?entries=0", None, "bad-request"),
        ("GET", "/v1/pull?bytes=99999999999", None, "bad-request"),
        ("GET", "/v1/pull?after=5&epoch=77", None, "epoch"),
        ("GET", "/v1/list?content=zz", None, "bad-request"),
        ("GET", "/v1/list?content=00", None, "bad-request"),
        ("GET", f"/v1/list?content={'00' * 32}", None, "not-found"),
        ("GET", f"/v1/list?content={'00' * 32}&count=16385", None, "bad-request"),
        ("GET", "/v1/versions", None, "bad-request"),
        ("GET", "/v1/versions?path=..%2Fx", None, "bad-request"),
        ("GET", "/v1/versions?path=%FF", None, "bad-request"),
        ("GET", "/v1/versions?path=none", None, "not-found"),
        ("POST", "/v1/restore", b"{}", "bad-request"),
        ("POST", "/v1/restore", b"[" * 9000, "bad-request"),
        ("POST", "/v1/restore", b'{"path": "x", "seq": true}', "bad-request"),
        ("POST", "/v1/restore", b'{"path": "x", "seq": 1e400}', "bad-request"),
        ("POST", "/v1/restore", b'{"path": "\\ud800", "seq": 1}', "bad-request"),
        ("PUT", "/v1/webhook", b'{"port": 0, "tls": true, "path": "/"}', "bad-request"),
        ("PUT", "/v1/webhook", b'{"port": true, "tls": true, "path": "/"}', "bad-request"),
        ("PUT", "/v1/webhook", b'{"port": 80, "tls": 1, "path": "/"}', "bad-request"),
        ("PUT", "/v1/webhook", b'{"port": 80, "tls": true, "path": "//evil/"}', "bad-request"),
        ("PUT", "/v1/webhook", b'{"port": 80, "tls": true, "path": "/a?b"}', "bad-request"),
        ("PUT", "/v1/webhook", b'{"port": 80, "tls": true, "path": "x"}', "bad-request"),
        ("GET", "/v1/nothing", None, "not-found"),
        ("GET", "/", None, "not-found"),
        ("DELETE", "/v1/folder", None, "not-found"),
    ],
)
def test_requests_that_are_refused(hub: Running, method: str, target: str, body: bytes | None, code: str) -> None:
    caller = hub.device()
    answered = caller.ask(method, target, body)
    assert problem_of(answered)[1] == code, answered.body
    assert hub.home.path not in answered.body.decode()
    assert caller.ask("GET", "/v1/folder").json["seq"] == 0


def test_compressed_body_is_not_decompressed(hub: Running) -> None:
    caller = hub.device()
    headers = {"Content-Encoding": "gzip"}
    assert problem_of(caller.ask("POST", "/v1/missing", bytes(33), **headers)) == (400, "bad-request")
    assert caller.ask("POST", "/v1/missing", bytes(32), **headers).body == b"\1"


def test_damaged_database_is_said_and_tried_again(
    hub: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caller = hub.device()

    def fail(*_: object) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error

    monkeypatch.setattr(hub.service, "peers", fail)
    answered = caller.ask("GET", "/v1/peers")
    assert problem_of(answered) == (503, "busy")
    assert "--restored" in caplog.text
    assert not [each for each in caplog.records if each.exc_info and each.name.startswith("toastbox")]


def test_failure_in_the_hub_tells_nothing(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = hub.device()

    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(hub.service, "peers", fail)
    answered = caller.ask("GET", "/v1/peers")
    assert problem_of(answered) == (500, "internal")
    assert b"secret" not in answered.body


def ended(sock: ssl.SSLSocket) -> bool:
    """Whether the hub closes the connection without a word."""
    try:
        return sock.recv(100) == b""
    except (ConnectionError, ssl.SSLError):
        return True


def test_answer_that_fails_half_way_is_seen_to_fail(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = hub.device()
    datas = [os.urandom(MAX_CHUNK) for _ in range(8)]
    caller.upload(*datas)
    real = hub.service.load

    def fail_at_the_end(*values: object) -> Iterator[object]:
        yield from real(*values)  # type: ignore[arg-type]
        raise RuntimeError("a defect")

    monkeypatch.setattr(hub.service, "load", fail_at_the_end)
    with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
        caller.ask("POST", "/v1/fetch", hashes(*datas))
    assert caller.ask("GET", "/v1/folder").status == 200


def test_slow_head_is_cut(hub: Running) -> None:
    """The hub under test gives a head one second."""
    with connect(hub.port, 10) as sock:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while time.monotonic() - began < 9:
                sock.sendall(b"X")
                time.sleep(0.05)
        assert time.monotonic() - began < 5


def test_slow_second_head_is_cut_and_idle_connection_is_not(hub: Running) -> None:
    caller = hub.device()
    request = f"GET /v1/folder HTTP/1.1\r\nHost: h\r\nAuthorization: {caller.authorization}\r\n\r\n".encode()
    with connect(hub.port) as sock:
        for _ in range(2):
            sock.sendall(request)
            assert b" 200 " in sock.recv(4096)
            time.sleep(1.3)
        sock.sendall(request[:10])
        sock.settimeout(5)
        assert ended(sock)


def test_silent_connection_is_cut(hub: Running) -> None:
    with connect(hub.port, 5) as sock:
        assert ended(sock)


@pytest.mark.filterwarnings("ignore:.*TLSv1_1")
def test_old_tls_is_refused(hub: Running) -> None:
    context = no_check()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(socket.create_connection(("127.0.0.1", hub.port), 5))


def test_connections_of_one_device_are_counted(hub: Running) -> None:
    caller = hub.device()
    limit = 8
    streams = [caller.events() for _ in range(limit)]
    for stream in streams:
        stream.wait_for(b"event: head")
    answered = Caller(hub.port, caller.number, caller.key).ask("GET", "/v1/folder")
    assert problem_of(answered) == (429, "busy") and answered.headers["Retry-After"]
    assert hub.device("other").ask("GET", "/v1/folder").status == 200
    streams[0].close()
    again = Caller(hub.port, caller.number, caller.key)
    deadline = time.monotonic() + 10
    while again.ask("GET", "/v1/folder").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_device_that_goes_away_in_the_middle_of_an_upload(hub: Running) -> None:
    caller = hub.device()
    data, *more = (os.urandom(100_000) for _ in range(60))
    with connect(hub.port) as sock:
        head = f"POST /v1/chunks HTTP/1.1\r\nHost: h\r\nAuthorization: {caller.authorization}\r\n"
        sock.sendall(f"{head}Content-Length: 60000000\r\n\r\n".encode() + bundle(data, *more))
    deadline = time.monotonic() + 10
    while caller.ask("POST", "/v1/missing", hashes(data)).body != b"\0":
        assert time.monotonic() < deadline, "the upload does not go on where it ended"
        time.sleep(0.05)


def test_reader_that_goes_away_in_the_middle_of_a_fetch(hub: Running) -> None:
    caller = hub.device()
    datas = [os.urandom(MAX_CHUNK) for _ in range(20)]
    caller.upload(*datas)
    with connect(hub.port) as sock:
        body = hashes(*datas)
        head = f"POST /v1/fetch HTTP/1.1\r\nHost: h\r\nAuthorization: {caller.authorization}\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert sock.recv(1000)
    assert caller.ask("GET", "/v1/folder").status == 200


def test_reader_that_takes_nothing_is_not_read_for(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = hub.device()
    data = os.urandom(MAX_CHUNK)
    caller.upload(data)
    real, read = hub.service.load, 0

    def count(*values: object) -> Iterator[object]:
        nonlocal read
        for item in real(*values):  # type: ignore[arg-type]
            read += MAX_CHUNK
            yield item

    monkeypatch.setattr(hub.service, "load", count)
    body = hashes(data) * 256
    with connect(hub.port) as sock:
        head = f"POST /v1/fetch HTTP/1.1\r\nHost: h\r\nAuthorization: {caller.authorization}\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert sock.recv(1000)
        before = -1
        while before != read:
            before = read
            time.sleep(0.5)
    assert 0 < read < 24 << 20, "the kernel's buffers take some megabytes, the hub two"


def test_race_for_one_path_has_one_winner(hub: Running) -> None:
    from concurrent.futures import ThreadPoolExecutor

    callers = [hub.device(f"d{n}") for n in range(4)]
    datas = [os.urandom(50) for _ in callers]
    epoch = callers[0].epoch()
    callers[0].upload(*datas)
    with ThreadPoolExecutor(4) as pool:
        for turn in range(10):
            proposals = [file(f"f{turn}", data) for data in datas]
            results = list(pool.map(lambda caller, entry: caller.commit(epoch, entry), callers, proposals))
            statuses = sorted(status for [(status, _)] in results)
            assert statuses == [0, 1, 1, 1]
            assert {seq for [(_, seq)] in results} == {turn + 1}


def test_kept_connection_carries_many_requests(hub: Running) -> None:
    caller = hub.device()
    first = caller.ask("GET", "/v1/folder")
    before = caller._connection
    for _ in range(50):
        assert caller.ask("GET", "/v1/folder").body == first.body
    assert caller._connection is before


def test_commit_of_the_largest_count(hub: Running) -> None:
    caller = hub.device()
    entries = [file(f"f{n}", b"") for n in range(4096)]
    assert [status for status, _ in caller.commit(caller.epoch(), *entries)] == [0] * 4096
    body = encode_commit(caller.epoch(), 0, [encode_entry(entry, 1) for entry in [*entries, file("g", b"")]])
    assert problem_of(caller.ask("POST", "/v1/commit", body)) == (400, "bad-request")
    assert entries[0].kind == FILE


def test_bundle_cut_off_by_http_is_noticed(hub: Running) -> None:
    caller = hub.device()
    connection = http.client.HTTPSConnection("127.0.0.1", hub.port, context=no_check(), timeout=10)
    body = bundle(os.urandom(500))[:-1]
    connection.request("POST", "/v1/chunks", body, {"Authorization": caller.authorization or ""})
    assert connection.getresponse().status == 400
    connection.close()
