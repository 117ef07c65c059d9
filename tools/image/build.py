"""From a board and a few wishes to an image: packages, kernel, root, initramfs, disk.

`toastbox image` calls it. The same inputs (packages, sources, wishes) give the same bytes. SOURCE_DATE_EPOCH sets the
time of every file; without it that is a fixed day.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toastbox.boards import Board
from tools.cross.apt import AptError
from tools.image import disk, packages, root
from tools.image.kernel import Kernel, NoModule
from tools.image.kernel import wanted as kernel_wanted
from tools.image.libraries import NoLibrary
from tools.image.native import NoPython
from tools.image.packages import Packages
from tools.image.tree import Tree

PROGRAMS = {
    "mksquashfs": "squashfs-tools",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
COMPILERS = {"armel": "arm-linux-gnueabi", "armhf": "arm-linux-gnueabihf", "arm64": "aarch64-linux-gnu"}
DEFAULT_TIME_S = 1_764_000_000
# Without the directory of trace events, whose ten thousand inodes the kernel would keep in 6 MB for good.
# Nor does it try its ciphers on itself at every start: a third of a second of virt-arm64's six.
COMMAND_LINE = (
    "toastbox.disk={number} panic=10 consoleblank=0 loglevel=4 initcall_blacklist=tracer_init_tracefs cryptomgr.notests"
)
# Not compressed: a page of a program that is read again costs its whole block, and unpacking that is the dearest part.
# Hence small blocks too, and none that several files share. The image as .xz is smaller so.
SQUASH = "-noD -noI -noF -noX -b 32K -no-fragments -all-root -no-progress -no-xattrs -quiet".split()


@dataclass(frozen=True)
class Wishes:
    """What the person asked for besides the board.

    settings: lines of toastbox.conf, by key. renew: whether newer packages are looked for.
    """

    settings: dict[str, str]
    hub: bool = False
    ssh_key: str = ""
    size_bytes: int = 0
    renew: bool = False


Show = Callable[[str], None]
FAULTS = (AptError, root.NoFirmware, NoLibrary, NoModule, NoPython, subprocess.CalledProcessError, OSError)


def needed(board: Board) -> list[str]:
    """Packages that this machine lacks for building it."""
    assert board.system
    tuple_name = COMPILERS[board.system.architecture]
    wants = {**PROGRAMS, f"{tuple_name}-gcc": f"gcc-{tuple_name}"}
    missing = packages.need_programs(wants)
    return [*missing, *([f"libc6-dev-{board.system.architecture}-cross"] if f"gcc-{tuple_name}" in missing else [])]


def time_of_files() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH", DEFAULT_TIME_S))


def build(board: Board, wishes: Wishes, output: Path, show: Show, cache: Path | None = None) -> list[str]:
    """Make the image; gives the parts of the archive that it had to do without.

    Raises OSError, AptError, NoPython, NoModule, NoFirmware, TooSmall, CalledProcessError.
    """
    assert board.system
    cache, time_s = cache or packages.cache_folder(), time_of_files()
    cache.mkdir(parents=True, exist_ok=True)
    source = Packages(board.system.architecture, cache, wishes.renew)
    show("1/6 packages")
    names = [source.kernel(board.system.kernel), *_names(board, wishes)]
    debs = source.fetch(names)
    show("2/6 kernel")
    kernel = Kernel(_unpacked(debs[0]))
    show("3/6 root")
    tree = root.root(board, debs[1:], kernel, wishes.hub, wishes.ssh_key, cache, time_s)
    show("4/6 squashfs")
    squashed = squash(tree, time_s)
    show("5/6 initramfs")
    first = root.early(kernel, board, tree.nodes["usr/bin/busybox"].data, time_s)
    show("6/6 disk")
    number = hashlib.sha256(squashed).hexdigest()[:8]
    files = boot_files(board, kernel, first, number, wishes, debs)
    files["packages.txt"] = packages_text(source.suites(), source.lacking(), debs).encode()
    disk.write(disk.Disk(number, files, squashed, wishes.size_bytes, time_s), output)
    return source.lacking()


def _names(board: Board, wishes: Wishes) -> list[str]:
    assert board.system
    names = [*packages.BASE]
    if "wifi" in board.links:
        names += [*packages.WIFI, packages.FIRMWARE]
    if board.system.boot == "raspberry":
        names.append(packages.RASPBERRY)
    if wishes.ssh_key:
        names += packages.SSH
    if wishes.hub:
        names += packages.HUB
    return list(dict.fromkeys(names))


def _unpacked(deb: Path) -> Tree:
    tree = Tree()
    tree.package(deb, kernel_wanted)
    return tree


def squash(tree: Tree, time_s: int) -> bytes:
    """The tree as squashfs."""
    output = packages.cache_folder() / f"root-{os.getpid()}.squashfs"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    clock = [
        "-mkfs-time",
        str(time_s),
        "-all-time",
        str(time_s),
        "-root-mode",
        "0755",
        "-root-uid",
        "0",
        "-root-gid",
        "0",
        "-root-time",
        str(time_s),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    try:
        done = subprocess.run(
            ["mksquashfs", "-", str(output), "-tar", *SQUASH, *clock],
            input=tree.tar(time_s),
            check=False,
            capture_output=True,
            timeout=600,
            env=environment,
        )
        if done.returncode:
            raise OSError(f"mksquashfs: {done.stderr.decode().strip()}")
        return output.read_bytes()
    finally:
        output.unlink(missing_ok=True)


def boot_files(
    board: Board, kernel: Kernel, first: bytes, number: str, wishes: Wishes, debs: list[Path]
) -> dict[str, bytes]:
    """What lies in the first partition."""
    assert board.system
    system = board.system
    line = f"{COMMAND_LINE.format(number=number)} {system.command_line}"
    consoles = " ".join(f"console={port},115200" for port in reversed(board.serial[:1]))
    files = {
        system.kernel_name: kernel.image(system.architecture == "arm64"),
        "initrd.img": first,
        "cmdline.txt": f"{consoles} {line}\n".encode(),
        "toastbox.conf": settings_text(wishes).encode(),
        "board.txt": f"{board.name}\n".encode(),
    }
    for name in system.device_tree:
        files[name] = kernel.device_tree(name)
    if system.boot == "raspberry":
        files |= _raspberry(board, debs)
    return files


def _raspberry(board: Board, debs: list[Path]) -> dict[str, bytes]:
    """The firmware that a Raspberry starts with, and what it is told."""
    assert board.system
    tree = Tree()
    found = next(path for path in debs if path.name.startswith("raspi-firmware_"))
    tree.package(found, lambda path: path.startswith("usr/lib/raspi-firmware/"))
    names = [*board.system.loader, *(f"overlays/{name}" for name in board.system.overlays)]
    files = {name: tree.nodes[f"usr/lib/raspi-firmware/{name}"].data for name in names}
    lines = [f"kernel={board.system.kernel_name}", "initramfs initrd.img followkernel", "upstream_kernel=1"]
    files["config.txt"] = "\n".join([*lines, *board.system.config, ""]).encode()
    return files


def packages_text(suites: list[str], lacking: list[str], debs: list[Path]) -> str:
    """packages.txt: what the image was made of, so that it can be made again, or known to be too old."""
    without = f"; without {', '.join(lacking)}" if lacking else ""
    return "\n".join([f"# of {', '.join(suites)}{without}", *sorted(path.name for path in debs), ""])


def settings_text(wishes: Wishes) -> str:
    """toastbox.conf: what a person may change on any PC."""
    lines = ["# Settings of this board. hostname, wifi.ssid, wifi.password, wifi.country, hub, join."]
    return "\n".join([*lines, *(f"{key}={value}" for key, value in sorted(wishes.settings.items())), ""])
