"""Joins Python modules into few: a name that thirty modules use costs thirty tables of names a row each, in their files
and in a small heap, and so does each import between them.

A part is a module that is loaded at once, with all that it needs and no part before it has. Only names are changed, and
only of what stands at the top of a module: what clashes there with another module's, or would be hidden by something
in a function, gets its module's name behind it. `from OTHER import NAME` is nothing within a part, and an import of
the part that has it elsewhere; what is taken out of `from FOLDER import MODULE` becomes a name of its own.
"""

import ast
from collections.abc import Iterable, Iterator
from typing import TypeGuard

Function = ast.FunctionDef | ast.Lambda


def bundle(trees: dict[str, ast.Module], parts: dict[str, tuple[str, ...]]) -> dict[str, ast.Module]:
    """The parts by name. parts: for each the modules it is made for, which bring what they import.

    What a part before has is not taken again.
    """
    made: dict[str, list[str]] = {}
    home: dict[str, str] = {}
    for part, roots in parts.items():
        made[part] = []
        for root in roots:
            _gather(root, trees, home, part, made[part])
    names = _unique(trees, home)
    return {part: _join(part, modules, trees, home, names) for part, modules in made.items()}


def reached(trees: dict[str, ast.Module], roots: Iterable[str]) -> set[str]:
    """Modules that are imported sooner or later, by any line of the roots or of what they import."""
    found: set[str] = set()
    left = list(roots)
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            asked = (node for node in ast.walk(trees[module]) if isinstance(node, ast.ImportFrom))
            left += [needed for node in asked for needed in _imported(node, trees)]
    return found


def _gather(module: str, trees: dict[str, ast.Module], home: dict[str, str], part: str, found: list[str]) -> None:
    """The module behind all that it imports when it is loaded."""
    if module in home:
        return
    home[module] = part
    for node in trees[module].body:
        if isinstance(node, ast.ImportFrom):
            for needed in _imported(node, trees):
                _gather(needed, trees, home, part, found)
    found.append(module)


def _imported(node: ast.ImportFrom, trees: dict[str, ast.Module]) -> Iterator[str]:
    """Our own modules that this asks for."""
    base = (node.module or "").replace(".", "/")
    if base in trees:
        yield base
    yield from (f"{base}/{each.name}" for each in node.names if f"{base}/{each.name}" in trees)


def _unique(trees: dict[str, ast.Module], home: dict[str, str]) -> dict[tuple[str, str], str]:
    """What each (module, name) is called in the parts."""
    owners: dict[str, list[str]] = {}
    inner: set[str] = set()  # what functions call their own, where a name that came without its module would be hidden
    for module in home:
        for name in _defined(trees[module].body):
            owners.setdefault(name, []).append(module)
        inner |= {name for node in ast.walk(trees[module]) if isinstance(node, Function) for name in bound(node)}
    taken = {node.attr for module in home for node in ast.walk(trees[module]) if _is_of_name(node)}
    crossing = {each.name for module in home for node in _crossing(module, trees, home) for each in node.names}
    found = {}
    for name, modules in owners.items():
        words = [module.rpartition("/")[2].rpartition("_")[2] for module in modules]
        short = len(set(words)) == len(words)
        for module, word in zip(modules, words, strict=True):
            alone = [home[other] for other in modules].count(home[module]) == 1
            clash = not alone or (len(modules) > 1 and name in crossing | taken) or (name in inner and name in taken)
            found[module, name] = f"{name}_{word if short else module.rpartition('/')[2]}" if clash else name
    return found


def _crossing(module: str, trees: dict[str, ast.Module], home: dict[str, str]) -> Iterator[ast.ImportFrom]:
    """Imports at a module's top from another part."""
    for node in trees[module].body:
        if isinstance(node, ast.ImportFrom):
            base = (node.module or "").replace(".", "/")
            if base in trees and home.get(base) != home[module]:
                yield node


