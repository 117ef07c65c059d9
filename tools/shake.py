"""Leaves out of a set of Python sources what none of them names: functions, methods and constants nobody asks for.

A small board drives core as it is, but has no use for half of it (what only a hub encodes, what only an agent decides).
Constants are put where they are named, if they are numbers, short, or named once: each costs a name and a row of a
table in a heap of 110 KB.

Purely by names: a definition stays when its name stands anywhere in the sources, also as text and without its `_`, in
another definition that stays or outside of all. Names that begin and end with `__` stay. So a name that two modules
share keeps both, until `prune` looks at the parts they have become.
"""

import ast
import operator
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

Value = int | float | str | bytes
LEFT_OUT = ("__slots__", "__all__", "__repr__", "TYPE_CHECKING")  # what a board has no use for
SHORT = 10  # of text: MicroPython keeps it once, however often it stands there

_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def shake(sources: dict[str, str], roots: Iterable[str]) -> dict[str, str]:
    """The same sources without what cannot be reached. roots: names that are asked for from outside."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    for tree in trees.values():
        _Plain().visit(tree)
    _inline(trees)
    alive = set(roots)
    size = -1
    while size != len(alive):
        size = len(alive)
        for tree in trees.values():
            alive |= set(_named(tree, alive))
    for tree in trees.values():
        _prune(tree, alive)
    return {name: ast.unparse(tree) + "\n" for name, tree in trees.items()}


def prune(trees: dict[str, ast.Module], roots: Iterable[str]) -> None:
    """Take out of joined modules, in place, what stands at their top and is named neither there nor in an import."""
    size = -1
    while size != sum(len(tree.body) for tree in trees.values()):
        size = sum(len(tree.body) for tree in trees.values())
        imported = {each.name for tree in trees.values() for node in ast.walk(tree) for each in _aliases(node)}
        for tree in trees.values():
            named = {name for node in tree.body for name in _read_by(node) if name != _defined(node)}
            _prune(tree, named | imported | set(roots), inside=False)


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.ImportFrom) else []


def _read_by(node: ast.stmt) -> Iterator[str]:
    return (part.id for part in ast.walk(node) if _is_read(part))


class _Plain(ast.NodeTransformer):
    """Without what MicroPython takes no notice of: types, imports for them, and __slots__."""

    def visit_If(self, node: ast.If) -> ast.stmt | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt] | None:
        self.generic_visit(node)
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(node.targets[0].elts, node.value.elts, strict=True))
            if all(isinstance(each, ast.Constant) for _, each in pairs):
                return [ast.copy_location(ast.Assign([name], each), node) for name, each in pairs]
        return None if _defined(node) in LEFT_OUT else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        self.generic_visit(node)
        return ast.copy_location(ast.Assign([node.target], node.value), node) if node.value else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef | None:
        node.returns = None
        self.generic_visit(node)
        return None if node.name in LEFT_OUT else node

    def visit_Assert(self, node: ast.Assert) -> None:
        """mpy-cross leaves it out anyway, and names in it count for nothing."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node


class _Inliner(ast.NodeTransformer):
    """Puts constants in the place of names. values: of the names of one module."""

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self.values:
            return ast.Constant(self.values[node.id])
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        first = node.args[0] if len(node.args) == 1 else None
        if isinstance(node.func, ast.Name) and node.func.id == "len" and isinstance(first, ast.Constant):
            return ast.Constant(len(first.value))  # type: ignore[arg-type]
        return node


def _inline(trees: dict[str, ast.Module]) -> None:
    """Constants in capitals, in their modules and where they are imported from there."""
    own: dict[str, dict[str, Value]] = {name: {} for name in trees}
    read = Counter(node.id for tree in trees.values() for node in ast.walk(tree) if _is_read(node))
    size = -1
    while size != sum(map(len, own.values())):
        size = sum(map(len, own.values()))
        for name, tree in trees.items():
            for node in tree.body:
                if (
                    isinstance(node, ast.ImportFrom)
                    and node.module
                    and (known := own.get(node.module.replace(".", "/")))
                ):
                    own[name].update(
                        {each.asname or each.name: known[each.name] for each in node.names if each.name in known}
                    )
                elif isinstance(node, ast.Assign) and _defined(node).strip("_").isupper():
                    value = _value(node.value, own[name])
                    if value is not None and (_is_short(value) or read[_defined(node)] <= 1):
                        own[name][_defined(node)] = value
    for name, tree in trees.items():
        _Inliner(own[name]).visit(tree)


def _is_read(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def _is_short(value: Value) -> bool:
    return isinstance(value, int) or (not isinstance(value, float) and len(value) <= SHORT)


def _value(node: ast.expr, known: dict[str, Value]) -> Value | None:
    """What an expression of constants is worth; None: it is another kind."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, str, bytes):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left, known), _value(node.right, known)
        if isinstance(left, int) and isinstance(right, int):
            return int(_OPERATIONS[type(node.op)](left, right))
    return None


def _defined(node: ast.stmt) -> str:
    """The name that a statement defines and nothing more; "" for any other."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _is_kept(node: ast.stmt, alive: set[str]) -> bool:
    name = _defined(node)
    return not name or name in alive or (name[:2] == "__" and name[-2:] == "__")


def _named(node: ast.AST, alive: set[str]) -> Iterator[str]:
    """Names that stand in what stays. An import alone asks for nothing."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from (each.name for each in child.names if each.asname in alive)
            continue
        if isinstance(node, ast.Module | ast.ClassDef) and isinstance(child, ast.stmt) and not _is_kept(child, alive):
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
            yield child.id
        elif isinstance(child, ast.Attribute):
            yield child.attr
        elif isinstance(child, ast.keyword) and child.arg:
            yield child.arg
        elif isinstance(child, ast.Constant) and isinstance(child.value, str) and child.value.isidentifier():
            yield from (child.value, "_" + child.value)  # core/console_line asks for its keys' methods by text
        yield from _named(child, alive)


def _prune(node: ast.Module | ast.ClassDef, alive: set[str], inside: bool = True) -> None:
    kept = []
    for child in node.body:
        if inside and isinstance(child, ast.ImportFrom):
            child.names = [each for each in child.names if (each.asname or each.name) in alive]
            if not child.names:
                continue
        if not _is_kept(child, alive):
            continue
        if inside and isinstance(child, ast.ClassDef):
            _prune(child, alive)
        kept.append(child)
    node.body = kept or [ast.Pass()]
