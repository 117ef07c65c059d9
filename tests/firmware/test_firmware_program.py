"""A board that runs by itself: pushed to, pulling now and then, started again after faults, safe in the end."""

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boardkit import Board, put, record

from hubkit import Caller, Running, big_file, deletion
from hubkit import running as run_hub
from toastbox.core.auth import hook_key, sign_hook

Make = Callable[..., Board]


@pytest.fixture
def board(hub: Running, tmp_path: Path) -> Iterator[Make]:
    made: list[Board] = []

    def make(name: str = "toast", heap: str = "192k", **settings: object) -> Board:
        made.append(Board(tmp_path / name, heap))
        made[-1].pair(hub, name, **settings)
        return made[-1]

    yield make
    for one in made:
        one.off()


@pytest.mark.parametrize("push", ["hook", "events"])
def test_a_change_is_pushed_and_a_deletion_too(board: Make, caller: Caller, push: str) -> None:
    one = board(push=push)
    one.on()
    one.wait_for_status(syncs=1)
    seq = put(caller, "hello", b"hello")
    one.wait(lambda: one.files() == {"hello": b"hello"})
    assert caller.commit(caller.epoch(), deletion("hello", seq))[0][0] == 0
    one.wait(lambda: one.files() == {})
    status = one.wait_for_status(trouble="")
    assert status["hints"] >= 1 and status["push"] == push and status["faults"] == 0


def test_without_push_the_safety_pull_brings_it(board: Make, caller: Caller) -> None:
    one = board(push="", safety=1)
    one.on()
    one.wait_for_status(syncs=1)
    put(caller, "hello", b"hello")
    one.wait(lambda: one.files() == {"hello": b"hello"})
    assert one.status()["hints"] == 0


def test_what_a_program_on_the_board_writes_is_handed_in(board: Make, hub: Running) -> None:
    one = board(scan=1)
    one.on()
    one.wait_for_status(syncs=1)
    one.write("reading", b"21.5")
    one.wait(lambda: hub.service.journal.read_folder(1).head == 1)


def post(board: Board, seq: int, key: bytes, epoch: int, end: str = "notify", folder: str = "") -> int:
    """The status of a post to the board; 0 when it hung up."""
    body = json.dumps({"folder": folder or board.settings["folder"], "epoch": str(epoch), "seq": seq}).encode()
    signature = sign_hook(hook_key(key), f"{epoch}:{seq}", "1", body)
    headers = {"webhook-id": f"{epoch}:{seq}", "webhook-timestamp": "1", "webhook-signature": signature}
    connection = http.client.HTTPConnection("127.0.0.1", board.settings["port_here"], timeout=10)
    try:
        connection.request("POST", f"/{end}", body, headers)
        return connection.getresponse().status
    except (http.client.HTTPException, ConnectionError):
        return 0
    finally:
        connection.close()


def test_forged_and_repeated_posts_have_no_effect(board: Make, caller: Caller) -> None:
    one = board(scan=1000)
    one.on()
    epoch = caller.epoch()
    put(caller, "a", b"a")
    before = one.wait_for_status(cursor=1, trouble="")
    assert one.caller is not None
    key = one.caller.key
    assert post(one, 9, b"x" * 32, epoch) == 401
    assert post(one, 9, key, epoch, "elsewhere") == 404
    assert post(one, 9, key, epoch, folder="00" * 16) == 400
    assert post(one, 1, key, epoch) == 204  # right, and nothing new
    assert post(one, 0, key, epoch) == 204
    after = one.status()
    assert after["refused_posts"] == before["refused_posts"] + 3
    assert (after["syncs"], after["hints"]) == (before["syncs"], before["hints"])
    assert post(one, 2, key, epoch) == 204
    one.wait_for_status(syncs=before["syncs"] + 1)
    assert post(one, 2, key, epoch) == 204  # the same again: the hub had nothing, so this is worth nothing
    time.sleep(0.3)
    assert one.status()["syncs"] == before["syncs"] + 1


def test_who_is_refused_before_the_body_was_read_learns_why(board: Make) -> None:
    """Closed with bytes unread, the kernel resets the connection, and the answer may be lost."""
    one = board()
    one.on()
    one.wait_for_status(syncs=1, trouble="")
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", one.settings["port_here"]), timeout=10) as caller:
            caller.sendall(b"POST /elsewhere HTTP/1.1\r\nContent-Length: 40000\r\n\r\n")
            time.sleep(0.05)
            caller.sendall(b"x" * 40_000)
            heard = b""
            while piece := caller.recv(1000):
                heard += piece
            assert b" 404 " in heard


def test_one_who_calls_and_says_nothing_is_in_nobodys_way(board: Make, caller: Caller) -> None:
    one = board()
    one.on()
    one.wait_for_status(syncs=1, trouble="")
    idle = [http.client.HTTPConnection("127.0.0.1", one.settings["port_here"]) for _ in range(4)]
    for connection in idle:
        connection.connect()
        connection.sock.sendall(b"POST /notify HTTP/1.1\r\n")
    put(caller, "hello", b"hello")
    one.wait(lambda: one.files() == {"hello": b"hello"})
    idle[-1].sock.sendall(b"x" * 4000)
    put(caller, "again", b"again")
    one.wait(lambda: "again" in one.files())
    for connection in idle:
        connection.close()


