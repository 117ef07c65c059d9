"""Puts functions that are called at one place only where they are called.

Short functions are for who reads the sources; on a board each costs a hundred bytes of heap and thirty of flash.

    return f(x)       the body stands there, with its returns
    y = f(x), f(x), if f(x):, and whatever else does f(x) first
                      the body, if each of its returns ends it: `y = VALUE` takes their places
    anywhere          VALUE, if the body is `return VALUE` and asks for its arguments once, or they are names

A function stays when it is asked for by text or from outside, when more than one has its name, when it is decorated, a
generator, or has functions in it. Callees come before callers, so what is put somewhere has nothing left to be put in:
locals of one can take the places of another's, which are never read again.
"""

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bundle import bound

Owner = ast.Module | ast.ClassDef
NESTED = (ast.FunctionDef, ast.Lambda, ast.ClassDef)
UNFIT = (*NESTED, ast.Yield, ast.YieldFrom, ast.GeneratorExp, ast.Global, ast.Nonlocal)
LAZY = (ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.ListComp, ast.SetComp, ast.DictComp)
TWICE = 2  # is what an expression may be asked for, instead of being kept
MOVED = "__"  # begins the names of locals that came with a body
Instead = Callable[[ast.expr | None], list[ast.stmt]]


@dataclass
class Place:
    """A function, where it is defined, and in which module."""

    node: ast.FunctionDef
    owner: Owner
    tree: ast.Module


def inline(trees: dict[str, ast.Module], roots: Iterable[str]) -> None:
    """In place. roots: names that are asked for from outside."""
    callees = _called_once(trees, set(roots))
    steady = _steady(trees)
    done: set[int] = set()
    for tree in trees.values():
        for owner in _owners(tree):
            for node in list(owner.body):
                if isinstance(node, ast.FunctionDef):
                    _flatten(Place(node, owner, tree), callees, steady, done)


def _owners(tree: ast.Module) -> list[Owner]:
    return [tree, *[node for node in tree.body if isinstance(node, ast.ClassDef)]]


def _steady(trees: dict[str, ast.Module]) -> set[str]:
    """Methods that nobody replaces, as `self.NAME`: to look one up early or late is the same."""
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    stored = {node.attr for node in nodes if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)}
    methods = {node.name for node in nodes if isinstance(node, ast.FunctionDef) and not node.decorator_list}
    return {f"self.{name}" for name in methods - stored}


def _called_once(trees: dict[str, ast.Module], kept: set[str]) -> dict[str, Place]:
    uses: Counter[str] = Counter()
    defined: Counter[str] = Counter()
    found = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            uses.update(_names(node))
            if isinstance(node, ast.FunctionDef):
                defined[node.name] += 1
        for owner in _owners(tree):
            found |= {node.name: Place(node, owner, tree) for node in owner.body if isinstance(node, ast.FunctionDef)}
    return {
        name: callee
        for name, callee in found.items()
        if uses[name] == 1 == defined[name] and name not in kept and name[:2] != "__" and _is_fit(callee.node)
    }


