"""Rules of the repository: imports point one way, files stay small, nothing names the machine it was written on."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "agent" / "toastbox"
MOST_LINES = 500
SUFFIXES = {".py", ".pyi", ".c", ".h", ".md", ".toml", ".sh", ".service", ""}

# What a part of the package may import of the package, besides itself.
EDGES = {"addresses", "announce", "config", "errors", "loading", "neighbours", "quantity"}
ALLOWED = {
    "core": set(),
    "native": {"errors", "_native"},
    "device": {"compression", "core", "native", *EDGES},
    "hub": {"compression", "core", "native", *EDGES},
    "cli": {"core", "native", "device", "hub", "boards", "flash", "output", *EDGES, ""},
    "addresses": set(),
    "announce": {"addresses", "neighbours"},
    "neighbours": set(),
    "boards": {"config", "errors"},
    "compression": {"core"},
    "config": {"core", "quantity", "errors"},
    "flash": {"errors", "quantity"},
    "errors": set(),
    "loading": set(),
    "output": {"quantity"},
    "quantity": set(),
}
# The standard library that MicroPython shares; core has nothing else.
SHARED = {"array", "binascii", "collections", "hashlib", "io", "json", "math", "struct", "sys"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from running(child)


def imports(path: Path, nodes: Callable[[ast.AST], Iterator[ast.AST]] = ast.walk) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of a file, those inside functions included."""
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            if node.module == "toastbox":
                yield from ((node.lineno, f"toastbox.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def tracked() -> list[Path]:
    """Every file of the repository that git knows or would know."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return
    for line, module in imports(path):
        if module == "toastbox" or module.startswith("toastbox."):
            target = [*module.split("."), ""][1]
            if target == "__version__" and part != "core":
                continue  # a constant that imports nothing
            assert target in ALLOWED[part] | {part}, f"{path}:{line}: {part} must not import {module}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.name)
def test_core_imports_what_micropython_has(path: Path) -> None:
    for line, module in imports(path, running):
        assert module.split(".")[0] in SHARED | {"toastbox"}, f"{path}:{line}: core must not import {module}"


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports them by name, from folders that are no packages."""
    names = [path.name for path in tracked() if path.name.startswith("test_")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_files_stay_small() -> None:
    text = [path for path in tracked() if path.suffix in SUFFIXES and path.name != "LICENSE"]
    long = {str(path): count for path in text if (count := len(path.read_text().splitlines())) > MOST_LINES}
    assert not long


def test_nothing_names_the_machine_it_was_written_on() -> None:
    private = re.compile("|".join(["/work" + "/", "/home/" + r"(?!\w*USER)\w", "/root" + "/", r"\.py" + "env/"]))
    for path in tracked():
        if path.suffix in SUFFIXES:
            found = private.search(path.read_text())
            assert not found, f"{path} names {found.group()!r}"


def test_every_module_says_what_it_is() -> None:
    for path in sources():
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree) or not tree.body, f"{path} has no docstring"
