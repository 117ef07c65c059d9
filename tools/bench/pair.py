"""Two devices kept equal by a program under test: what a session needs to know of any of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tools.bench.disks import Disk, fresh_disk
from tools.bench.procs import Processes
from tools.bench.wire import Relay


@dataclass
class Side:
    """One device: its file system, the folder that is kept equal, its program's process id once started."""

    name: str
    disk: Disk
    pid: int = 0

    @property
    def folder(self) -> Path:
        """The folder kept equal."""
        return self.disk.mount / "folder"

    @property
    def home(self) -> Path:
        """Where the program keeps what is not in the folder; the same disk, as on a board."""
        return self.disk.mount / "home"

    @property
    def desk(self) -> Path:
        """A place on the same file system, outside the folder, from which files are moved in whole."""
        return self.disk.mount / "desk"


@dataclass
class Pair(ABC):
    """Two sides, perhaps a third program between them. `legs`: the relays that count, none when direct."""

    a: Side
    b: Side
    processes: Processes
    legs: dict[str, Relay] = field(default_factory=dict)

    @abstractmethod
    def start_receiver(self) -> None:
        """Starts everything but A's program, and returns when it is ready."""

    @abstractmethod
    def start_sender(self) -> None:
        """Starts A's program; does not wait for it."""

    @abstractmethod
    def between(self) -> dict[str, int]:
        """Process ids, by name, of programs that run between A and B."""


class System(Protocol):
    """Opens a fresh pair below a working folder; legs are counted when `relayed`."""

    def __call__(self, work: Path, relayed: bool) -> AbstractContextManager[Pair]: ...


@contextmanager
def two_sides(work: Path, stack: ExitStack, files: int = 0) -> Iterator[tuple[Side, Side, Processes]]:
    """Disks for A and B and a process list. Programs end before their disks are unmounted. files: see fresh_disk."""
    a, b = (Side(name, stack.enter_context(fresh_disk(work, name, files))) for name in ("a", "b"))
    for side in (a, b):
        for place in (side.folder, side.home, side.desk):
            place.mkdir()
    with Processes(work) as processes:
        yield a, b, processes
