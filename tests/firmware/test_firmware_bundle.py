"""Modules joined into parts: they do what they did, and the program's parts are small and whole."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from compiled import laid_out

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from bundle import bundle, reached

import firmware

HELD_BYTES = 70_000  # the bar
SHAPES = """
import math
LIMIT = 3
def area(width, height=LIMIT):
    return _scaled(width * height)
def _scaled(value):
    return math.floor(value)
class Shape:
    kind = "shape"
    def kinds(self):
        return [kind for kind in (self.kind, kind)]
kind = "module"
"""
WORDS = """
import math
from box import shapes
from box.shapes import Shape, area as size_of
LIMIT = 5
def _scaled(value):
    return value * LIMIT
def all_of(area):
    return [_scaled(area), shapes.area(area), size_of(area, 2), Shape().kinds(), shapes._scaled(math.pi)]
def later():
    if LIMIT:
        from box.late import late
    else:
        from box.later import late
    return late(LIMIT), other()
def other():
    from box.later import late
    return late(LIMIT)
"""
LATE = """
from box.words import _scaled
def late(value):
    return _scaled(value)
"""
LATER = """
def late(value):
    return -value
"""
SOURCES = {"box/shapes": SHAPES, "box/words": WORDS, "box/late": LATE, "box/later": LATER, "box/unused": "UNUSED = 1"}


def run(texts: dict[str, str], first: str) -> list[object]:
    """What the functions of a module give when these are all that there is."""
    box = ModuleType("box")
    box.__path__ = []
    made = {"box": box}
    try:
        for name, text in texts.items():
            module = ModuleType(name)
            sys.modules.update({**made, name.replace("/", "."): module})
            made[name.replace("/", ".")] = module
            exec(text, module.__dict__)
            setattr(box, name.rpartition("/")[2], module)
        return [made[first].all_of(4), made[first].later()]
    finally:
        for name in made:
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "parts", [{"box/words": ("box/words",), "box/late": ("box/late", "box/later")}, {"box/words": tuple(SOURCES)}]
)
def test_joined_modules_do_what_they_did(parts: dict[str, tuple[str, ...]]) -> None:
    joined = bundle({name: ast.parse(text) for name, text in SOURCES.items()}, parts)
    assert list(joined) == list(parts)
    texts = {name: ast.unparse(ast.fix_missing_locations(tree)) for name, tree in joined.items()}
    wanted = [[20, 12, 8, ["shape", "module"], 3], (25, -5)]
    assert run(texts, "box.words") == run({name: SOURCES[name] for name in SOURCES}, "box.words") == wanted
    assert texts["box/words"].count("import math") == 1


def test_what_no_line_asks_for_is_not_reached() -> None:
    trees = {name: ast.parse(text) for name, text in SOURCES.items()}
    assert reached(trees, ["box/words"]) == {"box/words", "box/shapes", "box/late", "box/later"}


def test_no_name_of_the_program_is_lost(tmp_path: Path) -> None:
    for name, text in firmware.sources()[0].items():
        (tmp_path / f"{name.replace('/', '.')}.py").write_text(text)
    rules = ["--isolated", "--no-cache", "--select", "F821,F811"]  # names that nobody defines, or somebody twice
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_program_grows_only_knowingly() -> None:
    sizes = {path.name: path.stat().st_size for path in laid_out().rglob("*.mpy")}
    assert 50_000 < sum(sizes.values()) <= HELD_BYTES, sizes
