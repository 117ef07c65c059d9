"""The C part of the package; all else is in pyproject.toml."""

from setuptools import setup

STRICT = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


def library(name: str, *sources: str, extra: tuple[str, ...] = ()) -> tuple[str, dict[str, list[str]]]:
    """A static library that is linked into toastbox._native."""
    build = {
        "sources": [f"cnative/src/{source}" for source in sources],
        "include_dirs": ["cnative/include"],
        "cflags": [*STRICT, *extra],
    }
    return name, build


setup(
    libraries=[
        library("toastbox_linux", "scan.c", "sum.c", "digest.c", "posix.c", "memory.c"),
        library("toastbox_core", "arena.c", "chunker.c", extra=("-ffreestanding",)),
    ],
    cffi_modules=["cnative/cffi/build_native.py:ffibuilder"],
)
