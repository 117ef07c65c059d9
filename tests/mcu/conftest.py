"""What the tests of the native module and of the emulated microcontrollers share."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def vectors() -> list[dict[str, Any]]:
    """tests/vectors/chunker.json."""
    return json.loads((ROOT / "tests/vectors/chunker.json").read_text())
