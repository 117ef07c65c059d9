"""Gives names that only one class or function knows to others too: each different name costs a small heap 20 bytes.

Two kinds, each renamed where nothing else can mean it: attributes and methods of `self` that begin with `_`,
numbered in each class, or over all that inherit from one another; and arguments that are passed by position only,
numbered in each function.
"""

import ast
import builtins
from collections.abc import Iterator

Function = ast.FunctionDef | ast.Lambda


def shorten(trees: dict[str, ast.Module]) -> None:
    """In place."""
    kept = set(dir(builtins)) | {"self"}
    for tree in trees.values():
        kept |= set(_public(tree))
    for family in _families(
        [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    ):
        own = sorted({name for node in family for name in _hidden(node)} - kept)
        for node in family:
            _Hidden({name: f"_{number}" for number, name in enumerate(own)}).visit(node)
    keywords = {node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    for tree in trees.values():
        for function in _outermost(tree):
            _shorten_arguments(function, {*keywords, "self"})


def _families(classes: list[ast.ClassDef]) -> list[list[ast.ClassDef]]:
    """The classes, those together that inherit from one another."""
    family = {node.name: {node.name} for node in classes}
    for node in classes:
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in family:
                joined = family[node.name] | family[base.id]
                family.update(dict.fromkeys(joined, joined))
    together = {id(each): each for each in family.values()}.values()
    return [[node for node in classes if node.name in names] for names in together]


def _public(tree: ast.AST) -> Iterator[str]:
    """Names that may mean something elsewhere, or are asked for by text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_own(node):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (node.value, "_" + node.value)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.Module):
            yield from (name.id for each in node.body for name in _shallow(each) if isinstance(name, ast.Name))
            yield from (each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.ClassDef))


def _shallow(node: ast.AST) -> Iterator[ast.AST]:
    """A statement's parts that run when the module is imported."""
    yield node
    if not isinstance(node, Function):
        for child in ast.iter_child_nodes(node):
            yield from _shallow(child)


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self" and _is_hidden(node.attr)


def _hidden(node: ast.ClassDef) -> Iterator[str]:
    """Attributes of self with a `_`, and methods of such names."""
    yield from (each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and _is_own(each))
    yield from (each.name for each in node.body if isinstance(each, ast.FunctionDef) and _is_hidden(each.name))


def _is_hidden(name: str) -> bool:
    return name[0] == "_" and name[1:2] != "_"


class _Hidden(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        if _is_own(node):
            node.attr = self.names.get(node.attr, node.attr)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        return node


def _outermost(tree: ast.AST) -> Iterator[Function]:
    """Functions that lie in no other."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, Function):
            yield child
        else:
            yield from _outermost(child)


def _shorten_arguments(function: Function, kept: set[str]) -> None:
    """One mapping for the function and all in it: what is the same name before is the same name afterwards."""
    names: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and node.arg not in kept:
            names.setdefault(node.arg, f"_{len(names)}")
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.arg = names.get(node.arg, node.arg)
        elif isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            node.name = names.get(node.name, node.name)
