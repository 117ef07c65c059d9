"""Devices under the real MicroPython, each a process with the heap of a small board, against a real hub over TLS."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/hub"))

from compiled import compiled

from hubkit import Caller, Running, running
from toastbox.hub.home import find_folder


class Toaster:
    """One device; folder is what it syncs. modules: a folder with more modules than the program's."""

    def __init__(
        self, hub: Running, folder: Path, name: str, heap: str, modules: Path | None = None, **settings: Any
    ) -> None:
        self.folder = folder
        folder.mkdir()
        place = [str(compiled()), str(folder)]
        micropython = str(Path(sys.executable).with_name("micropython"))
        self._process = subprocess.Popen(
            [micropython, "-X", f"heapsize={heap}", str(Path(__file__).with_name("drive.py")), *place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "MICROPYPATH": f".frozen:{modules}"} if modules else None,
            text=True,
        )
        code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600))
        self.tell(do="pair", code=code, port=hub.port, name=name, settings=settings)

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        while line and line[0] != "{":
            print(line, end="")
            line = self._process.stdout.readline()
        assert line, "the device is dead"
        return json.loads(line)

    def tell(self, **order: Any) -> Any:
        answer = self.ask(**order)
        assert "error" not in answer, answer
        return answer

    def sync(self, **more: Any) -> Any:
        return self.tell(do="sync", **more)

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def files(self) -> dict[str, bytes]:
        found = self.folder.rglob("*")
        names = {str(path.relative_to(self.folder)): path for path in found if path.is_file()}
        return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".toastbox/")}

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "hub", announce=False) as started:
        yield started


@pytest.fixture
def toaster(hub: Running, tmp_path: Path) -> Iterator[Callable[..., Toaster]]:
    made: list[Toaster] = []

    def make(name: str, heap: str = "192k", **settings: Any) -> Toaster:
        made.append(Toaster(hub, tmp_path / name, name, heap, **settings))
        return made[-1]

    yield make
    for device in made:
        device.end()


@pytest.fixture
def caller(hub: Running) -> Iterator[Caller]:
    with_hand = hub.device("hand")
    yield with_hand
    with_hand.close()
