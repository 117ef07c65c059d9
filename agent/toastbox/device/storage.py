"""What the disk and the database on it refuse, in the program's own errors."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from toastbox.errors import DeviceFailing, DeviceFull, IndexDamaged, ToastboxError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL = "no room on this device's disk: free some, then it goes on by itself"
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
PROBE_BYTES = 256 << 10  # more than one transaction of the index writes, as a rule


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


@contextmanager
def write_errors() -> Iterator[None]:
    """Inside, whatever a disk fails to write comes out as DeviceFull or DeviceFailing. An OSError is about one file."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DeviceFull(FULL) from error
        raise _failing(error) from error


def fail_on_io(error: OSError) -> None:
    """Raise DeviceFailing where it is the disk: what it was told before may be lost too."""
    if error.errno == errno.EIO:
        raise _failing(error) from error


def _failing(error: OSError) -> DeviceFailing:
    return DeviceFailing(f"this device's disk reports an error ({error.strerror}): check or replace it")


def _translated(error: sqlite3.Error, database: str) -> ToastboxError:
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _is_refused_room(os.path.dirname(database))):
        return DeviceFull(FULL)
    if name in DAMAGED:
        return IndexDamaged(f"{database} is damaged: a start without it compares everything anew")
    return DeviceFailing(f"{database} cannot be used ({name}): its disk is read-only, or fails")


def _is_refused_room(folder: str) -> bool:
    """Whether a file there cannot be written for want of room. SQLite does not tell a quota from a failing disk."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            left = PROBE_BYTES
            while left > 0:
                left -= os.write(descriptor, bytes(left))
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno in NO_ROOM
    return False
