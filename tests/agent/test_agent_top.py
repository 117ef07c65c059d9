"""Looking inside a running agent: memory figures that add up, and `toastbox top`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from town import Town, stop, wait_for


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    town.start_hub()
    yield town
    town.end()


def test_status_says_where_memory_is(town: Town) -> None:
    folder = town.join("a")
    agent = town.start_agent("a")
    (folder / "x").write_bytes(bytes(3_000_000))
    wait_for(lambda: town.status("a")["counts"]["sent"] == 1)
    memory = town.status("a")["memory"]
    assert memory["arena_size"] == 8 << 20 and memory["arena_resident"] <= 8 << 20
    assert sum(part["size_bytes"] for part in memory["arena"]) <= memory["arena_size"]
    assert {part["name"] for part in memory["arena"]} == {"listings", "main"}
    assert memory["sqlite"] > 0 and memory["sqlite_cache"] == 1 << 20
    assert 1 << 20 < memory["python_heap"] < memory["private"] < memory["resident"] <= memory["resident_peak"]
    assert memory["python_blocks"] > 10_000 and 0 < memory["libc_heap_in_use"] <= memory["libc_heap"]
    wait_for(lambda: town.status("a")["memory"]["arena_resident"] < 64 << 10)  # at rest it is the kernel's again
    assert stop(agent) == (0, "")


def test_top_shows_calls_while_something_happens(town: Town) -> None:
    folder = town.join("a")
    town.start_agent("a")
    town.must("top", "a", "--once", "--json")
    for number in range(50):
        (folder / f"{number}").write_bytes(b"%d" % number)
    wait_for(lambda: town.status("a")["counts"]["sent"] == 50)
    (folder / "more").write_bytes(b"more")
    found = json.loads(town.must("top", "a", "--once", "--json", "--interval", "2s"))
    assert found["interval_s"] >= 2 and found["cpu"]["all"] > 0 and found["io"]["syscr"] > 0
    assert any(row["module"].startswith("toastbox") for row in found["objects"])
    text = town.must("top", "a", "--once")
    assert text.startswith("memory   resident ") and "\x1b" not in text and "region   listings" in text
    assert "\nobjects  toastbox." in text and "\ncpu      " in text and "\nio       rchar" in text


def test_top_needs_an_agent(town: Town) -> None:
    town.join("a")
    done = town.run("top", "a", "--once")
    assert done.returncode == 1 and "no agent runs" in done.stderr and "toastbox agent" in done.stderr


def test_a_run_logs_its_memory_when_asked(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.join("a")
    monkeypatch.setenv("TOASTBOX_LOG", "info")
    agent = town.start_agent("a")
    code, errors = stop(agent)
    assert code == 0 and errors.startswith("memory: resident ") and "region listings" in errors
    assert errors.count("\n") == 1
