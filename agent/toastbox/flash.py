"""Writing an image onto a card: what must be refused, the writing, and reading it back.

The first block, which has the partition table, is written last, when all else is on the card: a card whose writing was
cut short does not look like one that is whole. Then everything is read back, past the system's cache, and compared by
its hash. What is refused is decided by `objection`, from what `inspect` found.
"""

import errno
import fcntl
import hashlib
import lzma
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from toastbox.errors import DeviceFailing, DeviceFull, SafetyRefused, ToastboxError, WrongUse
from toastbox.quantity import show_bytes

BLOCK = 1 << 20
SECTOR = 512  # of sysfs, whatever the disk has
FLUSH_BUFFERS = 0x1261  # BLKFLSBUF of linux/fs.h
XZ_MAGIC, XZ_FOOTER = b"\xfd7zXZ\0", b"YZ"
TABLE_END = b"\x55\xaa"
MAX_INDEX = 16 << 20

Show = Callable[[str, int, int], None]  # what is being done, bytes done, bytes in all


@dataclass(frozen=True)
class Target:
    """What is to be written. size_bytes: 0 for a file that can grow. used_by: mount points and other uses."""

    path: str
    is_disk: bool
    size_bytes: int = 0
    removable: bool = False
    whole: bool = True
    used_by: tuple[str, ...] = ()


def objection(target: Target, needed_bytes: int, again: str | None) -> ToastboxError | None:
    """Why this must not be written; None: it may. again: the target's name as it was typed a second time."""
    if target.used_by:
        uses = ", ".join(target.used_by)
        return SafetyRefused(f"{target.path} is in use ({uses}): unmount it, if it really is the card")
    if not target.whole:
        return WrongUse(f"{target.path} is a part of a disk: name the whole disk")
    if target.size_bytes and target.size_bytes < needed_bytes:
        have, need = show_bytes(target.size_bytes), show_bytes(needed_bytes)
        return WrongUse(f"{target.path} is too small: it has {have}, the image needs {need}")
    if target.is_disk and not target.removable and again != target.path:
        return SafetyRefused(f"{target.path} is not removable: if it is meant, add --really {target.path}")
    return None


# --- looking


