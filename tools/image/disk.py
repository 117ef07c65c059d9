"""The image: a partition table, a FAT with kernel and settings, the root, and the data partition, in one file.

    0         partition table; bytes 440-443 are the disk's number, from the content
    1 MiB     1  FAT     kernel, initramfs, firmware, toastbox.conf
              2  squashfs: the root, read-only
              3  ext4: /data. The first start lets it reach to the end of the card

Partitions begin at whole MiB. mkfs.vfat, mcopy and mke2fs work on files, so no loop device and no root is needed; they
are told the time, the numbers and the seed, so the bytes are always the same.
"""

import os
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MIB = 1 << 20
SECTOR = 512
DATA_LEAST = 64 * MIB
FAT, LINUX = 0x0C, 0x83
ENTRIES, SIGNATURE = 446, b"\x55\xaa"
SPARE = 4 * MIB  # in the FAT, for what a person adds
MOST_CARD_BLOCKS = 1 << 28  # 1 TiB in blocks of 4 KiB: how far the data partition can be grown
JOURNAL_MIB = 16  # with less the kernel refuses to grow it: one step is one transaction


@dataclass(frozen=True)
class Disk:
    """What is to be on it. number: 8 hexadecimal digits. size_bytes: of the image, 0: as small as it can be."""

    number: str
    boot: Mapping[str, bytes]
    root: bytes
    size_bytes: int
    time_s: int


class TooSmall(Exception):
    """The size asked for does not hold what must be on it; carries the least that does."""

    def __init__(self, least_bytes: int) -> None:
        super().__init__(f"the image needs {-(-least_bytes // MIB)} MiB at least: give --size more")


def write(disk: Disk, output: Path) -> None:
    """Make the image. It appears under its name when it is whole."""
    boot_bytes = _whole_mib(sum(map(len, disk.boot.values())) * 33 // 32 + SPARE)
    root_bytes = _whole_mib(len(disk.root))
    starts = (MIB, MIB + boot_bytes, MIB + boot_bytes + root_bytes)
    least = starts[2] + DATA_LEAST
    size = disk.size_bytes // MIB * MIB or least
    if size < least:
        raise TooSmall(least)
    sizes = (boot_bytes, root_bytes, size - starts[2])
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("wb") as file, tempfile.TemporaryDirectory(dir=output.parent) as name:
            file.truncate(size)
            file.write(_table(disk.number, tuple(zip((FAT, LINUX, LINUX), starts, sizes, strict=True))))
            _copy(_fat(disk, boot_bytes, Path(name)), file, starts[0])
            file.seek(starts[1])
            file.write(disk.root)
            _copy(_data(disk, sizes[2], Path(name)), file, starts[2])
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _whole_mib(count: int) -> int:
    return -(-count // MIB) * MIB


def _table(number: str, parts: tuple[tuple[int, int, int], ...]) -> bytes:
    """The first sector. Cylinders and heads are those that say "look at the sectors"."""
    entries = b""
    for at, (kind, start, size) in enumerate(parts):
        flag = 0x80 if at == 0 else 0
        entries += struct.pack(
            "<B3sB3sII", flag, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start // SECTOR, size // SECTOR
        )
    head = bytes(440) + struct.pack("<IH", int(number, 16), 0)
    return head + entries.ljust(64, b"\0") + SIGNATURE


def run(command: list[str], time_s: int) -> None:
    """A tool that makes file systems, with a clock that stands still."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    clock = {"SOURCE_DATE_EPOCH": str(time_s), "E2FSPROGS_FAKE_TIME": str(time_s), "TZ": "UTC"}
    environment = {**os.environ, **clock, "PATH": path, "MTOOLS_SKIP_CHECK": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")


def _fat(disk: Disk, size: int, folder: Path) -> Path:
    path = folder / "boot"
    with path.open("wb") as file:
        file.truncate(size)
    run(["mkfs.vfat", "--invariant", "-i", disk.number, "-n", "TOASTBOX", str(path)], disk.time_s)
    files = folder / "files"
    files.mkdir()
    made = set()
    for name in sorted(disk.boot):
        local = files / name.replace("/", "!")
        local.write_bytes(disk.boot[name])
        os.utime(local, (disk.time_s, disk.time_s))
        above = name.rpartition("/")[0]
        if above and above not in made:
            run(["mmd", "-i", str(path), f"::{above}"], disk.time_s)
            made.add(above)
        run(["mcopy", "-m", "-i", str(path), str(local), f"::{name}"], disk.time_s)
    return path


def _data(disk: Disk, size: int, folder: Path) -> Path:
    path = folder / "data"
    with path.open("wb") as file:
        file.truncate(size)
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"toastbox:{disk.number}"))
    extended = f"hash_seed={name},lazy_itable_init=0,lazy_journal_init=0,resize={MOST_CARD_BLOCKS},root_owner=0:0"
    options = [
        "-b",
        "4096",
        "-i",
        "16384",
        "-m",
        "1",
        "-U",
        name,
        "-L",
        "toastbox",
        "-J",
        f"size={JOURNAL_MIB}",
        "-E",
        extended,
    ]
    run(["mke2fs", "-q", "-t", "ext4", *options, str(path)], disk.time_s)
    return path


def _copy(source: Path, target: BinaryIO, offset: int) -> None:
    """The source's bytes at an offset; blocks of zeros are skipped, as the image has them already."""
    with source.open("rb") as file:
        at = offset
        while block := file.read(MIB):
            if block.count(0) != len(block):
                target.seek(at)
                target.write(block)
            at += len(block)
