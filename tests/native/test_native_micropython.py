"""The reference chunker under real MicroPython with a 192 KiB heap."""

import subprocess
import sys
from pathlib import Path
from typing import Any

MICROPYTHON = Path(sys.executable).with_name("micropython")


def run(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(MICROPYTHON), "-X", "heapsize=192k", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=root)


def test_reference_gives_golden_cuts_in_192_kib(root: Path, vectors: list[dict[str, Any]]) -> None:
    result = run(root, "tests/native/micropython_chunker.py", str(root))
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split("\n")[:-1] == [case["name"] for case in vectors]
