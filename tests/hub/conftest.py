from collections.abc import Iterator
from pathlib import Path

import pytest

import hubkit
from toastbox.hub.home import Home
from toastbox.hub.journal.base import Device
from toastbox.hub.service import HubService


@pytest.fixture
def clock() -> hubkit.Clock:
    return hubkit.Clock()


@pytest.fixture
def home(tmp_path: Path, clock: hubkit.Clock) -> Iterator[Home]:
    home = Home(str(tmp_path / "hub"), clock)
    yield home
    home.close()


@pytest.fixture
def service(home: Home) -> HubService:
    return home.service


@pytest.fixture
def device(service: HubService) -> Device:
    return hubkit.add_device(service)


@pytest.fixture
def other(service: HubService) -> Device:
    return hubkit.add_device(service, "other")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[hubkit.Running]:
    with hubkit.running(tmp_path / "hub", header_timeout_s=1) as running:
        yield running
