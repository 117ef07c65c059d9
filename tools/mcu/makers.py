"""What a MicroPython build from its makers is: for this chip, and known.

A file is believed by its SHA-256: from known.txt, which has names and hashes of builds, or typed by a person, who has
it from elsewhere. Its form is looked at too, so that a file for another chip is found before it is on the board.
"""

import hashlib
import struct
from pathlib import Path

KNOWN = Path(__file__).with_name("known.txt")
UF2_BLOCK = 512
UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
UF2_FAMILY = 0x2000
ESP_MAGIC = 0xE9
MAX_SIZE = 64 << 20


class WrongBuild(Exception):
    """Why this file must not be put on this board."""


def read_build(path: Path, how: str, chip: str, claimed: str | None, known: Path = KNOWN) -> bytes:
    """The bytes of a maker's file, checked. how: uf2 or esptool; claimed: its SHA-256 as typed. WrongBuild."""
    data = path.read_bytes() if path.stat().st_size <= MAX_SIZE else b""
    digest = hashlib.sha256(data).hexdigest()
    if claimed is not None and claimed.strip().lower() != digest:
        raise WrongBuild(f"{path} has the SHA-256 {digest}, not the one given: download it again")
    if claimed is None and known_name(digest, known) is None:
        raise WrongBuild(
            f"{path} is not in the table of known builds: compare its SHA-256 with another download's and say "
            f"--checksum {digest}"
        )
    found = uf2_family(data) if how == "uf2" else esp_chip(data)
    if chip not in ("any", found):
        raise WrongBuild(f"{path} is for another chip ({found}, not {chip})")
    return data


def known_name(digest: str, table: Path = KNOWN) -> str | None:
    """The build with this hash; None: it is not in the table."""
    for line in table.read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == digest:
            return words[1]
    return None


def uf2_family(data: bytes) -> str:
    """The family of its blocks, in hex. WrongBuild: it is no UF2 file, or cut off."""
    if not data or len(data) % UF2_BLOCK:
        raise WrongBuild("this is no UF2 file, or not all of it")
    for at in range(0, len(data), UF2_BLOCK):
        first, second = struct.unpack_from("<II", data, at)
        if (first, second, struct.unpack_from("<I", data, at + UF2_BLOCK - 4)[0]) != UF2_MAGIC:
            raise WrongBuild("this is no UF2 file, or not all of it")
    flags, family = _flags(data, len(data) - UF2_BLOCK)
    return f"{family:#x}" if flags & UF2_FAMILY else "none"


def _flags(data: bytes, at: int) -> tuple[int, int]:
    return struct.unpack_from("<I", data, at + 8)[0], struct.unpack_from("<I", data, at + 28)[0]


def esp_chip(data: bytes) -> str:
    """The chip number in the head of an ESP image; a bootloader of the ESP32 begins at 0x1000. WrongBuild."""
    if len(data) < 24 or data[0] != ESP_MAGIC:
        raise WrongBuild("this is no image for an ESP32")
    return str(struct.unpack_from("<H", data, 12)[0])


def add_volume(build: bytes, volume: bytes, address: int) -> bytes:
    """A UF2 file that writes the build and, behind it, a volume at its address."""
    flags, family = _flags(build, len(build) - UF2_BLOCK)
    head = [build[at : at + UF2_BLOCK] for at in range(0, len(build), UF2_BLOCK) if _flags(build, at)[1] != family]
    blocks = [build[at : at + UF2_BLOCK] for at in range(0, len(build), UF2_BLOCK) if _flags(build, at)[1] == family]
    for at in range(0, len(volume), 256):
        data = volume[at : at + 256]
        blocks.append(
            struct.pack("<8I", *UF2_MAGIC[:2], flags, address + at, 256, 0, 0, family)
            + data
            + bytes(476 - len(data))
            + struct.pack("<I", UF2_MAGIC[2])
        )
    numbered = [
        block[:20] + struct.pack("<II", number, len(blocks)) + block[28:] for number, block in enumerate(blocks)
    ]
    return b"".join(head + numbered)
