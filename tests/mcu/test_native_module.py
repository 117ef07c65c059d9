"""The native module under the real MicroPython on this machine, and its size on the smallest one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.cross.micropython import native_module
from tools.cross.targets import ROOT

MICROPYTHON = Path(sys.executable).with_name("micropython")
BAR_ARMV6M_BYTES = 2 << 10


def test_module_gives_golden_cuts_in_192_kib(vectors: list[dict[str, Any]], tmp_path: Path) -> None:
    native_module("x64", tmp_path)
    command = [str(MICROPYTHON), "-X", "heapsize=192k", str(ROOT / "tests/mcu/on_board.py"), str(tmp_path), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split("\n")[:-1] == [case["name"] for case in vectors]


def test_module_for_the_smallest_core_is_within_two_kib(tmp_path: Path) -> None:
    size = native_module("armv6m", tmp_path).stat().st_size
    assert 1000 < size <= BAR_ARMV6M_BYTES
