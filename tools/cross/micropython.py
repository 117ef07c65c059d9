"""MicroPython from its Debian source package: headers and linker for native modules, and emulated boards.

The source is trixie's; its native modules load in every MicroPython with the same version of .mpy files (6.3: from 1.23
on). The boards are MicroPython's own QEMU port, with our code frozen in.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.cross.apt import Apt
from tools.cross.targets import CNATIVE, ROOT

CACHE = ROOT / "build/cross"
RELEASE = "trixie"
MODULE = "tbx_native.mpy"
# Architecture of .mpy files: prefix of the compiler. These compile Cortex-M too; see targets.py.
CROSS = {
    "armv6m": "arm-linux-gnueabi-",
    "armv7m": "arm-linux-gnueabi-",
    "armv7emsp": "arm-linux-gnueabihf-",
    "x64": "",
}


@dataclass(frozen=True)
class Board:
    """A machine of ports/qemu. emit: what the port must be told to load native code."""

    name: str
    architecture: str
    heap_bytes: int
    machine: tuple[str, ...]
    emit: str = ""


BOARDS = {
    "cortex-m0": Board(
        "MICROBIT",
        "armv6m",
        128 << 10,
        ("microbit", "-global", "nrf51-soc.flash-size=1048576", "-global", "nrf51-soc.sram-size=262144"),
        "-DMICROPY_EMIT_THUMB=1 -DMICROPY_EMIT_THUMB_ARMV7M=0 -DMICROPY_EMIT_INLINE_THUMB=0",
    ),
    "cortex-m3": Board("MPS2_AN385", "armv7m", 140 << 10, ("mps2-an385",)),
}


def source(cache: Path = CACHE) -> Path:
    """The top of MicroPython's source tree; fetched once, whoever else asks meanwhile."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "micropython.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return Apt(cache, RELEASE, architectures=()).source("micropython")


def _make(folder: Path, *arguments: str) -> None:
    """make, quiet; what it said goes to stderr when it fails."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    command = ["make", "-C", str(folder), f"-j{os.cpu_count()}", f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=580, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
        raise subprocess.CalledProcessError(done.returncode, command)


def native_module(architecture: str, folder: Path, cache: Path = CACHE) -> Path:
    """Builds cnative/natmod for one architecture in folder; returns the .mpy file."""
    folder.mkdir(parents=True, exist_ok=True)
    makefile = CNATIVE / "natmod/Makefile"
    where = [f"MPY_DIR={source(cache)}", f"ARCH={architecture}", f"CROSS={CROSS[architecture]}"]
    _make(folder, "-f", str(makefile), *where)
    return folder / MODULE


def _manifest(text: str, folder: Path) -> Path:
    """The manifest in a file that changes only when its content does, as make compares times."""
    path = folder / "manifest.py"
    if not path.exists() or path.read_text() != text:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[Path]:
    """The source tree, while nobody else builds there.

    mpy-cross, which both ports use, is made first, as each would make it for its own processor.
    """
    top = source(cache)
    with (cache / "micropython.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make(top / "mpy-cross")
        yield top


def firmware(board: Board, manifest: str, cache: Path = CACHE) -> Path:
    """Builds MicroPython for an emulated board, with the modules of a manifest frozen in; returns the ELF file."""
    build = cache / f"mcu-{board.name}"
    with _alone(cache) as top:
        frozen = _manifest(manifest, build)
        settings = [f"BOARD={board.name}", f"BUILD={build}", f"FROZEN_MANIFEST={frozen}"]
        heap = f"MICROPY_HEAP_SIZE={board.heap_bytes}"
        _make(top / "ports/qemu", *settings, heap, f"CFLAGS_EXTRA={board.emit}")
    return build / "firmware.elf"


# The sources of TLS are not in Debian's package of MicroPython's.
UNIX_WITHOUT = ("MICROPY_PY_SSL=0", "MICROPY_SSL_MBEDTLS=0", "MICROPY_PY_FFI=0", "MICROPY_PY_BTREE=0")


def unix(cache: Path = CACHE) -> Path:
    """MicroPython's unix port for 32-bit ARM, whose words are those of the chips, without TLS, linked to nothing.

    Built once; runs under qemu-arm-static.
    """
    build = cache / "unix-armhf"
    with _alone(cache) as top:
        settings = (
            f"BUILD={build}",
            "CROSS_COMPILE=arm-linux-gnueabihf-",
            "LDFLAGS_EXTRA=-static",
            f"FROZEN_MANIFEST={_manifest('', build)}",
        )
        _make(top / "ports/unix", *settings, *UNIX_WITHOUT)
    return build / "micropython"


if __name__ == "__main__":
    print(source(), unix(), sep="\n")
