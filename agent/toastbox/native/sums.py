"""Folder sums: whether folders still show what they showed, without a record of any name (cnative/src/sum.c)."""

import errno
import os
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from toastbox._native import ffi, lib
from toastbox.native.posix import open_beneath

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY

_SIGNATURE = struct.Struct("=QQQqq")  # tbx_signature
if _SIGNATURE.size != ffi.sizeof("tbx_signature"):
    raise ImportError("C and toastbox.native.sums disagree: rebuild the extension")


class Sum(NamedTuple):
    """What a folder shows. total: of all names, modulo 2^64, signed; names: how many.

    error: errno, else 0. foreign: the folder is on another device.
    """

    total: int
    names: int
    error: int
    foreign: bool


def name_sum(key: bytes, name: bytes, kind: int, inode: int, size: int, mtime_ns: int, ctime_ns: int) -> int:
    """The hash of one name; those of a folder's names add up to its sum."""
    signature = ffi.new("tbx_signature *", (kind, inode, size, mtime_ns, ctime_ns))
    return int(lib.tbx_sum_name(key, signature, name, len(name)))


def name_sums(key: bytes, names: Sequence[bytes], signatures: Sequence[tuple[int, int, int, int, int]]) -> list[int]:
    """The same of many names. signatures: kind, inode, size, mtime_ns, ctime_ns of each."""
    out = ffi.new("uint64_t[]", len(names))
    packed = ffi.from_buffer("tbx_signature[]", b"".join([_SIGNATURE.pack(*each) for each in signatures]))
    lib.tbx_sum_names(out, len(names), key, packed, b"\0".join(names))
    return list(ffi.unpack(out, len(names)))


def signed(total: int) -> int:
    """A sum modulo 2^64 as SQLite keeps it."""
    return (total + (1 << 63)) % (1 << 64) - (1 << 63)


def folder_sums(
    root_fd: int, device: int, paths: list[bytes], key: bytes, skip: bytes, way_bytes: int = 0
) -> list[Sum]:
    """What each folder shows now; paths are relative to root_fd, b"" is root_fd itself.

    device: st_dev of what is ours. key: 16 bytes. skip: a name passed over in root_fd itself. No link is followed.
    way_bytes: for posix.make_way after every some hundred names.
    """
    out = ffi.new("tbx_sum[]", len(paths))
    lib.tbx_folders_sum(
        out, len(paths), root_fd, device, b"".join(path + b"\0" for path in paths), key, skip, way_bytes
    )
    return [_sum(out, at, root_fd, device, path, key, skip, way_bytes) for at, path in enumerate(paths)]


def _sum(out: Any, at: int, root_fd: int, device: int, path: bytes, key: bytes, skip: bytes, way: int) -> Sum:
    if out[at].error == errno.EAGAIN:
        _sum_anew(out + at, root_fd, device, path, key, b"" if path else skip, way)
    found = out[at]
    return Sum(signed(found.sum), found.count, found.error, bool(found.foreign))


def _sum_anew(out: Any, root_fd: int, device: int, path: bytes, key: bytes, skip: bytes, way: int) -> None:
    """For kernels without openat2: the folder is opened name by name."""
    try:
        descriptor = open_beneath(root_fd, path or b".", OPEN_FOLDER)
    except OSError as error:
        out.error = error.errno or errno.EIO
        return
    try:
        lib.tbx_folder_sum(out, descriptor, device, key, skip, way)
    finally:
        os.close(descriptor)
