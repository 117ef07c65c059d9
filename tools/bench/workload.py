"""The work: a tree of small files, one large file and two edits of it, all from a seed.

Contents are made and written piece by piece, so that the generator's memory stays flat; the manifest holds
names and sizes only. Contents are incompressible, as photographs are, and no two files are alike.
"""

import hashlib
import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 20110311
MEDIAN_BYTES = 4096
PIECE_BYTES = 1 << 20
TOP_FOLDERS = 10
SUB_FOLDERS = 20


@dataclass(frozen=True)
class Scale:
    """How much work. The mean size is total_bytes / files; with the median it fixes the spread."""

    files: int
    total_bytes: int
    large_bytes: int
    overwrites: int
    latency_files: int
    idle_s: float
    saves_s: float
    rest_s: float
    hashed_bytes: int

    @property
    def sigma(self) -> float:
        """Of the log-normal: mean = median * exp(sigma^2 / 2)."""
        return math.sqrt(2 * math.log(self.total_bytes / self.files / MEDIAN_BYTES))


FULL = Scale(20_000, 136_000_000, 256 << 20, 100, 30, 60.0, 10.0, 600.0, 4 << 30)
QUICK = Scale(2_000, 13_600_000, 32 << 20, 100, 10, 10.0, 2.0, 60.0, 256 << 20)


@dataclass(frozen=True)
class Manifest:
    """What a folder must hold: relative names with sizes, in the order they were made."""

    sizes: dict[str, int]

    @property
    def total_bytes(self) -> int:
        """Sum of all sizes."""
        return sum(self.sizes.values())


def fill_tree(root: Path, scale: Scale, seed: int = SEED) -> Manifest:
    """Writes the small files into a two-level tree below root, and to its disk: what the kernel still owed for that
    would be paid while something else is measured.
    """
    source = random.Random(seed)
    sizes: dict[str, int] = {}
    for number in range(scale.files):
        folder = number * TOP_FOLDERS * SUB_FOLDERS // scale.files
        top, sub = divmod(folder, SUB_FOLDERS)
        name = f"album-{top:02}/day-{sub:02}/img_{number:06}.jpg"
        size = max(1, round(source.lognormvariate(math.log(MEDIAN_BYTES), scale.sigma)))
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_random(path, size, source)
        sizes[name] = size
    os.sync()
    return Manifest(sizes)


def write_random(path: Path, size_bytes: int, source: random.Random) -> None:
    """Writes incompressible bytes, a piece at a time."""
    with path.open("wb") as file:
        for start in range(0, size_bytes, PIECE_BYTES):
            file.write(source.randbytes(min(PIECE_BYTES, size_bytes - start)))


def insert_byte(source: Path, target: Path, offset: int = 1000) -> None:
    """Copies source to target with one byte inserted at the offset."""
    with source.open("rb") as old, target.open("wb") as new:
        new.write(old.read(offset) + b"!")
        while piece := old.read(PIECE_BYTES):
            new.write(piece)


def overwrite(path: Path, count: int, seed: int = SEED) -> None:
    """Overwrites `count` random pieces of 4 KiB in place."""
    source = random.Random(seed + 1)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(count):
            file.seek(source.randrange(size - 4096))
            file.write(source.randbytes(4096))


def digest(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digests(root: Path, private: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Name and digest (or link target) of every file below root, sorted; not of top-level names `private`."""
    for folder, subfolders, files in os.walk(root):
        if Path(folder) == root:
            subfolders[:] = [name for name in subfolders if name not in private]
        subfolders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            content = f"link to {path.readlink()}" if path.is_symlink() else digest(path)
            yield str(path.relative_to(root)), content
