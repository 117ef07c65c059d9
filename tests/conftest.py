"""What every part's tests may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A hub that listens on loopback; everything that was started is ended."""
    made = Town(tmp_path)
    try:
        made.start_hub()
        yield made
    finally:
        made.end()
