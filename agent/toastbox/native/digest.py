"""SHA-256 of many chunks by one call, in the libcrypto that hashlib uses: see device/cutting.py for why."""

import hashlib
from collections.abc import Sequence

from toastbox._native import ffi, lib
from toastbox.native.status import check

ITEM_SIZE = 36
_LIBRARIES = (b"libcrypto.so.3", b"libcrypto.so.1.1")  # Debian's since 2018


def chunk_list(data: memoryview, ends: Sequence[int]) -> bytes:
    """The chunks of data that end there, one behind the other, in a chunk list: of each its hash, its length
    (docs/SPEC.md, section 3). Without the GIL.
    """
    if not _digesters:
        return hashed_one_by_one(data, ends)
    items = bytearray(ITEM_SIZE * len(ends))
    with ffi.from_buffer("uint8_t[]", data) as source, ffi.from_buffer("uint8_t[]", items) as out:
        check(lib.tbx_digest_chunks(_digesters[0], out, source, ffi.new("size_t[]", ends), len(ends)), "hashing")
    return bytes(items)


def hashed_one_by_one(data: memoryview, ends: Sequence[int]) -> bytes:
    """The same by hashlib: where Python has no libcrypto of the system's, but one of its own inside."""
    items, start = [], 0
    for end in ends:
        items.append(hashlib.sha256(data[start:end]).digest())
        items.append((end - start).to_bytes(4, "little"))
        start = end
    return b"".join(items)


def open_digesters(libraries: Sequence[bytes]) -> list[object]:
    """Those of the libraries that this process has loaded, ready for use."""
    found = []
    for name in libraries:
        digester = ffi.new("tbx_digester *")
        if lib.tbx_digester_open(digester, name) == 1:
            found.append(digester)
    return found


_digesters = open_digesters(_LIBRARIES)
