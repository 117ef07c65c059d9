"""The root file system of a board, and the initramfs before it."""

import gzip
import posixpath
import stat
from pathlib import Path

from toastbox.boards import Board
from tools.image import libraries, native
from tools.image.kernel import EVERYWHERE, Kernel
from tools.image.packages import FIRMWARE, REGULATIONS, wanted
from tools.image.tree import Node, Tree, merge_links

FILES = Path(__file__).parent / "files"
HERE = "usr/lib/toastbox"
FIRMWARE_FOLDER = "usr/lib/firmware/"
SERVICES = "start later serve modules network plugged address agent hub ssh watchdog console stop common".split()
EARLY_APPLETS = "sh mount insmod switch_root od tr cat sleep usleep reboot dd blockdev mkdir printf".split()
APPLETS = """
ash arping awk basename blockdev cat chgrp chmod chown clear cmp cp cut date dd df diff dirname dmesg du echo
egrep env expr false fgrep find free fsfreeze getty grep gunzip gzip halt head hexdump hostname id ifconfig
init insmod ip kill killall less ln logger login logread losetup ls lsmod md5sum mkdir mkfifo mknod mktemp
more mount mv nc netstat nslookup od passwd pidof ping poweroff printf ps pwd readlink realpath reboot
reset rm rmdir rmmod route sed seq setsid sh sha256sum sleep sort stat strings stty su sync sysctl syslogd
tail tar tee telnet test time timeout top touch tr true truncate tty udhcpc uevent umount uname uniq uptime
usleep vi watch watchdog wc wget which xargs xxd yes zcat
""".split()
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "etc/shells": "/bin/sh\n",
}


class NoFirmware(Exception):
    """The firmware's package lacks what a board names."""


def script(name: str) -> bytes:
    return (FILES / name).read_bytes()


def early(kernel: Kernel, board: Board, busybox: bytes, time_s: int) -> bytes:
    """The initramfs, compressed."""
    assert board.system
    tree = Tree()
    for name in ("dev", "proc", "sys", "run", "root", "modules"):
        tree.folder(name)
    tree.device("dev/console", 5, 1)
    tree.file("init", script("early"), 0o755)
    tree.folder("bin")
    tree.nodes["bin/busybox"] = _program(busybox)
    for name in EARLY_APPLETS:
        tree.nodes[f"bin/{name}"] = _link("busybox")
    for number, path in enumerate(kernel.load_order([*EVERYWHERE, *board.system.early])):
        tree.file(f"modules/{number:02}-{Path(path).name}", kernel.data(path))
    return gzip.compress(tree.cpio(time_s), 9, mtime=0)


def _program(data: bytes) -> Node:
    return Node(stat.S_IFREG | 0o755, data)


def _link(to: str) -> Node:
    return Node(stat.S_IFLNK | 0o777, to.encode())


def root(board: Board, debs: list[Path], kernel: Kernel, hub: bool, ssh_key: str, cache: Path, time_s: int) -> Tree:
    """The whole of what is mounted read-only on the board."""
    assert board.system
    tree = Tree()
    for deb in debs:
        tree.package(deb, wanted)
        if board.system.firmware and deb.name.startswith(FIRMWARE):
            _add_firmware(tree, deb, board.system.firmware)
            _add_nvram_links(tree, board.system.nvram)
        if deb.name.startswith(REGULATIONS):
            _add_regulations(tree, deb)
    native.add_toastbox(tree, board.system.architecture, hub, cache)
    native.compile_all(tree, cache)
    tree.remove(
        f"{native.SITE}/*.pyi", f"{native.SITE}/*-info", "usr/lib/python3*/LICENSE*", "boot", "usr/lib/valgrind"
    )
    _add_system(tree, board, hub, time_s)
    _add_modules(tree, kernel, board)
    if ssh_key:
        _add_ssh(tree, ssh_key)
    libraries.check(tree)
    tree.prune_folders()
    return tree