def _names(node: ast.AST) -> Iterator[str]:
    """Names that a node asks for, also by text."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.name
    elif isinstance(node, ast.keyword):
        yield node.arg or ""
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (node.value, "_" + node.value)


def _is_fit(function: ast.FunctionDef) -> bool:
    arguments = function.args
    plain = not (function.decorator_list or arguments.vararg or arguments.kwarg or arguments.kwonlyargs)
    parts = [part for statement in function.body for part in ast.walk(statement)]
    return plain and not any(isinstance(part, UNFIT) for part in parts)


def _flatten(caller: Place, callees: dict[str, Place], steady: set[str], done: set[int]) -> None:
    """Put into a function what can be, and before that into what is to be put there."""
    if id(caller.node) in done:
        return
    done.add(id(caller.node))
    for call in [node for node in ast.walk(caller.node) if isinstance(node, ast.Call)]:
        callee = callees.get(_called(call))
        if callee is None or callee.node is caller.node or not _is_meant(call, caller, callee):
            continue
        _flatten(callee, callees, steady, done)
        if _put(call, caller.node, callee.node, steady):
            callee.owner.body.remove(callee.node)
            callee.owner.body = callee.owner.body or [ast.Pass()]


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _is_meant(call: ast.Call, caller: Place, callee: Place) -> bool:
    """Whether the call is surely of this function: of the same module, or of self."""
    if isinstance(call.func, ast.Name):
        return callee.owner is caller.tree and call.func.id not in bound(caller.node)
    own = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "self"
    return own and callee.owner is caller.owner is not caller.tree


# --- one call


def _put(call: ast.Call, caller: ast.FunctionDef, callee: ast.FunctionDef, steady: set[str]) -> bool:
    """Whether the call has been replaced."""
    given = _given(call, callee)
    body = _without_docstring(callee.body)
    own = bound(callee)
    free = {node.id for part in body for node in ast.walk(part) if isinstance(node, ast.Name)} - own
    if given is None or free & bound(caller):
        return False
    if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
        value = _value(body[0].value, given)
        if value is not None:
            _Replacer(call, value).visit(caller)
            return True
    for node in [node for block in _blocks(caller) for node in block if isinstance(node, ast.If)]:
        _split(node, call)
    for block in _blocks(caller):
        for at, node in enumerate(block):
            slot = _slot(node)
            value = getattr(node, slot) if slot else None
            if value is not None and _is_first(value, call, steady):
                lines = _moved(node, slot, call, callee, given, body)
                if lines is None:
                    return False
                block[at : at + 1] = lines or [ast.Pass()]
                return True
    return False


def _given(call: ast.Call, callee: ast.FunctionDef) -> dict[str, ast.expr] | None:
    """The value of each argument; None: that is not to be seen here."""
    names = [each.arg for each in callee.args.args]
    values: list[ast.expr] = [*([call.func.value] if isinstance(call.func, ast.Attribute) else []), *call.args]
    if any(isinstance(value, ast.Starred) for value in values) or any(each.arg is None for each in call.keywords):
        return None
    defaults = callee.args.defaults
    found: dict[str, ast.expr] = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    found |= dict(zip(names, values, strict=False)) | {each.arg: each.value for each in call.keywords if each.arg}
    return {name: found[name] for name in names} if set(found) == set(names) else None


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    has = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if has else body


def _is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Constant)


# --- a body that is one expression


def _value(value: ast.expr, given: dict[str, ast.expr]) -> ast.expr | None:
    """The expression with arguments in their places; None: something would be done twice, not, or in another order."""
    nodes = list(ast.walk(value))
    asked = Counter(node.id for node in nodes if isinstance(node, ast.Name))
    made = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    if made & {name for each in given.values() for name in _loads(each)}:
        return None
    if sum(_has(each, ast.Call) for each in given.values()) > 1:
        return None
    for name, each in given.items():
        if _is_plain(each):
            continue
        elsewhere = any(isinstance(node, ast.Call) and name not in _loads(node) for node in nodes)
        if _has(each, ast.Call) and (asked[name] != 1 or elsewhere or any(isinstance(node, LAZY) for node in nodes)):
            return None
        if _has(each, ast.Attribute, ast.Subscript) and (asked[name] > 1 or elsewhere):
            return None
        if asked[name] > TWICE:
            return None
    renamed: ast.expr = _Renamer({}, given).visit(copy.deepcopy(value))
    return renamed


def _has(node: ast.AST, *kinds: type[ast.AST]) -> bool:
    return any(isinstance(part, kinds) for part in ast.walk(node))


def _loads(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


# --- a body of statements


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every list of statements in a function, not of functions in it."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block
            for each in block:
                if not isinstance(each, NESTED):
                    yield from _blocks(each)
    for handler in getattr(node, "handlers", ()):
        yield from _blocks(handler)


def _split(node: ast.If, call: ast.Call) -> None:
    """Make `if A and CALL:` one `if` in another, where there is no `else`."""
    test = node.test
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and not node.orelse:
        at = next((at for at, value in enumerate(test.values) if at and _has_node(value, call)), 0)
        if at:
            node.test, node.body = _all(test.values[:at]), [ast.If(_all(test.values[at:]), node.body, [])]


def _has_node(node: ast.AST, wanted: ast.AST) -> bool:
    return any(part is wanted for part in ast.walk(node))


def _all(values: list[ast.expr]) -> ast.expr:
    return values[0] if len(values) == 1 else ast.BoolOp(ast.And(), values)


def _slot(node: ast.stmt) -> str:
    """The attribute that has the expression which a statement begins with."""
    if isinstance(node, ast.AugAssign):
        return "value" if isinstance(node.target, ast.Name) else ""
    for kinds, name in (
        (ast.Return | ast.Expr | ast.Assign, "value"),
        (ast.If, "test"),
        (ast.For, "iter"),
        (ast.Raise, "exc"),
    ):
        if isinstance(node, kinds):
            return name
    return ""


def _is_first(node: ast.expr, call: ast.Call, steady: set[str]) -> bool:
    """Whether the call is the first thing that an expression does, and is always done."""
    if node is call:
        return True
    parts: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.BoolOp):
        parts = node.values[:1]
    elif isinstance(node, ast.IfExp):
        parts = [node.test]
    elif isinstance(node, ast.Compare):
        parts = [node.left, node.comparators[0]]
    elif isinstance(node, ast.Dict | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return False
    for part in parts:
        part = part.value if isinstance(part, ast.keyword) else part
        if isinstance(part, ast.expr) and _has_node(part, call):
            return _is_first(part, call, steady)
        if isinstance(part, ast.expr) and (not _is_plain(part) or _is_moved(part)) and ast.unparse(part) not in steady:
            return False
    return False


def _is_moved(node: ast.AST) -> bool:
    """Whether another body that comes before could change this."""
    return isinstance(node, ast.Name) and node.id.startswith(MOVED)


def _moved(
    node: ast.stmt, slot: str, call: ast.Call, callee: ast.FunctionDef, given: dict[str, ast.expr], body: list[ast.stmt]
) -> list[ast.stmt] | None:
    """The statement with the callee's body instead of the call; None: its returns are not where it ends."""
    lines, result = _own_copy(callee, given, body)
    whole = getattr(node, slot) is call
    if whole and isinstance(node, ast.Return):
        return lines if _ends(lines) else [*lines, ast.Return(None)]
    if whole and isinstance(node, ast.Expr):
        return _ended(lines, lambda value: [] if value is None or _is_plain(value) else [ast.Expr(value)])
    if whole and isinstance(node, ast.Assign):
        return _ended(lines, lambda value: [ast.Assign(copy.deepcopy(node.targets), value or ast.Constant(None))])
    if isinstance(lines[-1], ast.Return) and lines[-1].value and not any(map(_returns, lines[:-1])):
        _Replacer(call, lines[-1].value).visit(node)
        return [*lines[:-1], node]
    settled = _ended(lines, lambda value: [ast.Assign([ast.Name(result, ast.Store())], value or ast.Constant(None))])
    if settled is not None:
        _Replacer(call, ast.Name(result, ast.Load())).visit(node)
        settled.append(node)
    return settled


