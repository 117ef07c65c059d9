"""Which packages of Debian an image is made of, and getting them: from a cache of their own, fetched once.

The list is written out instead of being resolved: what a package asks for is meant for a machine that installs packages
(dpkg, debconf, Perl, kernel hooks), and a board never does. What is listed here is complete for what runs on the board;
the tests boot it.
"""

import fnmatch
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tools.cross.apt import Apt, AptError, fixes

RELEASE = "bookworm"
PYTHON = "3.11"

LIBRARIES = (
    *"libc6 libgcc-s1 zlib1g libexpat1 libssl3 libffi8 libsqlite3-0 libuuid1 libblkid1 libcom-err2 libext2fs2".split(),
    "libatomic1",  # of OpenSSL on armel
)
BASE = (
    *LIBRARIES,
    *"python3.11-minimal libpython3.11-minimal libpython3.11-stdlib python3-cffi-backend".split(),
    *"python3-zeroconf python3-ifaddr python3-async-timeout busybox-static e2fsprogs".split(),
)
WIFI = (
    *"iw wireless-regdb wpasupplicant libnl-3-200 libnl-genl-3-200 libnl-route-3-200 libdbus-1-3".split(),
    *"libpcsclite1 libreadline8".split(),
    *"libtinfo6 libsystemd0 liblz4-1 libzstd1 liblzma5 libcap2 libgcrypt20 libgpg-error0".split(),
)
SSH = "dropbear-bin libtomcrypt1 libtommath1 libcrypt1 libgmp10".split()
HUB = "python3-cryptography".split()
FIRMWARE = "firmware-brcm80211"
REGULATIONS = "wireless-regdb"
RASPBERRY = "raspi-firmware"

# Of the packages above, what a board has no use for.
UNWANTED = (
    *"usr/share/* usr/include/* usr/lib/*/gconv/* usr/lib/*/audit/* etc/*".split(),
    *"usr/lib/*.a usr/lib/*/perl* usr/lib/mime/* usr/games/* var/* usr/lib/systemd/* usr/lib/udev/*".split(),
    *"usr/lib/*/e2fsprogs/* usr/lib/*/e2initrd_helper usr/lib/firmware/* usr/lib/raspi-firmware/*".split(),
)
PYTHON_UNWANTED = (
    *"lib2to3 idlelib tkinter turtledemo turtle.py test ensurepip distutils venv pydoc.py pydoc_data".split(),
    *"config-3.11-* sitecustomize.py __phello__ antigravity.py this.py nntplib.py".split(),
    *"lib-dynload/_codecs_* lib-dynload/_curses* lib-dynload/_test* lib-dynload/_xxtestfuzz*".split(),
    *"lib-dynload/xx* lib-dynload/*dbm* lib-dynload/_tkinter* lib-dynload/readline* lib-dynload/nis*".split(),
    *"lib-dynload/_lzma* lib-dynload/_bz2* lib-dynload/_crypt* lib-dynload/ossaudiodev* curses dbm".split(),
    *"lib-dynload/audioop* lib-dynload/_lsprof* cProfile.py profile.py pstats.py doctest.py unittest".split(),
)
# The programs that are kept of usr/bin, usr/sbin and such; all else there is busybox.
PROGRAMS = ("python3.11", "busybox", "e2fsck", "resize2fs", "wpa_supplicant", "iw", "dropbear", "dropbearkey")


def wanted(path: str) -> bool:
    """Whether a package's file goes into the root."""
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in UNWANTED):
        return False
    inner = path.removeprefix(f"usr/lib/python{PYTHON}/")
    if inner != path and any(fnmatch.fnmatchcase(part, p) for p in PYTHON_UNWANTED for part in _tops(inner)):
        return False
    folder, _, name = path.rpartition("/")
    return folder not in ("usr/bin", "usr/sbin") or name in PROGRAMS


def _tops(path: str) -> tuple[str, ...]:
    parts = path.split("/")
    return parts[0], "/".join(parts[:2])


class Packages:
    """The packages of one architecture."""

    def __init__(self, architecture: str, cache: Path, renew: bool = False) -> None:
        self._apt = Apt(cache, RELEASE, ("main", "non-free-firmware"), with_fixes=True)
        self._architecture = architecture
        if renew:
            self._apt.renew()

    def _run(self, program: str, *words: str, cwd: Path | None = None) -> str:
        """apt as a machine of that architecture would run it, so that what is for all architectures is found too."""
        native = ["-o", f"APT::Architecture={self._architecture}", "-o", f"APT::Architectures={self._architecture}"]
        return self._apt.run(program, "-q", *native, *words, cwd=cwd or self._archives)

    @property
    def _archives(self) -> Path:
        return self._apt.folder / "cache" / "archives"

    def kernel(self, package: str) -> str:
        """The package that has the kernel, of the one that names the newest."""
        self._apt.update()
        found = re.search(r"Depends: (linux-image-\d\S+)", self._run("apt-cache", "depends", package))
        if not found:
            raise AptError(f"{RELEASE} has no kernel {package} for {self._architecture}")
        return found[1]

    def suites(self) -> list[str]:
        """The parts of the archive that were looked into."""
        return self._apt.suites(self._architecture)

    def lacking(self) -> list[str]:
        """Updates or security fixes that could not be had for it, though this machine knows where they are."""
        there = self.suites()
        return [suite for _, suite in fixes(RELEASE) if suite not in there]

    def fetch(self, names: list[str]) -> list[Path]:
        """Their files, in the order asked for. What is in the cache already is not fetched again."""
        try:
            return self._fetch(names)
        except AptError:  # lists that are older than what the mirror has
            self._apt.renew()
            return self._fetch(names)

    def _fetch(self, names: list[str]) -> list[Path]:
        self._apt.update()
        # Not beside the files: apt does not name what it finds in the folder it is in.
        files = dict(_names(self._run("apt-get", "download", "--print-uris", *names, cwd=self._apt.folder)))
        missing = [name for name in names if not (self._archives / files[name]).exists()]
        if missing:
            self._download(missing)
        return [self._archives / files[name] for name in names]

    def _download(self, names: list[str]) -> None:
        """Under their names only when they are whole."""
        with tempfile.TemporaryDirectory(dir=self._archives) as folder:
            self._run("apt-get", "download", *names, cwd=Path(folder))
            for path in Path(folder).glob("*.deb"):
                path.replace(self._archives / path.name)


def _names(uris: str) -> Iterable[tuple[str, str]]:
    """(package, file) of the lines of --print-uris: 'URI' FILE SIZE HASH."""
    for line in uris.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1].endswith(".deb"):
            yield words[1].partition("_")[0], words[1]


def cache_folder() -> Path:
    """Where packages are kept between builds."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "toastbox"


def need_programs(names: dict[str, str]) -> list[str]:
    """Packages of this machine that bring those of these programs that are not there."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    missing = []
    for program, package in names.items():
        found = subprocess.run(["which", program], env={"PATH": path}, capture_output=True, check=False)
        if found.returncode:
            missing.append(package)
    return missing
