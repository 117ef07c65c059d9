"""Images and machines for whole-board tests."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import Guest, Lan
from toastbox import boards
from tools.image.build import Wishes, build
from tools.image.packages import cache_folder

ImageOf = Callable[..., Path]
MIB = 1 << 20


@pytest.fixture(scope="session")
def image_of(tmp_path_factory: pytest.TempPathFactory) -> ImageOf:
    """image_of(board, hub=False): an image, made once a session. One at a time, as they share a cache."""
    folder = tmp_path_factory.mktemp("images")

    def made(name: str, hub: bool = False) -> Path:
        path = folder / f"{name}{'-hub' if hub else ''}.img"
        if not path.exists():
            cache = cache_folder()
            cache.mkdir(parents=True, exist_ok=True)
            with (cache / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                build(boards.load(name), Wishes({}, hub=hub), path, lambda text: None)
        return path

    return made


@pytest.fixture
def lan() -> Iterator[Lan]:
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces and need root: run 'sudo make test'")
    made = Lan()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Callable[..., Guest]]:
    """guests(image, lan, ...) makes one; all are ended."""
    made: list[Guest] = []

    def make(image: Path, lan: Lan | None = None, card_mib: int = 512, memory_mib: int = 0) -> Guest:
        made.append(Guest(image, tmp_path, card_mib * MIB, lan, memory_mib))
        return made[-1]

    yield make
    for guest in made:
        guest.remove()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """programs(command) starts one of this machine; all are ended."""
    started: list[subprocess.Popen[str]] = []

    def start(command: list[str]) -> subprocess.Popen[str]:
        log = (tmp_path / f"program-{len(started)}.log").open("w")
        started.append(subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(30)
