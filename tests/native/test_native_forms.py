"""Scalar, AVX2, AVX-512 and NEON chunker: the same cuts on golden vectors, random data and every split.

ARM's forms are cross-built and run under QEMU's user emulation, the scalar one for ARMv6 among them.
"""

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from chunker_inputs import take

from toastbox._native import ffi, lib
from toastbox.core.chunker import Chunker as Reference

SCALAR, VECTOR, WIDE = lib.TBX_FORM_SCALAR, lib.TBX_FORM_VECTOR, lib.TBX_FORM_WIDE
HERE = max(form for form in (SCALAR, VECTOR, WIDE) if lib.tbx_chunker_use(ffi.new("tbx_chunker *"), form) == lib.TBX_OK)
STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-static")

# Name: compiler and flags, emulator, the fastest form in it.
BUILDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    "arm64": (("aarch64-linux-gnu-gcc",), ("qemu-aarch64-static",), VECTOR),
    "armv7 neon": (("arm-linux-gnueabihf-gcc", "-mfpu=neon"), ("qemu-arm-static",), VECTOR),
    "armv7": (("arm-linux-gnueabihf-gcc",), ("qemu-arm-static",), SCALAR),
    "armv6": (("arm-linux-gnueabi-gcc", "-mcpu=arm1176jzf-s"), ("qemu-arm-static", "-cpu", "arm1176"), SCALAR),
    "here": (("cc",), (), HERE),
    "here, for size": (("cc", "-Os"), (), HERE),
}


def cases(vectors: list[dict[str, Any]]) -> list[tuple[tuple[int, ...], bytes, list[int]]]:
    """(sizes, data, cuts): the golden ones, and others from the reference that meet blocks at every offset."""
    golden = [
        (tuple(case["sizes"]), take(case["kind"], case["seed"], case["period"], case["size"]), case["cuts"])
        for case in vectors
    ]
    edges = [
        (sizes, take("random", 40 + size, 0, size), list[int]())
        for size in (95, 96, 97, 159, 160, 161, 1600)
        for sizes in ((32, 512, 512), (33, 512, 70000), (64, 1024, 5000))
    ]
    edges.append(((32, 16384, 1 << 20), take("random", 9, 0, 3 << 18), []))  # candidates over many spans
    edges.append(((32, 512, 2048), bytes(range(256)) * 20, []))
    return golden + [(sizes, data, Reference(*sizes).cuts(data)) for sizes, data, _ in edges]


@pytest.mark.parametrize("name", BUILDS)
def test_every_form_gives_the_same_cuts(root: Path, tmp_path: Path, vectors: list[dict[str, Any]], name: str) -> None:
    compiler, emulator, best = BUILDS[name]
    sources = (root / "cnative/tests/forms/cuts.c", root / "cnative/src/chunker.c")
    program = tmp_path / "cuts"
    command = [*compiler, *STRICT, f"-I{root / 'cnative/include'}", "-o", program, *sources]
    subprocess.run(command, check=True, timeout=100)
    every = cases(vectors)
    given = b"".join(struct.pack("<4I", *sizes, len(data)) + data for sizes, data, _ in every)
    result = subprocess.run([*emulator, program], input=given, capture_output=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr.decode()
    expected = ["".join(f" {cut}" for cut in cuts) for _, _, cuts in every]
    forms = range(SCALAR, best + 1)
    assert result.stdout.decode().splitlines() == [f"{form}{cuts}" for cuts in expected for form in forms]


def test_form_is_the_fastest_there_is_and_an_unknown_one_is_refused() -> None:
    chunker = ffi.new("tbx_chunker *")
    assert lib.tbx_chunker_init(chunker, 64, 512, 2048) == lib.TBX_OK
    best = chunker.form
    assert lib.tbx_chunker_use(chunker, best + 1) == lib.TBX_ERR_PARAMETER
    assert chunker.form == best
    assert lib.tbx_chunker_use(chunker, SCALAR) == lib.TBX_OK
    assert chunker.form == SCALAR
