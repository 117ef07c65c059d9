"""A board on a cable, and what is started is ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consolekit import BoardProcess, Cable


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def board(tmp_path: Path, cable: Cable) -> Iterator[BoardProcess]:
    """Started, and at its prompt."""
    made = BoardProcess(tmp_path / "board", cable.port)
    made.start()
    try:
        cable.until(b"toastbox> ")
        yield made
    finally:
        assert made.end() == b""
