"""Puts the names that a module uses most first in its table: a row behind the 128th takes two bytes wherever it stands.

MicroPython gives rows to names in the order in which it meets them, also in code that it leaves out because nothing
gets there.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from keyword import iskeyword

from bundle import bound

ROWS = 126  # of one byte, less the file's name and `<module>`
SHORT = 10  # longer text is no name


def order(tree: ast.Module) -> None:
    """In place."""
    uses = Counter(_uses(tree, set()))
    if len(uses) > ROWS:
        names = ".".join(name for name, _ in uses.most_common(ROWS))
        tree.body[:0] = ast.parse(f"while True:\n    break\n    None.{names}").body


def _uses(node: ast.AST, own: set[str]) -> Iterator[str]:
    """Names as bytecode has them. own: locals of the function around, which have numbers instead."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield from (node.name, node.name)
    elif isinstance(node, ast.arg | ast.keyword):
        yield node.arg or "kwargs"
    elif isinstance(node, ast.Name) and node.id not in own:
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.name
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_name(node.value):
        yield node.value
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        own = own | bound(node)
    for child in ast.iter_child_nodes(node):
        yield from _uses(child, own)


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text) and len(text) <= SHORT
