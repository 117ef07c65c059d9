"""What the disk and the database on it refuse, in the program's own errors."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from toastbox.errors import DeviceFailing, DeviceFull, IndexDamaged, ToastboxError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL = "no room on this device's disk: free some, then it goes on by itself"
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@contextmanager
def storage_errors(database: str) -> Iterator[None]:
    """Inside, errors of the database, and any for want of room, come out as DeviceFull or DeviceFailing."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, database) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DeviceFull(FULL) from error
        raise


def _translated(error: sqlite3.Error, database: str) -> ToastboxError:
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name == "SQLITE_FULL":
        return DeviceFull(FULL)
    if name in DAMAGED:
        return IndexDamaged(f"{database} is damaged: a start without it compares everything anew")
    return DeviceFailing(f"{database} cannot be used ({name}): its disk is read-only, or fails")
