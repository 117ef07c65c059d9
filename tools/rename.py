"""Gives functions, classes, attributes and constants of a program names of one or two letters, and says which is which.

A name stands in the table of every module that uses it, and in the heap: of what a board has of the sources' names,
three quarters are left out. What a traceback says is put back by the list (`restore`).

By names alone: one that is ours gets the same new one wherever it stands. Ours is what is defined here, and is no
argument's name in a call, no text, nothing that Python's own types and modules have, and nothing in `kept`.
"""

import array
import ast
import builtins
import hashlib
import io
import itertools
import os
import re
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from string import ascii_letters

# Whose attributes are not ours, besides what a chip's MicroPython has.
OTHERS = (
    *(str, bytes, bytearray, list, dict, set, tuple, int, memoryview, array.array, BaseException, OSError),
    *(
        io.FileIO,
        io.BufferedReader,
        io.TextIOWrapper,
        io.StringIO,
        socket.socket,
        type(hashlib.sha256()),
        select.poll(),
    ),
    *(builtins, os, socket, struct, time),
)
OF_A_CHIP = (
    "active",
    "config",
    "connect",
    "country",
    "cuts",
    "disconnect",
    "feed",
    "hostname",
    "init",
    "reset",
    "scan",
)


def rename(trees: dict[str, ast.Module], kept: Iterable[str]) -> dict[str, str]:
    """In place; what each new name stands for. kept: names that are asked for from outside."""
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    ours = {name for node in nodes for name in _defined(node)}
    others = {*kept, *OF_A_CHIP, *(name for other in OTHERS for name in dir(other))}
    others |= {name for node in nodes for name in _asked_by_text(node)}
    uses = Counter(
        name for tree in trees.values() for name in {name for node in ast.walk(tree) for name in _names(node)}
    )
    ours = {name for name in ours - others if name[:2] != "__" and len(name) > 2}
    free = (name for name in _short() if name not in uses and name not in others)
    names = dict(zip(sorted(ours, key=lambda name: (-uses[name], name)), free, strict=False))
    for tree in trees.values():
        _Renamer(names).visit(tree)
    return {new: old for old, new in names.items()}


def restore(text: str, names: dict[str, str]) -> str:
    """A traceback, or what else a board said of its program, with the names of the sources."""
    return re.sub(
        r"(?<=in )\w+$|(?<=attribute ')\w+(?=')", lambda found: names.get(found[0], found[0]), text, flags=re.M
    )


def _short() -> Iterator[str]:
    yield from ascii_letters
    yield from ("".join(pair) for pair in itertools.product(ascii_letters, ascii_letters))


def _defined(node: ast.AST) -> Iterator[str]:
    """Functions, classes but errors, what is stored in attributes, and what stands at the top of a module or class."""
    if isinstance(node, ast.FunctionDef) or (isinstance(node, ast.ClassDef) and not _is_error(node)):
        yield node.name
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        yield node.attr
    if isinstance(node, ast.Module | ast.ClassDef):
        for each in node.body:
            if isinstance(each, ast.Assign):
                yield from (target.id for target in each.targets if isinstance(target, ast.Name))


def _is_error(node: ast.ClassDef) -> bool:
    """Whether people are told its name."""
    return any(isinstance(base, ast.Name) and hasattr(builtins, base.id) for base in node.bases)


def _asked_by_text(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.keyword):
        yield node.arg or ""
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (node.value, "_" + node.value)


def _names(node: ast.AST) -> Iterator[str]:
    """Every name that a node has."""
    for field in ("name", "id", "attr", "arg", "asname"):
        if isinstance(name := getattr(node, field, None), str):
            yield name


class _Renamer(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if not isinstance(node, ast.keyword):
            for field in ("name", "id", "attr", "arg", "asname"):
                name = getattr(node, field, None)
                if isinstance(name, str):
                    setattr(node, field, self.names.get(name, name))
        return node
