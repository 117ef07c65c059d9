"""Gives names that only one module or function knows to others too: each different name costs a small heap 20 bytes.

Two kinds, each renamed where nothing else can mean it: data attributes of `self` that begin with `_`, numbered in each
module, or over all whose classes inherit from one another; and arguments that are passed by position only, numbered in
each function. Functions and classes keep their names: a fault's traceback has nothing else to say.
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
    hidden = {name for tree in trees.values() for name in _attributes(tree)} - kept
    for family in _families(trees):
        own = sorted(hidden & {name for tree in family for name in _attributes(tree)})
        for tree in family:
            _Attributes({name: f"_{number}" for number, name in enumerate(own)}).visit(tree)
    for tree in trees.values():
        for function in _outermost(tree):
            _shorten_arguments(function, kept)


def _families(trees: dict[str, ast.Module]) -> list[list[ast.Module]]:
    """The modules, those together of which one has a class that inherits from one of the other's."""
    family = {name: {name} for name in trees}
    for name, tree in trees.items():
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        bases = {base.id for node in classes for base in node.bases if isinstance(base, ast.Name)}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and bases & {each.name for each in node.names}:
                source = (node.module or "").replace(".", "/")
                if source in family:
                    joined = family[name] | family[source]
                    family.update(dict.fromkeys(joined, joined))
    return [[trees[name] for name in names] for names in {id(each): each for each in family.values()}.values()]


def _public(tree: ast.AST) -> Iterator[str]:
    """Names that may mean something elsewhere, or are asked for by text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and not _is_own(node):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.Module):
            yield from (name.id for each in node.body for name in _shallow(each) if isinstance(name, ast.Name))


def _shallow(node: ast.AST) -> Iterator[ast.AST]:
    """A statement's parts that run when the module is imported."""
    yield node
    if not isinstance(node, Function):
        for child in ast.iter_child_nodes(node):
            yield from _shallow(child)


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self" and node.attr[0] == "_" and node.attr[1] != "_"


def _attributes(tree: ast.AST) -> Iterator[str]:
    return (node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_own(node))


class _Attributes(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        if _is_own(node):
            node.attr = self.names.get(node.attr, node.attr)
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
