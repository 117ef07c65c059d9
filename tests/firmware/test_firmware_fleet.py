"""Small boards beside a Pi's agent, a hub that goes away, and a folder whose list is larger than the heap."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubkit import Caller, Running, bundle, file
from hubkit import running as run_hub
from toastbox.hub.home import find_folder

Make = Callable[..., Any]


def toastbox(*arguments: object) -> None:
    command = [sys.executable, "-m", "toastbox", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_two_small_boards_an_agent_and_a_hub_are_equal_at_the_end(toaster: Make, hub: Running, tmp_path: Path) -> None:
    one, two = toaster("one"), toaster("two")
    board = tmp_path / "board"
    code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600))
    toastbox("join", code, board, "--hub", f"https://127.0.0.1:{hub.port}")
    one.write("logs/one", b"one")
    two.write("logs/two", b"two" * 50_000)
    (board / "picture").write_bytes(os.urandom(700_000))
    (board / "picture").chmod(0o755)
    for _ in range(2):
        one.sync()
        two.sync()
        toastbox("sync", board)
    (board / "picture").rename(board / "frame")
    one.write("logs/two", b"changed")
    for _ in range(2):
        toastbox("sync", board)
        one.sync()
        two.sync()
    paths = {path.relative_to(board) for path in board.rglob("*") if path.is_file()}
    there = {str(path): (board / path).read_bytes() for path in paths if path.parts[0] != ".toastbox"}
    assert one.files() == two.files() == there
    assert set(there) == {"logs/one", "logs/two", "frame"}


def test_hub_gone_and_back(toaster: Make, hub: Running, tmp_path: Path) -> None:
    one = toaster("one")
    one.write("a", b"a")
    one.sync()
    port = hub.port
    hub.stop()
    one.write("b", b"b")
    assert "error" in one.ask(do="sync")
    with run_hub(tmp_path / "hub", announce=False) as back:
        one.tell(do="port", port=back.port)
        one.sync()
        assert back.service.journal.read_folder(1).head == 2
    assert port
    hub.stop = lambda: None  # type: ignore[method-assign]


def test_a_thousand_files_come_to_192_kib(toaster: Make, caller: Caller) -> None:
    names = [f"d{number % 3}-{number}" for number in range(1000)]
    caller.ask("POST", "/v1/chunks", bundle(*[name.encode() for name in names]))
    epoch = caller.epoch()
    answers = caller.commit(epoch, *[file(name, name.encode()) for name in names])
    assert all(status == 0 for status, _ in answers)
    one = toaster("one")
    one.sync()
    assert one.files() == {name: name.encode() for name in names}
    seqs = {name: seq for name, (_, seq) in zip(names, answers, strict=True)}
    for turn in range(3):
        name = names[turn * 37]
        data = b"round %d" % turn
        caller.upload(data)
        ((status, _),) = caller.commit(epoch, file(name, data, seqs[name]))
        assert status == 0
        one.sync()
        assert one.files()[name] == data
