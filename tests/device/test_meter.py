"""What `toastbox top` counts, and that nothing is left of it when it is off."""

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import LocalDevice, LocalHub
from toastbox._native import lib
from toastbox.device.meter import Meter, summary
from toastbox.native import digest, scan, sums


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LocalDevice]:
    hub = LocalHub(tmp_path / "hub")
    yield LocalDevice(hub, tmp_path / "a")
    hub.close()


def counted(device: LocalDevice) -> dict[str, Any]:
    """The calls of one sync."""
    meter = Meter(device.index)
    meter.start()
    try:
        assert device.sync()
        return meter.tally.figures()
    finally:
        meter.stop()


def test_calls_of_c_hashes_and_statements_are_counted(device: LocalDevice) -> None:
    for number in range(20):
        device.write(f"d/{number}", os.urandom(1000))
    # Always the same: its cuts decide where the window ends, and once in a hundred times the small ones are in two.
    device.write("large", random.Random(1).randbytes(3_000_000))
    calls = counted(device)
    assert calls["tbx_folders_sum"]["count"] >= 1 and calls["tbx_listing_scan"]["bytes"] > 20 * 40
    cut = sum(row["bytes"] for name, row in calls.items() if name.startswith("tbx_chunker_"))
    assert 3_000_000 <= cut < 3_100_000
    hashed = [calls[name]["bytes"] for name in ("sha256", "tbx_digest_chunks")]
    assert calls["tbx_digest_chunks"]["count"] >= 1 and sum(hashed) >= 3_020_000
    assert calls["sql insert entry"]["count"] == 3  # a folder, twenty files together, one of many chunks
    assert all(row["seconds"] > 0 for row in calls.values())


def test_bytes_of_files_that_are_made_are_counted(device: LocalDevice, tmp_path: Path) -> None:
    other = LocalDevice(device.hub, tmp_path / "b")
    for number in range(20):
        device.write(f"d/{number}", os.urandom(1000))
    device.write("larger", bytes(20_000))  # of one chunk: random bytes are cut in two once in twenty times
    assert device.sync()
    calls = counted(other)
    assert calls["tbx_file_make"]["count"] == 1 and calls["tbx_file_make"]["bytes"] == 20_000
    assert calls["tbx_files_make"]["count"] == 1 and calls["tbx_files_make"]["bytes"] == 20_000


def test_chunks_of_a_large_file_that_is_compared_are_counted(device: LocalDevice, tmp_path: Path) -> None:
    other, content = LocalDevice(device.hub, tmp_path / "b"), os.urandom(5_000_000)
    for each in (device, other):
        each.write("large", content)
    assert device.sync()
    assert counted(other)["tbx_digest_chunks"]["bytes"] == 5_000_000


def test_off_means_that_nothing_is_in_the_way(device: LocalDevice) -> None:
    database = device.index._db
    meter = Meter(device.index)
    for _ in range(2):
        meter.start()
        meter.start()
        assert scan.lib is not lib and digest.hashlib is not hashlib and device.index._db is not database
        meter.stop()
        assert not meter.on
        assert scan.lib is lib and sums.lib is lib and digest.hashlib is hashlib
        assert device.index._db is database
    device.write("x", b"1")
    assert device.sync()
    assert meter.tally.figures() == {}


def test_statements_are_named_by_verb_and_table() -> None:
    assert summary("INSERT INTO entry(kind) VALUES(?)") == "insert entry"
    assert summary("SELECT key FROM folder WHERE key = ?") == "select folder"
    assert summary("DELETE FROM held") == "delete held"
    assert summary("UPDATE entry SET seq = ?") == "update entry"
    assert summary("COMMIT") == "commit"
