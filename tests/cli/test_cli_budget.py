"""The memory budget on the command line: taken, and refused with the least that can work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from town import Town, stop


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    town.start_hub()
    yield town
    town.end()


def test_budget_of_the_command_line_is_the_one_that_is_used(town: Town) -> None:
    town.join("a")
    agent = town.start_agent("a", "--arena", "4MiB", "--window", "1MiB", "--sqlite-cache", "256KiB")
    memory = town.status("a")["memory"]
    assert memory["arena_size"] == 4 << 20 and memory["sqlite_cache"] == 256 << 10
    assert stop(agent) == (0, "")
    (town.place / "a/x").write_bytes(b"1")
    assert town.must("sync", "a", "--arena", "4MiB", "--window", "1MiB") == "1 sent\n"


@pytest.mark.parametrize("command", ["agent", "sync"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--arena", "1MiB"), "--arena must be 2.0 MiB to 1.0 GiB"),
        (("--arena", "3MiB"), "arena must hold two windows and 1088KiB more"),
        (("--window", "64KiB"), "--window must be 512.0 KiB to 64.0 MiB"),
        (("--sqlite-cache", "1KiB"), "--sqlite-cache must be 64.0 KiB to 1.0 GiB"),
        (("--arena", "lots"), "must be a number and a unit such as 8MiB"),
    ],
)
def test_budget_that_cannot_work_is_refused_with_the_least_that_can(
    town: Town, command: str, options: tuple[str, str], words: str
) -> None:
    town.join("a")
    done = town.run(command, "a", *options)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_the_least_that_is_named_works(town: Town) -> None:
    town.join("a")
    done = town.run("sync", "a", "--window", "512KiB", "--arena", "2MiB")
    assert done.returncode == 2
    least = done.stderr.split("must be ")[1].split(" at least")[0]
    assert town.must("sync", "a", "--window", "512KiB", "--arena", least) == ""
