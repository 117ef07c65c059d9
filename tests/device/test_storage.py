"""What a disk refuses, in the program's own errors."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from toastbox.device.storage import storage_errors
from toastbox.errors import DeviceFailing, DeviceFull, IndexDamaged, ToastboxError


def refused(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("name", "of_write", "kind"),
    [
        ("SQLITE_FULL", None, DeviceFull),
        ("SQLITE_IOERR_WRITE", errno.EDQUOT, DeviceFull),
        ("SQLITE_IOERR_WRITE", errno.EIO, DeviceFailing),
        ("SQLITE_IOERR_WRITE", None, DeviceFailing),
        ("SQLITE_READONLY", errno.EDQUOT, DeviceFailing),
        ("SQLITE_CORRUPT", errno.EDQUOT, IndexDamaged),
    ],
)
def test_a_quota_is_a_full_disk_and_not_a_failing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, of_write: int | None, kind: type[ToastboxError]
) -> None:
    """To SQLite both are the same."""

    def write(descriptor: int, data: bytes) -> int:
        if of_write is not None:
            raise OSError(of_write, os.strerror(of_write))
        return len(data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(ToastboxError) as caught, storage_errors(str(tmp_path / "index.db")):
        raise refused(name)
    assert type(caught.value) is kind
    assert list(tmp_path.iterdir()) == []
