"""Thousands of histories, the same ones every time; and that they can fail at all.

TOASTBOX_SIM_SEED, TOASTBOX_SIM_COUNT choose others. A failure names its seed; `python -m tests.sim --seed N --trace`
replays it step by step.
"""

import logging
import multiprocessing
import os

import pytest

from toastbox.device.aftermath import Aftermath
from toastbox.device.folder import Folder
from toastbox.device.publish import Publisher
from toastbox.device.stage import Stage

from .history import History

FIRST = int(os.environ.get("TOASTBOX_SIM_SEED", "1"))
COUNT = int(os.environ.get("TOASTBOX_SIM_COUNT", "3000"))
BATCH = 100


def failures_in(first: int) -> list[str]:
    """What went wrong in BATCH histories from this seed on."""
    logging.disable(logging.WARNING)
    found = []
    for seed in range(first, min(first + BATCH, FIRST + COUNT)):
        try:
            History(seed).play()
        except Exception as error:
            found.append(f"python -m tests.sim --seed {seed} --trace   # {type(error).__name__}: {error}"[:300])
    return found


@pytest.mark.timeout(600)
def test_promises_hold_in_every_history() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = [line for lines in pool.imap(failures_in, range(FIRST, FIRST + COUNT, BATCH)) for line in lines]
    assert not found, "\n".join(found)


def trace_of(seed: int) -> list[str]:
    lines: list[str] = []
    History(seed, lines.append).play()
    return lines


@pytest.mark.parametrize("seed", [1, 77, 1234])
def test_same_seed_gives_the_same_trace(seed: int) -> None:
    first = trace_of(seed)
    assert len(first) > 100
    assert trace_of(seed) == first


def fails_somewhere(count: int) -> bool:
    for seed in range(1, count):
        try:
            History(seed).play()
        except Exception:
            return True
    return False


@pytest.mark.timeout(600)
def test_forgotten_flush_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "flush", lambda self, names: None)
    monkeypatch.setattr(Folder, "flush_all", lambda self: None)
    assert fails_somewhere(4000)  # rare: the power must go between a rename and the disk's own flush


def test_overwritten_conflict_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def throw_away(self: Publisher, name: str, entry: object) -> None:
        self._folder.stage.remove(name)

    monkeypatch.setattr(Publisher, "keep_copy", throw_away)
    assert fails_somewhere(400)


@pytest.mark.timeout(600)
def test_power_cut_taken_for_an_edit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Aftermath, "run", lambda self: None)
    assert fails_somewhere(3000)
