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
        (("--arena", "1MiB"), "it must be 3648KiB at least, or 2112KiB with a window of 512KiB\n"),
        (("--arena", "3MiB"), "arena must hold two windows and 1088KiB more"),
        (("--arena", "2MiB", "--window", "512KiB"), "it must be 2112KiB at least\n"),
        (("--arena", "2GiB"), "--arena must be 0 B to 1.0 GiB"),
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


@pytest.mark.parametrize("window", [(), ("--window", "512KiB", "--sqlite-cache", "64KiB")])
def test_the_least_that_is_named_carries_thousands_of_files(town: Town, window: tuple[str, ...]) -> None:
    for name in ("a", "b"):
        town.join(name)
    for number in range(3000):
        (town.place / f"a/{number:04}").write_bytes(b"file %d" % number)
    (town.place / "a/large").write_bytes(bytes(range(256)) * 20_000)
    done = town.run("sync", "a", "--arena", "1", *window)
    assert done.returncode == 2
    least = done.stderr.split("must be ")[1].split(" at least")[0]
    assert town.must("sync", "a", "--arena", least, *window) == "3001 sent\n"
    assert town.must("sync", "b", "--arena", least, *window) == "3001 received\n"
    assert (town.place / "b/large").read_bytes() == bytes(range(256)) * 20_000
