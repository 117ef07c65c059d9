"""The processors that Toastbox is for, and how to compile for them.

Debian's cross compilers do all of it: the one for armel also writes Cortex-M code, as nothing here needs a C
library, so a fresh machine installs 80 MB instead of the 850 MB of a bare-metal toolchain.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CNATIVE = ROOT / "cnative"
CORE = ("arena", "chunker")  # freestanding: everywhere
LINUX = ("digest", "memory", "posix", "scan", "sum")  # system calls: where there is Linux
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")


@dataclass(frozen=True)
class Target:
    """name: as people say it. tuple: of the compiler. flags: processor and optimisation. emulator: of QEMU."""

    name: str
    tuple: str
    flags: tuple[str, ...]
    emulator: str
    boards: str

    def tool(self, name: str) -> str:
        """Path of gcc, size or nm for this target. FileNotFoundError says which package brings it."""
        found = shutil.which(f"{self.tuple}-{name}")
        if found is None:
            package = f"gcc-{self.tuple.replace('_', '-')}"
            raise FileNotFoundError(f"{self.tuple}-{name} is not installed: apt-get install {package}")
        return found

    @property
    def objects(self) -> tuple[str, ...]:
        """Sources of the core, and of what it has for Linux."""
        return CORE if self.name.startswith("cortex") else CORE + LINUX

    def compile(self, source: Path, output: Path, *extra: str) -> None:
        """One object, freestanding unless it is for Linux. CalledProcessError where the compiler objects."""
        alone = () if source.stem in LINUX else ("-ffreestanding",)
        common = ("-std=c11", *alone, *WARNINGS, f"-I{CNATIVE / 'include'}")
        command = [self.tool("gcc"), *self.flags, *common, *extra, "-c", "-o", str(output), str(source)]
        subprocess.run(command, check=True, timeout=120, cwd=output.parent)


_CORTEX = ("-mthumb", "-mfloat-abi=soft", "-Os")
TARGETS = (
    Target("cortex-m0plus", "arm-linux-gnueabi", ("-mcpu=cortex-m0plus", *_CORTEX), "arm", "Pico, Pico W"),
    Target("cortex-m4", "arm-linux-gnueabi", ("-mcpu=cortex-m4", *_CORTEX), "arm", "STM32F4, nRF52"),
    Target("armel", "arm-linux-gnueabi", ("-mcpu=arm1176jzf-s", "-marm", "-O2"), "arm", "Pi Zero, Pi 1 (ARMv6)"),
    Target("armhf", "arm-linux-gnueabihf", ("-O2",), "arm", "Pi 2 (ARMv7)"),
    Target("arm64", "aarch64-linux-gnu", ("-O2",), "aarch64", "Pi 3, 4, 5, Zero 2"),
    Target("x86-64", "x86_64-linux-gnu", ("-O2",), "x86_64", "the hub's usual host"),
)


def target(name: str) -> Target:
    return next(target for target in TARGETS if target.name == name)
