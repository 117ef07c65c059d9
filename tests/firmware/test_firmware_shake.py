"""What is left out of the compiled sources, and what is not."""

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from shake import shake
from shorten import shorten

CORE = """
SIZE = 1 << 4
NAME = "text"
def used(first, second=2):
    return first + second + SIZE
def unused(other):
    return used(other)
def asked_by_unused():
    return NAME
class Thing:
    def __init__(self, value):
        self._value = value
        self.shown = value
    def get(self, extra):
        return [extra + self._value for extra in (extra,)][0]
    def never(self):
        return asked_by_unused()
"""
EDGE = """
from core import SIZE, Thing, used
def main(argument):
    thing = Thing(argument)
    return used(thing.get(SIZE), second=thing.shown)
"""


def short(sources: dict[str, str]) -> dict[str, str]:
    trees = {name: ast.parse(text) for name, text in sources.items()}
    shorten(trees)
    return {name: ast.unparse(tree) + "\n" for name, tree in trees.items()}


def run(sources: dict[str, str]) -> object:
    core: dict[str, object] = {}
    exec(sources["core"], core)
    edge: dict[str, object] = dict(core)
    exec("\n".join(line for line in sources["edge"].splitlines() if "import" not in line), edge)
    return edge["main"](5)  # type: ignore[operator]


def test_what_nobody_names_goes_and_the_rest_does_the_same() -> None:
    sources = {"core": CORE, "edge": EDGE}
    shaken = short(shake(sources, ["main"]))
    for gone in ("unused", "asked_by_unused", "never", "SIZE", "NAME", "_value", "first", "argument"):
        assert gone not in shaken["core"] + shaken["edge"], gone
    for kept in ("second", "shown", "used", "get"):
        assert kept in shaken["core"], kept
    assert run(shaken) == run(sources) == 5 + 16 + 5 + 16


def test_a_private_name_that_is_asked_for_from_elsewhere_keeps_it() -> None:
    sources = {"a": "class A:\n    def __init__(self):\n        self._x = 1\n", "b": "def f(a):\n    return a._x\n"}
    shaken = short(shake(sources, ["A", "f"]))
    assert "self._x" in shaken["a"] and "._x" in shaken["b"]


def test_a_method_that_is_asked_for_by_its_name_as_text_stays() -> None:
    keys = "class A:\n    def feed(self, key):\n        getattr(self, '_' + {1: 'home'}[key])()\n"
    shaken = shake({"a": keys + "    def _home(self):\n        self.at = 0\n"}, ["A", "feed"])
    assert "def _home" in shaken["a"]


def test_a_class_that_inherits_from_another_module_keeps_its_own_attributes_apart() -> None:
    base = "class A:\n    def __init__(self):\n        self._mine = 1\n    def get(self):\n        return self._mine\n"
    heir = "from a import A\nclass B(A):\n    def set(self):\n        self._also = 2\n"
    shaken = shake({"a": base, "b": heir}, ["A", "B", "get", "set"])
    names: dict[str, type] = {}
    exec(shaken["a"] + shaken["b"].replace("from a import A", ""), names)
    made = names["B"]()
    made.set()
    assert made.get() == 1
