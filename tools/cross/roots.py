"""Small Debian systems of other architectures in folders, and programs run in them by user-mode emulation.

A root is unpacked by mmdebstrap without running any script of its packages: it has Python, pytest and what the agent
and the hub import, from Debian itself, as a board would. Programs run in it by the kernel's binfmt_misc, which hands
ARM programs to QEMU; that is registered for the time of use and undone. Each run has its own mounts, processes and
network (loopback only), which end with it. Needs root.
"""

import contextlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.cross import extension
from tools.cross.apt import KEYRING, mirror
from tools.cross.targets import ROOT

CACHE = ROOT / "build/cross"
RELEASE = "bookworm"
PACKAGES = (
    *("python3", "python3-cffi-backend", "python3-zeroconf", "python3-aiohttp", "python3-cryptography"),
    *("python3-pytest", "python3-pytest-timeout", "python3-hypothesis", "python3-pathspec"),
    *("busybox-static", "libsqlite3-0", "libssl3"),
)
# What the first 20 bytes of a program must be: any system, statically or dynamically linked (ELF specification).
_MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_ELF = rb"\x7fELF\x0%d\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00%s\x00"
INTERPRETERS = {"arm": (1, rb"\x28"), "aarch64": (2, rb"\xb7")}
INSIDE = """
mount --rbind /dev "$1/dev"
mount -t proc none "$1/proc"
mount -t tmpfs none "$1/tmp"
ip link set lo up
root=$1
shift
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class System:
    """architecture: as Debian calls it. processor: QEMU's name of the least one it must run on."""

    architecture: str
    emulator: str
    processor: str

    @property
    def root(self) -> Path:
        return CACHE / f"root-{self.architecture}"


SYSTEMS = {
    "armel": System("armel", "arm", "arm1176"),
    "armhf": System("armhf", "arm", "cortex-a7"),
    "arm64": System("arm64", "aarch64", "cortex-a53"),
}


def make_root(system: System) -> Path:
    """The root's folder; unpacked anew only when the packages asked for have changed."""
    wanted = " ".join(PACKAGES)
    stamp = CACHE / f"root-{system.architecture}.packages"
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(system.root, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        source = f"deb [signed-by={KEYRING}] {mirror()} {RELEASE} main"
        packages = f"--include={','.join(PACKAGES)}"
        flags = ["--quiet", "--variant=extract", f"--architectures={system.architecture}", packages]
        subprocess.run(["mmdebstrap", *flags, RELEASE, str(system.root), source], check=True, timeout=900)
        for folder in ("proc", "dev", "tmp", "bin"):
            (system.root / folder).mkdir(exist_ok=True)
        (system.root / "bin/sh").symlink_to("busybox")
        python = system.root / "usr/bin/python3"
        python.unlink(missing_ok=True)
        python.symlink_to(f"python{extension.PYTHON}")
        stamp.write_text(wanted)
    return system.root


def install(system: System) -> Path:
    """This repository, as git has it, below /toastbox in the root, with the extension built for it."""
    place = system.root / "toastbox"
    shutil.rmtree(place, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    extension.build(system.architecture, place / "agent/toastbox", CACHE)
    # Pure Python, and not in Debian.
    shutil.copytree(Path(sysconfig.get_path("purelib")) / "microdot", place / "agent/microdot")
    return place


@contextlib.contextmanager
def emulation() -> Iterator[None]:
    """While it lasts the kernel runs ARM programs by QEMU, also in a chroot. Other rules stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "binfmt_misc", "none", folder], check=True, timeout=30)
        rules = []
        try:
            for emulator, (bits, machine) in INTERPRETERS.items():
                rules.append(_register(Path(folder), emulator, _ELF % (bits, machine)))
            yield
        finally:
            for rule in rules:
                rule.write_text("-1")
            subprocess.run(["umount", folder], check=True, timeout=30)


def _register(folder: Path, emulator: str, magic: bytes) -> Path:
    """A rule of this process alone. Flag F: the emulator is opened now, so a chroot needs none."""
    path = shutil.which(f"qemu-{emulator}-static")
    if path is None:
        raise FileNotFoundError(f"qemu-{emulator}-static is not installed: apt-get install qemu-user-static")
    name = f"toastbox-{emulator}-{os.getpid()}"
    (folder / "register").write_bytes(b":%s:M::%s:%s:%s:FP" % (name.encode(), magic, _MASK, path.encode()))
    return folder / name


def command(system: System, *arguments: str) -> list[str]:
    """What to run, inside emulation(), so that arguments run in the root; environment() goes with it."""
    own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    return [*own, "sh", "-euc", INSIDE, "sh", str(system.root), *arguments]


def environment(system: System) -> dict[str, str]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    python = "/toastbox/agent:/toastbox/tests/core/both"
    kept = {name: os.environ[name] for name in ("TERM",) if name in os.environ}
    settings = {"PATH": path, "PYTHONPATH": python, "QEMU_CPU": system.processor, "LC_ALL": "C.UTF-8", "HOME": "/tmp"}
    return {**kept, **settings, "TOASTBOX_PATIENCE": "10"}
