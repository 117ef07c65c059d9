"""Instructions that the scalar chunker takes for a byte, counted under emulation.

cnative/measure/count.c is linked without a C library, with the chunker compiled as for `make sizes`. QEMU runs it one
instruction at a time and logs each whose address lies in the chunker's code, so the count is exact and the same on
every machine; Debian's QEMU has no plugins, which would be quicker. Cortex-M code runs on QEMU's ARM processor in
Thumb state: a Cortex-M has no other state and no instruction that an ARMv7-A lacks.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.cross.targets import CNATIVE, TARGETS, Target

PROGRAM = CNATIVE / "measure/count.c"
BYTES = 1 << 16
SIZES = (32, 1 << 24, 1 << 30)  # min, avg, max: every byte is looked at, as behind the first 16 KiB of a chunk


def emulator(target: Target) -> str:
    """Path of the user-mode emulator. FileNotFoundError says which package brings it."""
    name = f"qemu-{target.emulator}-static"
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: apt-get install qemu-user-static")
    return found


def link(target: Target, folder: Path) -> Path:
    sizes = ",".join(str(size) for size in SIZES)
    target.compile(PROGRAM, folder / "count.o", f"-DSIZES={sizes}", f"-DBYTES={BYTES}", "-fomit-frame-pointer")
    target.compile(CNATIVE / "src/chunker.c", folder / "chunker.o")
    program = folder / f"count-{target.name}"
    objects = [str(folder / "count.o"), str(folder / "chunker.o")]
    command = [target.tool("gcc"), *target.flags, "-nostdlib", "-static", "-no-pie", "-o", str(program), *objects]
    subprocess.run(command, check=True, timeout=60)
    return program


def functions(target: Target, binary: Path) -> dict[str, tuple[int, int]]:
    """(first address, size) of each function in an object or a program, by name."""
    command = [target.tool("nm"), "--print-size", str(binary)]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    rows = (fields for line in listed.splitlines() if len(fields := line.split()) == 4)
    return {name: (int(address, 16), int(size, 16)) for address, size, kind, name in rows if kind in "tT"}


def code_range(target: Target, program: Path, chunker: Path) -> tuple[int, int]:
    """First address of the chunker's code in the program and the first behind it: an object stays in one piece."""
    placed = functions(target, program)
    ours = [placed[name] for name in functions(target, chunker)]
    return min(first for first, _ in ours), max(first + size for first, size in ours)


def executed(target: Target, program: Path, first: int, end: int) -> int:
    """Instructions run at addresses from first to before end. RuntimeError when the program fails."""
    flags = ["-singlestep", "-d", "exec,nochain", "-dfilter", f"{first:#x}+{end - first:#x}"]
    process = subprocess.Popen([emulator(target), *flags, str(program)], stderr=subprocess.PIPE)
    assert process.stderr
    lines = sum(block.count(b"\n") for block in iter(lambda: process.stderr.read(1 << 16), b""))
    if process.wait() != 0:
        raise RuntimeError(f"{program.name} ended with {process.returncode} under {emulator(target)}")
    return lines


def count(target: Target) -> float:
    """Instructions a byte."""
    with tempfile.TemporaryDirectory() as name:
        program = link(target, Path(name))
        total = executed(target, program, *code_range(target, program, Path(name) / "chunker.o"))
    return round(total / BYTES, 2)


def counts(targets: tuple[Target, ...] = TARGETS) -> dict[str, float]:
    """The same by name of target."""
    return {target.name: count(target) for target in targets}
