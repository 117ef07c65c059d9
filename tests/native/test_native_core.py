"""The C core outside Python: sanitizers, fuzzers, and the promise to import nothing."""

import subprocess
from pathlib import Path

import pytest


def make(root: Path, build: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["make", "-C", str(root / "cnative"), f"BUILD={build}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def test_c_tests_pass_under_sanitizers(root: Path, tmp_path: Path) -> None:
    result = make(root, tmp_path, "test-c")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "C tests passed" in result.stdout


def test_fuzzers_find_nothing(root: Path, tmp_path: Path) -> None:
    result = make(root, tmp_path, "fuzz", "FUZZ_SECONDS=3")
    assert result.returncode == 0, result.stdout + result.stderr[-4000:]
    runs = [line.split()[1] for line in result.stderr.splitlines() if "number_of_executed_units" in line]
    assert len(runs) == 2 and all(int(count) > 100 for count in runs)


@pytest.mark.parametrize(
    "compiler",
    [
        "cc",
        "clang --target=armv6m-none-eabi -mcpu=cortex-m0plus",
        "clang --target=armv7m-none-eabi -mcpu=cortex-m3",
        "clang --target=arm-linux-gnueabihf",
        "clang --target=aarch64-linux-gnu",
        "clang --target=riscv32-none-elf",
    ],
)
def test_core_imports_nothing_and_has_no_mutable_globals(root: Path, tmp_path: Path, compiler: str) -> None:
    result = make(root, tmp_path, "symbols", f"CC={compiler}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "tbx_chunker_scan T" in result.stdout and "tbx_pool_take T" in result.stdout


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            "void *malloc(unsigned long); void *f(void); void *f(void) { return malloc(1); }",
            "imported: malloc",
        ),
        ("int f(void); int f(void) { static int n; return n++; }", "mutable: n"),
        ("int counter = 3;", "mutable: counter"),
    ],
)
def test_symbols_notices_what_is_forbidden(root: Path, tmp_path: Path, source: str, complaint: str) -> None:
    (tmp_path / "bad.c").write_text(source)
    result = make(root, tmp_path, "symbols", f"CORE_OBJECTS={tmp_path}/bad.o", f"VPATH={tmp_path}")
    assert result.returncode != 0
    assert complaint in result.stdout
