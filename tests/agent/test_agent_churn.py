"""Three people at once on three devices: whatever they do, in the end all have the same."""

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from town import Town, stop, tree, wait_for

NAMES = [f"n{number}" for number in range(10)]
SIZES = (0, 10, 3000, 30_000, 600_000)


class Person:
    """Does random things to one folder."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder = folder
        self._chance = chance

    def _path(self) -> Path:
        above = [self._chance.choice("xyz") for _ in range(self._chance.randrange(3))]
        return self._folder.joinpath(*above, self._chance.choice(NAMES))

    def act(self) -> None:
        """One thing; what cannot be done is not done."""
        deeds: list[Callable[[], object]] = [self._write, self._append, self._rename, self._move_folder, self._remove]
        try:
            self._chance.choices(deeds, (10, 2, 3, 1, 3))[0]()
        except OSError:
            return

    def _write(self) -> None:
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._chance.randbytes(self._chance.choice(SIZES)))

    def _append(self) -> None:
        with self._path().open("ab") as file:
            file.write(b"tail")

    def _rename(self) -> None:
        self._path().rename(self._path())

    def _move_folder(self) -> None:
        (self._folder / self._chance.choice("xyz")).rename(self._folder / f"x{self._chance.randrange(3)}")

    def _remove(self) -> None:
        path = self._path()
        if self._chance.random() < 0.2 and path.parent != self._folder:
            shutil.rmtree(path.parent)
        else:
            path.unlink()


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_at_once_with_agents_killed(town: Town, seed: int) -> None:
    chance = random.Random(seed)
    folders = [town.join(name) for name in "abc"]
    people = [Person(folder, chance) for folder in folders]
    agents = {name: town.start_agent(name, "--accept-deletes") for name in "abc"}
    for _ in range(5):
        for _ in range(chance.randrange(20, 100)):
            chance.choice(people).act()
        victim = chance.choice("abc")
        stop(agents[victim], signal.SIGKILL)
        agents[victim] = town.start_agent(victim, "--accept-deletes")
        wait_for(lambda: tree(folders[0]) == tree(folders[1]) == tree(folders[2]))
    assert all(agent.poll() is None for agent in agents.values())
    assert len(tree(folders[0])) > 10
