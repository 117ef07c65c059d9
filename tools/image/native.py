"""Python for the board: our package, what it needs of this machine's site-packages, all compiled, and the C core."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tools.cross.extension import build
from tools.image.packages import PYTHON
from tools.image.tree import Tree

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agent" / "toastbox"
SITE = "usr/lib/python3/dist-packages"
# Pure Python that Debian 12 does not have, or has too old. aiohttp and its friends run without their C parts.
AGENT_SITE = ("microdot",)
HUB_SITE = (
    "aiohttp aiohappyeyeballs aiosignal attr attrs frozenlist idna multidict propcache yarl typing_extensions".split()
)
UNWANTED = ("test_client.py", "py.typed")

# Compiled in one go, in order, by a process that has done nothing else: what marshal writes depends on what the process
# has seen. Unchecked: nothing is compared with a source at import. Without docstrings and columns: 1 MB less in memory.
COMPILER = """
import importlib._bootstrap_external as pyc, sys
for line in sys.stdin:
    source, name, target = line.rstrip("\\n").split("\\0")
    with open(source, "rb") as file:
        code = compile(file.read(), "/" + name, "exec", dont_inherit=True, optimize=2)
    with open(target, "wb") as file:
        file.write(pyc._code_to_hash_pyc(code, bytes(8), False))
"""


class NoPython(Exception):
    """This machine has no Python of the board's version; the text says what to do."""


def interpreter() -> str:
    """A Python whose compiled files the board's can read."""
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        return sys.executable
    found = shutil.which(f"python{PYTHON}")
    if not found:
        raise NoPython(f"compiling for the board needs Python {PYTHON}: install python{PYTHON}-minimal")
    return found


def add_package(tree: Tree, folder: Path, leave_out: tuple[str, ...] = ()) -> None:
    """A package's own sources and data, as they are on this machine."""
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).as_posix()
        top = inner.split("/")[0]
        if path.suffix in (".py", ".toml") and top not in leave_out and path.name not in UNWANTED:
            tree.file(f"{SITE}/{folder.name}/{inner}", path.read_bytes())


def add_site(tree: Tree, names: tuple[str, ...] | list[str]) -> None:
    """Packages of this machine's Python."""
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise NoPython(f"{name} is not installed here: run 'make setup', then .venv/bin/toastbox image")
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            add_package(tree, origin.parent)
        else:
            tree.file(f"{SITE}/{origin.name}", origin.read_bytes())


def add_toastbox(tree: Tree, architecture: str, hub: bool, cache: Path) -> None:
    """The agent, its C core for the board, and what it imports."""
    add_package(tree, PACKAGE, () if hub else ("hub",))
    add_site(tree, [*AGENT_SITE, *(HUB_SITE if hub else ())])
    with tempfile.TemporaryDirectory() as name:
        made = build(architecture, Path(name), cache)
        tree.file(f"{SITE}/toastbox/{made.name}", made.read_bytes(), 0o755)


def compile_all(tree: Tree, cache: Path) -> None:
    """Every .py becomes a .pyc in its place. The result is kept: most of it is Python's own library."""
    sources = tree.find("usr/lib/python3*.py")
    python = interpreter()
    for group in (f"usr/lib/python{PYTHON}/", f"{SITE}/"):
        _compile_group(tree, [path for path in sources if path.startswith(group)], python, cache)


def _compile_group(tree: Tree, paths: list[str], python: str, cache: Path) -> None:
    digest = hashlib.sha256(json.dumps([COMPILER, python]).encode())
    for path in paths:
        digest.update(f"\0{path}\0".encode() + tree.nodes[path].data)
    kept = cache / "compiled" / digest.hexdigest()
    if not kept.is_dir():
        _compile_into(kept, tree, paths, python)
    for path in paths:
        del tree.nodes[path]
        tree.file(f"{path}c", (kept / path.replace("/", "!")).read_bytes())


def _compile_into(kept: Path, tree: Tree, paths: list[str], python: str) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as name:
        output = Path(name) / "made"
        output.mkdir()
        lines = []
        for number, path in enumerate(paths):
            source = Path(name) / f"{number}.py"
            source.write_bytes(tree.nodes[path].data)
            lines.append(f"{source}\0{path}\0{output / path.replace('/', '!')}\n")
        command = [python, "-I", "-S", "-X", "no_debug_ranges", "-W", "ignore", "-c", COMPILER]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run(command, input="".join(lines), text=True, env=environment, check=True, timeout=600)
        if not kept.is_dir():
            output.rename(kept)
