"""C error codes as Python errors: the one table."""

import os

from toastbox._native import ffi, lib
from toastbox.errors import ArenaFull


def check(code: int, what: str = "") -> int:
    """Returns code when it is no error; else raises.

    ArenaFull: a region refused. OSError: the kernel refused, with errno; `what` is its file name.
    ValueError: the calling code is wrong.
    """
    if code >= 0:
        return code
    if code == lib.TBX_ERR_SYSTEM:
        number: int = ffi.errno
        raise OSError(number, os.strerror(number), what or None)
    if code == lib.TBX_ERR_FULL:
        raise ArenaFull(f"arena: no room for {what or 'this'}; make the batch smaller")
    raise ValueError(f"{_WRONG[code]}: {what}" if what else _WRONG[code])


_WRONG = {
    lib.TBX_ERR_PARAMETER: "size out of range",
    lib.TBX_ERR_ORDER: "released out of order: marks are released last in, first out",
    lib.TBX_ERR_FOREIGN: "given back to a pool that it was not taken from, or twice",
}