def inspect(path: str, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Target:
    """The target as it is now. WrongUse: it is neither a disk nor a file."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if path.startswith("/dev/"):
            raise WrongUse(f"there is no {path}: is the card in? lsblk lists disks") from None
        return Target(path, False)
    if stat.S_ISREG(found.st_mode):
        return Target(path, False)
    if not stat.S_ISBLK(found.st_mode):
        raise WrongUse(f"{path} is neither a disk nor a file")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    device = (sys / "dev" / "block" / number).resolve()
    return Target(
        path,
        True,
        int(_word(device / "size")) * SECTOR,
        _is_removable(device),
        not (device / "partition").exists(),
        tuple(_uses(device, number, proc)),
    )


def _is_removable(device: Path) -> bool:
    """As the kernel says, and what is on USB or is a card in a slot."""
    if _word(device / "removable") == "1" or _word(device / "device" / "type") == "SD":
        return True
    return "/usb" in str(device)


def _word(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _uses(device: Path, number: str, proc: Path) -> Iterator[str]:
    """Mount points, swap and holders (RAID, LVM, encryption) of a disk and its partitions."""
    parts = [number, *(_word(path) for path in device.glob("*/dev") if (path.parent / "partition").exists())]
    for line in (proc / "self" / "mountinfo").read_text().splitlines():
        words = line.split()
        if words[2] in parts:
            yield f"mounted at {words[4]}"
    names = {device.name, *(path.parent.name for path in device.glob("*/partition"))}
    for line in (proc / "swaps").read_text().splitlines()[1:]:
        if line.split()[0].rpartition("/")[2] in names:
            yield "swap"
    for holder in (*device.glob("holders/*"), *device.glob("*/holders/*")):
        yield f"held by {holder.name}"


# --- the image


def image_size(path: Path) -> int:
    """Bytes that it has on the card. WrongUse: it is no image."""
    with path.open("rb") as file:
        head = file.read(512)
        if head.startswith(XZ_MAGIC):
            return _unpacked_size(file, path)
        if head[510:512] != TABLE_END:
            raise WrongUse(f"{path} is no image: it has no partition table")
        return os.fstat(file.fileno()).st_size


def _unpacked_size(file: BinaryIO, path: Path) -> int:
    """From the index at the end of an .xz file (its format's specification, 2.1.2 and 4)."""
    file.seek(-12, os.SEEK_END)
    footer = file.read(12)
    length = (int.from_bytes(footer[4:8], "little") + 1) * 4
    if footer[10:] != XZ_FOOTER or length > MAX_INDEX:
        raise WrongUse(f"{path} is cut off or damaged: make it anew")
    file.seek(-12 - length, os.SEEK_END)
    numbers = _numbers(file.read(length)[1:])
    try:
        return sum([size for _ in range(next(numbers)) for _, size in [(next(numbers), next(numbers))]])
    except StopIteration:
        raise WrongUse(f"{path} is cut off or damaged: make it anew") from None


def _numbers(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield value
            value = shift = 0


def _blocks(path: Path) -> Iterator[bytes]:
    """The image's content. WrongUse: it is damaged."""
    with path.open("rb") as file:
        packed = file.read(len(XZ_MAGIC)) == XZ_MAGIC
    try:
        with lzma.open(path) if packed else path.open("rb") as content:
            while block := content.read(BLOCK):
                yield block
    except (lzma.LZMAError, EOFError) as error:
        raise WrongUse(f"{path} is damaged: make it anew ({error})") from error


# --- writing


def write(image: Path, target: Target, size_bytes: int, show: Show) -> bytes:
    """Write it, read it back and compare; the SHA-256 of what is there. Raises what says whose fault it is."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if target.is_disk else os.O_CREAT)
    try:
        card = os.open(target.path, flags, 0o644)
    except OSError as error:
        raise _open_fault(error, target.path) from error
    try:
        digest = _write_all(image, card, target, size_bytes, show)
        _compare(card, target, digest, size_bytes, show)
    finally:
        os.close(card)
    return digest


def _open_fault(error: OSError, path: str) -> ToastboxError:
    if error.errno == errno.EBUSY:
        return SafetyRefused(f"{path} is in use: unmount it, if it really is the card")
    if error.errno in (errno.EACCES, errno.EPERM):
        return WrongUse(f"{path} cannot be written by you: try it with sudo, or write-protection is on")
    return DeviceFailing(f"{path}: {error.strerror}")


def _write_all(image: Path, card: int, target: Target, size_bytes: int, show: Show) -> bytes:
    digest, first, done = hashlib.sha256(), b"", 0
    try:
        for block in _blocks(image):
            digest.update(block)
            if done == 0:
                first = block
                _put(card, bytes(len(block)), 0)  # what was there before must not look whole either
            else:
                _put(card, block, done)
            done += len(block)
            show("writing", done, size_bytes)
        os.fsync(card)
        _put(card, first, 0)
        os.fsync(card)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        kind = DeviceFull if full else DeviceFailing
        where = f"{target.path} failed at {show_bytes(done)} of {show_bytes(size_bytes)}"
        raise kind(f"{where}: {error.strerror}. It is not whole: try again, or another card") from error
    if done != size_bytes:
        raise WrongUse(f"{image} ended at {show_bytes(done)} of {show_bytes(size_bytes)}: make it anew")
    return digest.digest()


def _put(card: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(card, view, offset)
        view, offset = view[count:], offset + count


def _compare(card: int, target: Target, expected: bytes, size_bytes: int, show: Show) -> None:
    """Read all of it from the card itself. DeviceFailing: it keeps something else."""
    found, done = hashlib.sha256(), 0
    try:
        if target.is_disk:
            fcntl.ioctl(card, FLUSH_BUFFERS, 0)
        os.posix_fadvise(card, 0, 0, os.POSIX_FADV_DONTNEED)
        while done < size_bytes:
            block = os.pread(card, min(BLOCK, size_bytes - done), done)
            if not block:
                break
            found.update(block)
            done += len(block)
            show("comparing", done, size_bytes)
    except OSError as error:
        raise DeviceFailing(f"{target.path} cannot be read back at {show_bytes(done)}: {error.strerror}") from error
    if found.digest() != expected:
        raise DeviceFailing(f"{target.path} does not keep what is written to it: try another card")
