"""Builds toastbox._native, the agent's C extension, for another architecture, without an emulator.

    python -m tools.cross.extension ARCHITECTURE OUT

cffi writes its C here, Debian's cross compiler compiles it against the headers of that architecture's Python, which
are unpacked from its package. OUT is a folder; the file in it is for every Python of Debian 12 on that architecture.
"""

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tools.cross.apt import Apt
from tools.cross.targets import CNATIVE, ROOT, TARGETS, WARNINGS, Target, target

PYTHON = "3.11"
CACHE = ROOT / "build/cross"
NAME = "_native.abi3.so"
SHARED = ("-fPIC", "-shared", "-Wl,--build-id=none")  # no id: it would differ every time
# Debian's ARMv7 does without NEON, for processors (Tegra 2, Armada) that no board of ours has. Every Raspberry Pi with
# an ARMv7 has it, and the chunker's vector form needs it.
NEON = {"armhf": ("-mfpu=neon",)}


def headers(architecture: str, cache: Path = CACHE) -> Path:
    """The folder with include/ of that architecture's Python."""
    root = cache / f"python-{architecture}"
    if not (root / "usr/include").is_dir():
        Apt(cache).unpack(root, f"libpython{PYTHON}-dev:{architecture}")
    return root / "usr"


def write_binding(output: Path) -> None:
    """The C source of the binding, as cffi generates it."""
    program = "import sys, runpy; made = runpy.run_path(sys.argv[1]); made['ffibuilder'].emit_c_code(sys.argv[2])"
    script = CNATIVE / "cffi/build_native.py"
    subprocess.run(
        [sys.executable, "-c", program, str(script), str(output)], stdout=subprocess.DEVNULL, check=True, timeout=60
    )


def build(architecture: str, output: Path, cache: Path = CACHE) -> Path:
    """Compiles into the folder output; returns the file, which is to lie in the package's folder.

    architecture: as Debian calls it, armel, armhf or arm64; the name of a target in tools/cross/targets.py.
    """
    made = target(architecture)
    made = replace(made, flags=(*made.flags, *NEON.get(architecture, ())))
    usr = headers(architecture, cache)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objects = [compile_hosted(made, source, folder) for source in sorted(CNATIVE.glob("src/*.c"))]
        binding = folder / "binding.c"
        write_binding(binding)
        include = [f"-I{CNATIVE / 'include'}", f"-I{usr / 'include' / f'python{PYTHON}'}", f"-I{usr / 'include'}"]
        command = [
            made.tool("gcc"),
            *made.flags,
            *SHARED,
            f"-ffile-prefix-map={folder}=.",
            *include,
            str(binding),
            *objects,
        ]
        subprocess.run([*command, "-o", str(output / NAME)], check=True, timeout=120)
    subprocess.run([made.tool("strip"), str(output / NAME)], check=True, timeout=60)
    return output / NAME


def compile_hosted(made: Target, source: Path, folder: Path) -> str:
    """One of our own sources, with the C library's headers and warnings as errors."""
    path = folder / f"{source.stem}.o"
    command = [made.tool("gcc"), *made.flags, "-std=c11", "-fPIC", *WARNINGS, f"-I{CNATIVE / 'include'}"]
    subprocess.run([*command, "-c", "-o", str(path), str(source)], check=True, timeout=120)
    return str(path)


def main() -> int:
    linux = [each.name for each in TARGETS if each.name in ("armel", "armhf", "arm64")]
    if len(sys.argv) != 3 or sys.argv[1] not in linux:
        print(f"usage: python -m tools.cross.extension {'|'.join(linux)} OUT", file=sys.stderr)
        return 2
    print(build(sys.argv[1], Path(sys.argv[2])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
