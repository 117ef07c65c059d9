"""What the disk says, in the program's own errors."""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator

from toastbox.errors import DeviceFailing, DeviceFull, ToastboxError

_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Inside, an OSError or sqlite3.Error comes out as DeviceFull or DeviceFailing."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise translate(error) from error


def translate(error: OSError | sqlite3.Error) -> ToastboxError:
    """DeviceFull where more room would help, else DeviceFailing. No path: the text may reach a peer."""
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return DeviceFull("the hub's disk is full: free some room")
        return DeviceFailing(f"the hub's disk fails: {errno.errorcode.get(error.errno or 0, 'unknown error')}")
    code = getattr(error, "sqlite_errorname", "")
    if code == "SQLITE_FULL":
        return DeviceFull("the hub's disk is full: free some room")
    if code in _DAMAGED:
        return DeviceFailing("the hub's database is damaged: put a backup back, and start it with --restored")
    return DeviceFailing(f"the hub's database fails: {code or type(error).__name__}")