def test_the_plug_is_pulled_and_it_goes_on(board: Make, caller: Caller) -> None:
    one = board()
    one.on()
    one.wait_for_status(syncs=1)
    one.off()
    put(caller, "meanwhile", b"while it was off")
    one.on()
    one.wait(lambda: one.files() == {"meanwhile": b"while it was off"})


def test_hub_gone_and_back(board: Make, hub: Running, tmp_path: Path) -> None:
    one = board(safety=1)
    one.on()
    one.wait_for_status(syncs=1)
    port = hub.port
    hub.stop()
    hub.stop = lambda: None  # type: ignore[method-assign]
    one.wait(lambda: one.status()["trouble"] != "")
    with run_hub(tmp_path / "hub", announce=False, listen=f"127.0.0.1:{port}") as back:
        one.settings["port"] = back.port
        other = back.device("hand")
        put(other, "back", b"back")
        one.off()
        one.write_settings()
        one.on()
        one.wait(lambda: one.files() == {"back": b"back"})
        other.close()


def test_a_fault_restarts_it_and_repeated_faults_end_in_safe_mode(board: Make, caller: Caller) -> None:
    one = board()
    user = one.place / "user.py"
    good = user.read_text()
    user.write_text("raise ValueError('a fault of the user')")
    one.on()
    one.wait(lambda: one.starts == 4)  # three faults, then the start in safe mode
    time.sleep(0.5)
    assert one.starts == 4 and not one.ended()
    fault = (one.place / "conf/fault").read_bytes().partition(b"\n")[2]
    assert b"a fault of the user" in fault
    put(caller, "later", b"later")
    one.off()
    user.write_text(good)
    start = one.place / "conf/start"
    start.write_bytes(record(json.dumps({"slot": "a", "trial": 0, "faults": 2, "bad": 0}).encode()))
    one.on()
    one.wait(lambda: one.files() == {"later": b"later"})
    one.wait_for_status(faults=0, mode="sync")


def test_settings_and_state_torn_by_a_power_cut(board: Make, caller: Caller) -> None:
    one = board()
    put(caller, "a", b"a")
    settings = one.place / "conf/settings"
    whole = settings.read_bytes()
    settings.rename(one.place / "conf/settings.new")  # FAT: between its two steps
    one.on()
    one.wait(lambda: one.files() == {"a": b"a"})
    one.off()
    settings.write_bytes(whole)
    (one.place / "conf/settings.new").write_bytes(whole[:100])
    (one.shared / ".toastbox/state").write_bytes(b"something else")
    put(caller, "b", b"b")
    one.on()
    one.wait(lambda: set(one.files()) == {"a", "b"})
    assert caller.ask("GET", "/v1/folder").json["live"] == 2


def test_a_whole_board_in_a_heap_of_110_kib_with_words_of_four_bytes(board: Make, caller: Caller) -> None:
    one = board(heap="146k")  # the same in words of eight: measured under 32-bit ARM (TOASTERS.md)
    one.on()
    pieces = [os.urandom(60_000) for _ in range(50)]
    caller.upload(*pieces)
    assert caller.commit(caller.epoch(), big_file("big", pieces))[0][0] == 0
    one.wait(lambda: one.files() == {"big": b"".join(pieces)})
    one.write("back", b"b" * 200_000)
    one.forget_age("back")
    one.wait(lambda: caller.ask("GET", "/v1/folder").json["live"] == 2)
    assert one.wait_for_status(trouble="")["faults"] == 0 and one.starts == 1


def test_wifi_that_drops_and_comes_back_with_another_address(board: Make, caller: Caller) -> None:
    one = board(wifi=["home", "secret"])
    one.fake("network")
    one.on()
    time.sleep(0.5)
    assert one.status()["network"] == "joining home, try 1"
    (one.place / "wifi").write_text("10.0.0.5")
    first = one.wait_for_status(syncs=1, network="up", address="10.0.0.5")
    assert (one.place / "wifi.tries").read_text() == "home secret\n"
    (one.place / "wifi").write_text("")
    one.wait(lambda: one.status()["address"] == "")
    put(caller, "a", b"a")
    (one.place / "wifi").write_text("10.0.0.9")
    one.wait(lambda: one.files() == {"a": b"a"})
    after = one.wait_for_status(address="10.0.0.9", trouble="")
    assert after["syncs"] > first["syncs"] and after["faults"] == 0
    assert (one.place / "wifi.name").read_text() == "toastbox"


def test_a_program_that_hangs_is_reset_by_the_watchdog_and_one_that_waits_is_not(board: Make) -> None:
    one = board(watchdog=12)
    one.fake("machine")
    user = one.place / "user.py"
    user.write_text(
        user.read_text().replace("    try:", "    while 'hang' in os.listdir():\n        pass\n    try:", 1)
    )
    one.on()
    one.wait_for_status(syncs=1)
    fed = one.place / "fed"
    one.wait(fed.exists)
    assert not one.ended()
    (one.place / "hang").touch()
    one.wait(one.ended)
    assert one.starts == 1 and int(fed.read_text()) >= 1