def _own_copy(callee: ast.FunctionDef, given: dict[str, ast.expr], body: list[ast.stmt]) -> tuple[list[ast.stmt], str]:
    """(the body with names that no caller has, a name for the result). Arguments come first, if they are no names."""
    own = bound(callee)
    changed = {
        node.id
        for part in body
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    put = {name: value for name, value in given.items() if _is_plain(value) and name not in changed}
    names = {name: f"{MOVED}{number}" for number, name in enumerate(sorted(own - set(put)))}
    first: list[ast.stmt] = [
        ast.Assign([ast.Name(names[name], ast.Store())], value) for name, value in given.items() if name not in put
    ]
    renamer = _Renamer(names, put)
    return [*first, *[renamer.visit(copy.deepcopy(part)) for part in body]], f"{MOVED}{len(names)}"


def _returns(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Return) for part in ast.walk(node))


def _ends(body: list[ast.stmt]) -> bool:
    """Whether nothing gets behind these."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _ends(last.body) and _ends(last.orelse)
    return isinstance(last, ast.Return | ast.Raise)


def _ended(body: list[ast.stmt], instead: Instead) -> list[ast.stmt] | None:
    """The same without returns; None: one is in a loop."""
    return _settled(body, instead) or _looped(body, instead)


def _looped(body: list[ast.stmt], instead: Instead) -> list[ast.stmt] | None:
    """In a loop that is gone through once, which a return leaves."""
    loops = [part for node in body for part in ast.walk(node) if isinstance(part, ast.For | ast.While)]
    if any(map(_returns, loops)):
        return None
    end = [] if _ends(body) else [*instead(None), ast.Break()]
    lines = ast.Module([copy.deepcopy(node) for node in body], [])
    return [ast.While(ast.Constant(True), _Breaker(instead).visit(lines).body + end, [])]


def _settled(body: list[ast.stmt], instead: Instead) -> list[ast.stmt] | None:
    """The same without returns: what is behind one that may be left out goes into `else`. None: one is in a loop."""
    for at, node in enumerate(body):
        if isinstance(node, ast.Return):
            return body[:at] + instead(node.value)
        if isinstance(node, ast.If) and _returns(node):
            return _settled_if(node, body[at + 1 :], body[:at], instead)
        if isinstance(node, ast.Try) and _returns(node) and not node.finalbody:
            return _settled_try(node, body[at + 1 :], body[:at], instead)
        if _returns(node):
            return None
    return body if body and isinstance(body[-1], ast.Raise) else body + instead(None)


def _settled_if(node: ast.If, rest: list[ast.stmt], before: list[ast.stmt], instead: Instead) -> list[ast.stmt] | None:
    then, other = node.body, node.orelse
    if _ends(then):
        other = other + rest
    elif other and _ends(other):
        then = then + rest
    elif rest:
        return None
    one, two = _settled(then, instead), _settled(other, instead)
    if one is None or two is None:
        return None
    if not one and two:
        return [*before, ast.If(ast.UnaryOp(ast.Not(), node.test), two, [])]
    return [*before, ast.If(node.test, one or [ast.Pass()], two)]


def _settled_try(
    node: ast.Try, rest: list[ast.stmt], before: list[ast.stmt], instead: Instead
) -> list[ast.stmt] | None:
    """Only where nothing but its handlers have returns: what is behind it goes into `else`."""
    if any(map(_returns, node.body)) or not all(_ends(handler.body) for handler in node.handlers):
        return None
    blocks = [_settled(block, instead) for block in (node.orelse + rest, *[each.body for each in node.handlers])]
    if any(block is None for block in blocks):
        return None
    other, *handled = blocks
    handlers = [
        ast.ExceptHandler(each.type, each.name, lines or [ast.Pass()])
        for each, lines in zip(node.handlers, handled, strict=True)
    ]
    return [*before, ast.Try(node.body, handlers, other or [], [])]


class _Renamer(ast.NodeTransformer):
    """names: locals by their new names; put: what stands for an argument."""

    def __init__(self, names: dict[str, str], put: dict[str, ast.expr]) -> None:
        self.names, self.put = names, put

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.put:
            return copy.deepcopy(self.put[node.id])
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name) if node.name else None
        return node

    def visit_alias(self, node: ast.alias) -> ast.alias:
        shown = node.asname or node.name
        return ast.alias(node.name, self.names[shown]) if shown in self.names else node


class _Breaker(ast.NodeTransformer):
    def __init__(self, instead: Instead) -> None:
        self.instead = instead

    def visit_Return(self, node: ast.Return) -> list[ast.stmt]:
        return [*self.instead(node.value), ast.Break()]


class _Replacer(ast.NodeTransformer):
    def __init__(self, call: ast.Call, value: ast.expr) -> None:
        self.call, self.value = call, value

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if node is self.call:
            return self.value
        self.generic_visit(node)
        return node