def _is_of_name(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """Whether this may be MODULE.NAME."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id != "self"


def _defined(body: list[ast.stmt]) -> set[str]:
    """Names that a module defines itself; not what it imports."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            found |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not _is_read(each)}
    return found


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _join(
    part: str,
    modules: list[str],
    trees: dict[str, ast.Module],
    home: dict[str, str],
    names: dict[tuple[str, str], str],
) -> ast.Module:
    imports: dict[str, set[tuple[str, str | None]]] = {}
    body: list[ast.stmt] = []
    for module in modules:
        own = {name: called for (where, name), called in names.items() if where == module}
        renamer = _Renamer(part, own, trees, home, names)
        tree = renamer.visit(trees[module])
        for node in [*renamer.wanted, *tree.body]:
            if isinstance(node, ast.Import | ast.ImportFrom):
                where = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                imports.setdefault(where, set()).update((each.name, each.asname) for each in node.names)
            else:
                body.append(node)
    return ast.Module([*_merged(imports), *body], [])


def _merged(imports: dict[str, set[tuple[str, str | None]]]) -> Iterator[ast.stmt]:
    """One statement for each module, "" standing for plain imports."""
    for where, wanted in imports.items():
        names = [ast.alias(*each) for each in sorted(wanted, key=str)]
        yield ast.ImportFrom(where, names, 0) if where else ast.Import(names)


class _Renamer(ast.NodeTransformer):
    """One module's tree as it stands in its part. known: what its names at the top are called there."""

    def __init__(
        self,
        part: str,
        known: dict[str, str],
        trees: dict[str, ast.Module],
        home: dict[str, str],
        names: dict[tuple[str, str], str],
    ) -> None:
        self.part = part
        self.known = known
        self.modules: dict[str, str] = {}
        self.wanted: list[ast.ImportFrom] = []  # for what is taken out of modules of other parts
        self.trees, self.home, self.names = trees, home, names
        self.hidden: list[set[str]] = []  # names that a function around has as its own

    def is_own(self, name: str) -> bool:
        return any(name in each for each in self.hidden)

    def called(self, name: str) -> str:
        return name if self.is_own(name) else self.known.get(name, name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        if not list(_imported(node, self.trees)):
            return node
        base = (node.module or "").replace(".", "/")
        made: list[ast.stmt] = []
        for each in node.names:
            shown = each.asname or each.name
            if base in self.trees and base not in self.home:
                raise ValueError(f"{base} is in no part, but asked for by {self.part}")
            if f"{base}/{each.name}" in self.trees:
                if self.hidden:
                    raise ValueError(f"{self.part}: import from {each.name} by name, inside of a function")
                self.modules[shown] = f"{base}/{each.name}"
            elif self.hidden:
                made += self._local_import(base, self.names[base, each.name], shown)
            else:
                called = self.known[shown] = self.names[base, each.name]
                if self.home[base] != self.part:
                    made.append(self._import(base, called, called))
        return made

    def _local_import(self, base: str, called: str, shown: str) -> Iterator[ast.stmt]:
        """Inside of a function the name stays what it was: two branches may take it from different places."""
        if self.home[base] != self.part:
            yield self._import(base, called, shown)
        elif called != shown:
            yield ast.Assign([ast.Name(shown, ast.Store())], ast.Name(called, ast.Load()))

    def _import(self, base: str, called: str, shown: str) -> ast.ImportFrom:
        name = ast.alias(called) if called == shown else ast.alias(called, shown)
        return ast.ImportFrom(self.home[base].replace("/", "."), [name], 0)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self.modules and not self.is_own(node.value.id):
            module = self.modules[node.value.id]
            called = self.names[module, node.attr]
            if self.home[module] != self.part:
                self.wanted.append(self._import(module, called, called))
            return ast.Name(called, node.ctx)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.called(node.id), node.ctx)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """What stands in a class is its own there, and for its methods nothing."""
        node.name = self.called(node.name)
        node.bases = [self.visit(base) for base in node.bases]
        attributes = _defined(node.body)
        for at, child in enumerate(node.body):
            if isinstance(child, ast.FunctionDef):
                self._visit_function(child)
            else:
                self.hidden.append(attributes)
                node.body[at] = self.visit(child)
                self.hidden.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = self.called(node.name)
        self._visit_function(node)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        self._visit_function(node)
        return node

    def _visit_function(self, node: Function) -> None:
        self.hidden.append(bound(node))
        self.generic_visit(node)
        self.hidden.pop()


def bound(function: Function) -> set[str]:
    """Names that are a function's own; a comprehension's belong to the function around it, too."""
    found, shared = set(), set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and not _is_read(node):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ExceptHandler) and node is not function and node.name:
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.Global):
            shared |= set(node.names)
    return found - shared
