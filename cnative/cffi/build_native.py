"""Builds toastbox._native, the CPython extension over the C core (cffi, API mode).

The headers are the interface: cffi reads their declarations, the compiler the headers themselves. The C
sources are compiled apart (setup.py, `libraries`), with warnings as errors; the file that cffi generates is
not ours to judge. Nothing here asks the building machine anything: a cross build needs only a compiler.
"""

from pathlib import Path

from cffi import FFI

INCLUDE = Path(__file__).resolve().parent.parent / "include"
HEADERS = ("toastbox.h", "toastbox_linux.h")


def declarations(header: Path) -> str:
    """The header without the preprocessor's lines."""
    lines = header.read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


ffibuilder = FFI()
for name in HEADERS:
    ffibuilder.cdef(declarations(INCLUDE / name))
ffibuilder.set_source(
    "toastbox._native",
    "\n".join(f'#include "{name}"' for name in HEADERS),
    include_dirs=["cnative/include"],
)

if __name__ == "__main__":
    ffibuilder.emit_c_code("toastbox._native.c")
