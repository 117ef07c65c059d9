"""Core on MicroPython: the same tests, the heap of a small board."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import micropython_tests

MAX_HEAP = 72 << 10
# Loaded beside the rest only while somebody sets up the board.
CONSOLE = ("console", "schedule")
MAX_CONSOLE_HEAP = 60 << 10


@pytest.mark.parametrize("name", micropython_tests.test_modules())
def test_module_passes_on_micropython(name: str) -> None:
    done = micropython_tests.run_module(name)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = sum(test.startswith("test_") for test in dir(__import__(name)))
    assert int(done.stdout) == wanted > 0


def test_all_of_core_leaves_most_of_a_small_heap() -> None:
    used = micropython_tests.heap()
    console = sum(size for name, size in used.items() if name.startswith(CONSOLE))
    assert used["total"] - console < MAX_HEAP, used
    assert 0 < console < MAX_CONSOLE_HEAP, used
