"""What several tests of the device begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local import LocalDevice, LocalHub, Trio


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    hub = LocalHub(tmp_path / "hub")
    yield hub, LocalDevice(hub, tmp_path / "a"), LocalDevice(hub, tmp_path / "b")
    hub.close()
