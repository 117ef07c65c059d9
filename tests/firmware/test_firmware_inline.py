"""Functions put where they are called: the same is done, in the same order."""

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from inline import inline

HEAD = """
said = []
def say(text, value=None):
    said.append(text)
    return value
"""


def inlined(source: str, *roots: str) -> str:
    trees = {"m": ast.parse(HEAD + source)}
    inline(trees, ["main", "Main", "run", "say", *roots])
    return ast.unparse(ast.fix_missing_locations(trees["m"]))


def run(text: str, *arguments: object) -> object:
    names: dict[str, object] = {}
    exec(text, names)
    try:
        result = names["main"](*arguments)  # type: ignore[operator]
    except ValueError as error:
        result = str(error)
    return result, names["said"]


# What is called, how, and whether its function can go.
CASES = [
    ("def f(a, b=2):\n    return a + b", "return f(x)", True),
    (
        "def f(a):\n    for at in range(9):\n        if at > a:\n            return at\n    return say('no')",
        "return f(x)",
        True,
    ),
    (
        "def f(a):\n    if a > 2:\n        return 'large'\n    say('small')\n    return a",
        "y = f(x)\n    return y",
        True,
    ),
    (
        "def f(a):\n    if a > 2:\n        if a > 5:\n            return 'huge'\n        say('n')\n    return a",
        "y = f(x)\n    return y",
        True,
    ),
    ("def f(a):\n    if a > 2:\n        return\n    say('small')", "f(x)\n    say('end')", True),
    (
        "def f(a):\n    say('asked')\n    return a > 2",
        "if f(x):\n        say('yes')\n    elif x:\n        say('some')",
        True,
    ),
    ("def f(a):\n    say('asked')\n    return a > 2", "if x and f(x):\n        say('yes')", True),
    (
        "def f(a):\n    say('asked')\n    return a > 2",
        "if x and f(x):\n        say('yes')\n    else:\n        say('no')",
        False,
    ),
    (
        "def f(a):\n    try:\n        b = 9 // a\n    except ZeroDivisionError:\n        return 'none'\n    return b",
        "y = f(x)\n    return y",
        True,
    ),
    (
        "def f(a):\n    if a:\n        raise ValueError('wrong')\n    return 1",
        "for each in (x, 0):\n        y = f(each)\n    return y",
        True,
    ),
    (
        "def f(a):\n    for at in range(a):\n        if at > 2:\n            return at\n    return 0",
        "y = f(x)\n    return y",
        False,
    ),
    ("def f(a):\n    yield a", "return list(f(x))", False),
    ("def f(a):\n    x = a + 1\n    return x * x", "y = f(x)\n    return (x, y)", True),
    ("def f(a):\n    a = a + 1\n    return a", "y = f(x)\n    return (x, y)", True),
    ("def f(a):\n    say('f')\n    return a", "return [say('first'), f(x)]", False),
    ("def f(a):\n    return say('f', a) or a + a", "return f(say('argument', x))", False),
    ("def f(a):\n    return [each + a for each in (1, 2)]", "return f(x)", True),
    ("def f(a):\n    return say('f', a)", "y = 1\n    return (f, y)[1] + x", False),
    (
        "def f(a):\n    b = say('f', a)\n    return b\ndef g(a):\n    b = say('g', a)\n    return b",
        "return say(f(x), g(x))",
        False,
    ),
]


@pytest.mark.parametrize(("functions", "body", "goes"), CASES)
def test_the_same_is_done_with_the_function_and_without(functions: str, body: str, goes: bool) -> None:
    source = f"{functions}\ndef main(x):\n    {body}\n"
    text = inlined(source)
    assert ("def f(" not in text) == goes, text
    for argument in (0, 1, 3, 7):
        assert run(text, argument) == run(HEAD + source, argument), text


METHODS = """
class Main:
    def __init__(self, x):
        self.x = x
        self.hook = self._kept
    def run(self):
        y = self._once(self.x)
        for each in self._items():
            y += each
        return (y, self._kept(1), self.hook(2), self._chained(3))
    def _once(self, a):
        if a > 2:
            return self._inner(a)
        return -a
    def _inner(self, a):
        b = a * self.x
        return b + 1
    def _items(self):
        say("list")
        return [self.x, 1]
    def _kept(self, a):
        return a
    def _chained(self, a):
        return getattr(self, "_" + "by_text")(a)
    def _by_text(self, a):
        return a
def main(x):
    return Main(x).run()
"""


def test_methods_of_self_are_put_into_one_another_and_those_asked_for_otherwise_stay() -> None:
    text = inlined(METHODS, "_by_text")
    for gone in ("_once", "_inner", "_items"):
        assert gone not in text, text
    assert "def _kept" in text and "def _by_text" in text
    for argument in (1, 3, 7):
        assert run(text, argument) == run(HEAD + METHODS, argument)


def test_what_is_overridden_or_asked_for_from_outside_stays() -> None:
    source = "class A:\n    def go(self):\n        return self._x()\n    def _x(self):\n        return 1\n"
    source += (
        "class B(A):\n    def _x(self):\n        return 2\ndef main(x):\n    return (A().go(), B().go(), asked(x))\n"
    )
    source += "def asked(x):\n    return x\n"
    text = inlined(source, "asked", "go")
    assert text.count("def _x") == 2 and "def asked" in text
    assert run(text, 1) == run(HEAD + source, 1) == ((1, 2, 1), [])
