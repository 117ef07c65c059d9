"""Leaves out of a set of Python sources what none of them names: functions, methods and constants nobody asks for.

A small board drives core as it is, but has no use for half of it (what only a hub encodes, what only an agent decides).
Constants of whole numbers are put where they are named: each costs a name and a row of a table in a heap of 110 KB.

Purely by names: a definition stays when its name stands anywhere in the sources, in another definition that stays or
outside of all. Names that begin and end with `__` stay. So a name that two modules share keeps both: no harm but bytes.
"""

import ast
import operator
from collections.abc import Iterable, Iterator

from shorten import shorten

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
    _inline(trees)
    alive = set(roots)
    size = -1
    while size != len(alive):
        size = len(alive)
        for tree in trees.values():
            alive |= set(_named(tree, alive))
    for tree in trees.values():
        _prune(tree, alive)
    shorten(trees)
    return {name: ast.unparse(tree) + "\n" for name, tree in trees.items()}


class _Inliner(ast.NodeTransformer):
    """Puts numbers in the place of names. values: of the names of one module."""

    def __init__(self, values: dict[str, int]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self.values:
            return ast.Constant(self.values[node.id])
        return node


def _inline(trees: dict[str, ast.Module]) -> None:
    """Constants in capitals that are whole numbers, in their modules and where they are imported from there."""
    own: dict[str, dict[str, int]] = {name: {} for name in trees}
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
                    if value is not None:
                        own[name][_defined(node)] = value
    for name, tree in trees.items():
        _Inliner(own[name]).visit(tree)


def _value(node: ast.expr, known: dict[str, int]) -> int | None:
    """What an expression of whole numbers is worth; None: it is another kind."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left, known), _value(node.right, known)
        if left is not None and right is not None:
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
            yield child.value
        yield from _named(child, alive)


def _prune(node: ast.Module | ast.ClassDef, alive: set[str]) -> None:
    kept = []
    for child in node.body:
        if isinstance(child, ast.ImportFrom):
            child.names = [each for each in child.names if (each.asname or each.name) in alive]
            if not child.names:
                continue
        if not _is_kept(child, alive):
            continue
        if isinstance(child, ast.ClassDef):
            _prune(child, alive)
        kept.append(child)
    node.body = kept or [ast.Pass()]
