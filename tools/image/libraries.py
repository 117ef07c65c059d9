"""Which shared libraries the programs of a root need, read from their ELF files, and which of those are not in it.

The list of packages is written by hand (packages.py); this finds what was forgotten before a board does.
"""

import struct
from collections.abc import Iterator

from tools.image.tree import Tree

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB = 1, 5


class NoLibrary(Exception):
    """A program in the root needs a library that is not in it."""


def needed(data: bytes) -> list[str]:
    """Names of the libraries that a little-endian ELF file asks for; none for what is not one."""
    if data[:4] != b"\x7fELF" or data[5] != 1:
        return []
    wide = data[4] == 2
    segments = list(_segments(data, wide))
    entries = [
        pair for kind, offset, _, size in segments if kind == PT_DYNAMIC for pair in _dynamic(data, offset, size, wide)
    ]
    table = next((_offset(segments, value) for tag, value in entries if tag == DT_STRTAB), 0)
    return [_text(data, table + value) for tag, value in entries if tag == DT_NEEDED]


def _segments(data: bytes, wide: bool) -> Iterator[tuple[int, int, int, int]]:
    """(type, offset, address, size) of each program header."""
    start, size, count = struct.unpack_from("<32xQ14xHH", data) if wide else struct.unpack_from("<28xI10xHH", data)
    for number in range(count):
        at = start + number * size
        if wide:
            yield struct.unpack_from("<I4xQQ8xQ", data, at)
        else:
            yield struct.unpack_from("<III4xI", data, at)


def _dynamic(data: bytes, offset: int, size: int, wide: bool) -> Iterator[tuple[int, int]]:
    form = "<qQ" if wide else "<iI"
    return struct.iter_unpack(form, data[offset : offset + size // struct.calcsize(form) * struct.calcsize(form)])


def _offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    """Where in the file what is at this address lies."""
    return next(
        offset + address - base
        for kind, offset, base, size in segments
        if kind == PT_LOAD and base <= address < base + size
    )


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def check(tree: Tree) -> None:
    """Raise NoLibrary for the first thing that could not be loaded."""
    there = {path.rpartition("/")[2] for path in tree.nodes}
    for path in sorted(tree.nodes):
        for name in needed(tree.nodes[path].data):
            if name not in there:
                raise NoLibrary(f"{path} needs {name}, which no package of tools/image/packages.py brings")
