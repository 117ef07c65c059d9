"""What 110 KiB of heap hold, under a MicroPython with words of 4 bytes, as those of the chips, emulated."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from boardkit import Board, put, small_interpreter

from hubkit import Caller, Running, big_file, running

IDLE_BYTES = 70_000  # the bar


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "hub", announce=False, listen_plain="127.0.0.1:0") as started:
        yield started


@pytest.fixture
def board(hub: Running, tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path / "toast", "110k")
    made.interpreter = small_interpreter()
    made.pair(hub, "toast", scan=1)
    made.without_tls(hub)
    made.on()
    yield made
    made.off()


def test_a_whole_board_in_a_heap_of_110_kib(board: Board, caller: Caller) -> None:
    pieces = [os.urandom(60_000) for _ in range(85)]
    caller.upload(*pieces)
    assert caller.commit(caller.epoch(), big_file("big", pieces))[0][0] == 0
    board.wait(lambda: board.files() == {"big": b"".join(pieces)})
    for number in range(60):
        put(caller, f"small{number}", b"s" * number)
    board.wait(lambda: "small59" in board.files())
    board.write("back", b"b" * 200_000)
    board.forget_age("back")
    board.wait(lambda: caller.ask("GET", "/v1/folder").json["live"] == 62)
    assert board.wait_for_status(trouble="")["faults"] == 0 and board.starts == 1


def test_at_rest_the_heap_is_within_its_bar_and_what_was_let_go_of_comes_again(board: Board, caller: Caller) -> None:
    seq = put(caller, "a", b"a")
    board.wait(lambda: board.files() == {"a": b"a"})
    busy = board.status()["heap_used"]
    board.wait(lambda: board.status()["heap_used"] < busy - 5000)
    assert board.status()["heap_used"] <= IDLE_BYTES
    put(caller, "a", b"another", seq)
    board.wait(lambda: board.files() == {"a": b"another"})
    assert board.wait_for_status(trouble="")["faults"] == 0 and board.starts == 1
