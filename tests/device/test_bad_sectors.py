"""Files whose content the disk does not give back: they are held back, all else goes on."""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast

import pytest

from local import LocalDevice, Trio, held, look, settle
from toastbox.device import folder as folder_module
from toastbox.device.folder import Folder
from toastbox.device.lend import Lender
from toastbox.device.state import Store
from toastbox.device.unsettled import MOST
from toastbox.errors import DeviceFailing, DeviceFull
from toastbox.native import scan

WHY = "cannot be read: Input/output error"
LARGE = 700_000


def wear_out(patch: pytest.MonkeyPatch, device: LocalDevice, *names: str) -> None:
    """From now on these files, whatever they are called, can be opened and not read."""
    bad = {(device.root / name).stat().st_ino for name in names}
    real = scan.take_files

    def guarded(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(descriptor: int, *arguments: Any) -> Any:
            if os.fstat(descriptor).st_ino in bad:
                raise OSError(errno.EIO, "Input/output error")
            return read(descriptor, *arguments)

        return reading

    def take_files(parent: int, leaves: Sequence[bytes], buffer: memoryview, most: int) -> list[scan.Taken]:
        found: list[scan.Taken] = []
        for leaf in leaves:
            if os.stat(leaf, dir_fd=parent).st_ino in bad:
                found.append(scan.Taken(0, None, errno.EIO))
            else:
                found += real(parent, [leaf], buffer, most)
                buffer = buffer[found[-1].size :]
        return found

    patch.setattr(device.folder, "read_into", guarded(device.folder.read_into))
    patch.setattr(device.folder, "read_at", guarded(device.folder.read_at))
    patch.setattr(folder_module, "take_files", take_files)


def test_files_that_cannot_be_read_are_held_back_and_the_rest_goes(
    trio: Trio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, a, b = trio
    a.write("photos/whole", b"content")
    a.write("photos/small", b"1")
    a.write("photos/large", os.urandom(LARGE))
    with monkeypatch.context() as patch:
        wear_out(patch, a, "photos/small", "photos/large")
        for _ in range(2):
            a.sync()
            assert held(a) == {b"photos/small": WHY, b"photos/large": WHY}
        assert "'photos/small' cannot be read: check this device's disk" in caplog.messages
        a.write("later", b"2")
        assert look(a, b"later")
        settle(b)
        assert set(b.tree()) == {"photos", "photos/whole", "later"}
    settle(a, b)
    assert held(a) == {} and a.tree() == b.tree() and "photos/large" in b.tree()


def test_an_edit_that_cannot_be_read_deletes_nothing(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("x", b"before")
    settle(a, b)
    a.write("x", b"after, and longer")
    wear_out(monkeypatch, a, "x")
    settle(a, b)
    assert held(a) == {b"x": WHY} and (b.root / "x").read_bytes() == b"before"


def test_a_version_from_elsewhere_takes_the_place_of_what_cannot_be_read(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, a, b = trio
    a.write("x", b"before")
    a.write("y", b"before")
    settle(a, b)
    time.sleep(0.05)
    b.engine.confirm()
    a.write("x", b"after, and longer")
    a.write("y", b"after, and longer")
    b.write("y", b"an edit that is lost on its disk")
    wear_out(monkeypatch, b, "x", "y")
    settle(a, b)
    assert (b.root / "x").read_bytes() == (b.root / "y").read_bytes() == b"after, and longer"
    [aside] = held(b)
    assert b.tree().keys() - a.tree().keys() == {aside.decode()}, "kept as it is, beside the one that won"


def test_a_file_that_cannot_be_read_is_not_lent(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, _ = trio
    a.write("x", b"content")
    a.sync()
    store = cast(Store, SimpleNamespace(index_path=str(a.root / ".toastbox/index.db"), folder=a.root))
    with contextlib.closing(Lender(store, a.arena.regions["listings"])) as lender:
        digest = sha256(b"content").digest()
        assert lender.load(digest) == b"content"

        def fail(*_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(Folder, "read_at", fail)
        assert lender.load(digest) is None


@pytest.mark.parametrize("code, kind", [(errno.EIO, DeviceFailing), (errno.ENOSPC, DeviceFull)])
def test_saves_that_cannot_be_flushed_are_no_files_that_cannot_be_read(
    trio: Trio, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    _, a, _ = trio
    for number in range(MOST + 600):
        a.write(f"{number}", b"%d" % number)

    def refuse() -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(a.folder, "flush_all", refuse)
    with pytest.raises(kind):
        a.sync()
    assert held(a) == {}
