"""A fresh ext4 in a loop file for each side of each run.

On a file system that was used before, the same rsync took six times as long: ext4 looks for free inodes
past all those just deleted. A file system of one's own also makes the block device's counters the whole
truth about what one side wrote, database, journal and metadata included.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.errors import BenchError

IMAGE_BYTES = 4 << 30  # sparse: only what a run writes takes room
FILE_BYTES = 6 << 10  # a block and an inode, and some of the folder
MANY_FILES = 100_000  # more than this need more inodes than ext4 makes by itself
SECTOR_BYTES = 512  # the unit of /sys/block/*/stat, whatever the device (kernel, block/stat.rst)
UMOUNT_TRIES = 20


@dataclass(frozen=True)
class Disk:
    """A mounted file system on a loop device."""

    mount: Path
    device: str

    def written_bytes(self) -> int:
        """Bytes that reached the block device so far, after what is still in memory was pushed out."""
        subprocess.run(["sync", "--file-system", str(self.mount)], check=True)
        fields = Path("/sys/block", Path(self.device).name, "stat").read_text().split()
        return int(fields[6]) * SECTOR_BYTES


@contextmanager
def fresh_disk(work: Path, name: str, files: int = 0) -> Iterator[Disk]:
    """Makes, mounts and in the end removes one file system with room for so many small files; needs root."""
    image = work / f"{name}.img"
    mount = work / name
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES + files * FILE_BYTES)
    inodes = ("-N", str(files + files // 4)) if files > MANY_FILES else ()
    try:
        # Tables are written now, not by a kernel thread while the run is measured.
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", *inodes, str(image))
        device = _run("losetup", "--find", "--show", str(image)).strip()
        try:
            yield from _mounted(device, mount)
        finally:
            _run("losetup", "--detach", device)
    finally:
        image.unlink()
        mount.rmdir()


def _mounted(device: str, mount: Path) -> Iterator[Disk]:
    _run("mount", device, str(mount))
    try:
        yield Disk(mount, device)
    finally:
        _unmount(mount)


def _unmount(mount: Path) -> None:
    """A process just ended may hold its last file for a moment."""
    for _ in range(UMOUNT_TRIES):
        if subprocess.run(["umount", str(mount)], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.25)
    _run("umount", str(mount))


def _run(*argv: str) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def require_root() -> None:
    """Loop devices and mounts need it: said at once, not after the first minute."""
    if os.geteuid() != 0:
        raise BenchError("run the benchmark as root: each side gets a file system in a loop file")
