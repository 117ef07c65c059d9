"""What the hub's disk has lost comes back from a device that has it."""

import os
from pathlib import Path

import pytest

from local import LocalDevice, LocalHub, Trio, held, settle
from toastbox.errors import DamagedData
from toastbox.hub.chunks.packfile import HEADER, RECORD, scan
from toastbox.hub.chunks.packs import FRESH_S


def damage(hub: LocalHub) -> int:
    """Turn one byte of every chunk's data around, some time after they came; how many chunks there are."""
    hub.clock.later_s += FRESH_S
    [pack] = (Path(hub.home.path) / "chunks").glob("*.pack")
    with pack.open("r+b", buffering=0) as file:
        records = list(scan(file.fileno(), HEADER.size))
        for record in records:
            at = record.offset + RECORD.size + record.size // 2
            byte = os.pread(file.fileno(), 1, at)[0]
            os.pwrite(file.fileno(), bytes([byte ^ 1]), at)
    return len(records)


def write_all(device: LocalDevice) -> None:
    device.write("large", os.urandom(700_000))
    device.write("d/small", b"a few bytes")


def test_damaged_chunks_are_brought_back(trio: Trio) -> None:
    hub, a, b = trio
    write_all(a)
    a.sync()
    count = damage(hub)
    b.sync()
    assert set(held(b)) == {b"large", b"d/small"}
    assert "received" not in b.engine.report.counts or b.engine.report.counts["received"] == 1  # the folder
    sent = a.remote.calls["upload"]
    a.sync()
    assert a.remote.calls["upload"] == sent + 1 and count > 2
    b.engine.retry_held()
    b.sync()
    assert held(b) == {} and a.tree() == b.tree()
    assert hub.service.wanted.mark(1) == 0


def test_chunks_damaged_as_soon_as_they_came_are_brought_back_a_moment_later(trio: Trio) -> None:
    hub, a, b = trio
    write_all(a)
    a.sync()
    damage(hub)
    hub.clock.later_s = 0
    with pytest.raises(DamagedData):  # hashed by who receives it, who tries again
        b.sync()
    assert b.tree() == {}
    hub.clock.later_s = FRESH_S
    b.sync()
    a.sync()
    b.engine.retry_held()
    b.sync()
    assert held(b) == {} and a.tree() == b.tree()


def test_only_what_is_still_here_is_brought(trio: Trio) -> None:
    hub, a, b = trio
    write_all(a)
    a.sync()
    damage(hub)
    b.sync()
    (a.root / "d/small").write_bytes(b"other bytes")  # its index does not know yet
    a.engine._mender.mend()
    assert len(hub.service.wanted.hashes(1)) == 32, "the large file's are back"
    settle(a, b)
    b.engine.retry_held()
    settle(a, b)
    assert held(b) == {} and a.tree() == b.tree() and (b.root / "d/small").read_bytes() == b"other bytes"


@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing"])
def test_file_that_became_something_else_is_passed_over(trio: Trio, kind: str) -> None:
    hub, a, b = trio
    a.write("x", b"content")
    a.sync()
    damage(hub)
    b.sync()
    (a.root / "x").unlink()
    if kind == "folder":
        (a.root / "x").mkdir()
    elif kind == "pipe":
        os.mkfifo(a.root / "x")
    a.engine._mender.mend()
    assert hub.service.wanted.mark(1) != 0
