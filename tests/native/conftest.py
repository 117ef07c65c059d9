"""Shared by the tests of the C core: golden vectors and their inputs."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
sys.path.insert(0, str(VECTORS))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def vectors() -> list[dict[str, Any]]:
    """tests/vectors/chunker.json."""
    return json.loads((VECTORS / "chunker.json").read_text())