def _add_firmware(tree: Tree, deb: Path, patterns: tuple[str, ...]) -> None:
    """The files that fit, and those that they are links to."""
    files = Tree()
    files.package(deb, lambda path: path.startswith(FIRMWARE_FOLDER))
    todo = []
    for pattern in patterns:
        found = files.find(FIRMWARE_FOLDER + pattern)
        if not found:
            raise NoFirmware(f"{deb.name} has no {pattern}: system.firmware of the board is wrong")
        todo += found
    while todo:
        path = todo.pop()
        node = files.nodes.get(path)
        if node is None or path in tree.nodes:
            continue
        if stat.S_ISLNK(node.mode):
            tree.link(path, node.data.decode())
            todo.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), node.data.decode())))
        elif stat.S_ISREG(node.mode):
            tree.file(path, node.data)


def _add_nvram_links(tree: Tree, links: tuple[str, ...]) -> None:
    """Further names of settings of a radio that are in the root already."""
    for link in links:
        name, _, to = link.partition("=")
        if f"{FIRMWARE_FOLDER}brcm/{to}" not in tree.nodes:
            raise NoFirmware(f"{to} is not among the firmware: system.nvram of the board is wrong")
        tree.link(f"{FIRMWARE_FOLDER}brcm/{name}", to)


def _add_regulations(tree: Tree, deb: Path) -> None:
    """Which channels a country allows, signed by whom Debian's kernel trusts. The package's script would link them."""
    _add_firmware(tree, deb, ("regulatory.db*-debian",))
    for name in ("regulatory.db", "regulatory.db.p7s"):
        tree.link(f"{FIRMWARE_FOLDER}{name}", f"{name}-debian")


def _add_system(tree: Tree, board: Board, hub: bool, time_s: int) -> None:
    merge_links(tree)
    for name in ("dev", "proc", "sys", "run", "tmp", "data", "mnt", "root"):
        tree.folder(name)
    for name, to in (
        ("var/run", "/run"),
        ("var/log", "/run/log"),
        ("var/tmp", "/tmp"),
        ("etc/resolv.conf", "/run/resolv.conf"),
    ):
        tree.link(name, to)
    tree.link("etc/mtab", "/proc/mounts")
    for name, text in ACCOUNTS.items():
        tree.file(name, text)
    tree.file("etc/shadow", "root::19000:0:99999:7:::\n", 0o600)
    tree.file("etc/profile", script("profile"))
    tree.file("etc/inittab", script("inittab").replace(b"@ROLE@", b"hub" if hub else b"agent"))
    tree.file("etc/toastbox-board", f"{board.name}\n")
    tree.file("etc/toastbox-time", f"{time_s}\n")
    tree.file("etc/toastbox-serial", " ".join(board.serial) + "\n")
    for name in SERVICES:
        tree.file(f"{HERE}/{name}", script(name), 0o644 if name == "common" else 0o755)
    tree.file(f"{HERE}/hooks/apply", script("apply"), 0o755)
    tree.file("usr/bin/toastbox", script("toastbox"), 0o755)
    tree.link("usr/bin/python3", "python3.11")
    for name in APPLETS:
        tree.link(f"usr/bin/{name}", "busybox")
    for name in ("init", "reboot", "poweroff", "halt", "getty"):
        tree.link(f"usr/sbin/{name}", "../bin/busybox")


def _add_ssh(tree: Tree, key: str) -> None:
    tree.folder("root", 0o700)
    tree.folder("root/.ssh", 0o700)
    tree.file("root/.ssh/authorized_keys", key, 0o600)
    tree.file("etc/inittab", tree.nodes["etc/inittab"].data + b"null::respawn:/usr/lib/toastbox/serve ssh\n")


def _add_modules(tree: Tree, kernel: Kernel, board: Board) -> None:
    assert board.system
    before = set(kernel.load_order([*EVERYWHERE, *board.system.early]))
    order = [path for path in kernel.load_order(board.system.modules) if path not in before]
    for path in order:
        tree.file(f"{HERE}/modules.d/{Path(path).name}", kernel.data(path))
    tree.file(f"{HERE}/modules.list", "".join(f"{Path(path).name}\n" for path in order))
