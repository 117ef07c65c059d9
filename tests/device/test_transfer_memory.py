"""What files on their way cost: objects of the batch in hand, however many files there are."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import pytest

from local import LocalDevice, LocalHub, nest
from toastbox.device import folder, pull, push, send

BATCH = 50
FEW, MANY = 500, 3000
IN_HAND = 12  # objects for each of a batch: rows, proposals, entries, looks; two batches are in hand at once


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LocalDevice, LocalDevice]]:
    monkeypatch.setattr(pull, "PAGE_ENTRIES", BATCH)
    monkeypatch.setattr(send, "BATCH_ENTRIES", BATCH)
    monkeypatch.setattr(push, "MANY_SMALL", BATCH // 2)
    monkeypatch.setattr(folder, "SEEN_AT_ONCE", BATCH // 2)
    gc.collect()  # what tests before have left is not of a batch
    hub = LocalHub(tmp_path / "hub")
    yield LocalDevice(hub, tmp_path / "a"), LocalDevice(hub, tmp_path / "b")
    hub.close()


def objects() -> int:
    """Instances of the agent's own classes; not those of the hub, which is in this process as well."""
    plain = (type, FunctionType, MethodType)
    return sum(
        type(each).__module__.startswith(("toastbox.device", "toastbox.core", "toastbox.native"))
        for each in gc.get_objects()
        if not isinstance(each, plain)
    )


def most_between_batches(device: LocalDevice, call: str) -> int:
    """Syncs; the most objects at any of these calls to the hub."""
    seen: list[int] = []
    real: Callable[..., Any] = getattr(device.remote, call)

    def counted(*arguments: Any) -> Any:
        seen.append(objects())
        return real(*arguments)

    setattr(device.remote, call, counted)
    assert device.sync()
    setattr(device.remote, call, real)
    return max(seen)


def fill(device: LocalDevice, count: int, folder: str) -> None:
    for number in range(count):
        device.write(f"{folder}/{number:05}", b"%d" % number)


def test_uploads_and_downloads_hold_the_objects_of_a_few_batches(pair: tuple[LocalDevice, LocalDevice]) -> None:
    a, b = pair
    most = {}
    for count in (FEW, MANY):
        fill(a, count, f"of-{count}")
        most[count] = most_between_batches(a, "commit"), most_between_batches(b, "pull")
    assert a.tree() == b.tree()
    (few_up, few_down), (many_up, many_down) = most[FEW], most[MANY]
    assert many_up - few_up < BATCH and many_down - few_down < BATCH, most
    assert many_up - objects() < IN_HAND * BATCH and many_down - objects() < IN_HAND * BATCH, (most, objects())


def test_renames_and_deletions_hold_no_object_for_each_file(pair: tuple[LocalDevice, LocalDevice]) -> None:
    a, b = pair
    fill(a, MANY, "d")
    assert a.sync() and b.sync()
    base = objects()
    (a.root / "d").rename(a.root / "e")
    assert most_between_batches(a, "commit") - base < IN_HAND * BATCH
    assert most_between_batches(b, "pull") - base < IN_HAND * BATCH
    assert a.tree() == b.tree()


def test_pages_of_deep_folders_are_short(
    pair: tuple[LocalDevice, LocalDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "PAGE_ENTRIES", 1024)
    a, b = pair
    nest(a.root, "level", 600, ("1", "2"))
    assert a.sync()
    tracemalloc.start()
    try:
        assert b.sync()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(b.index) == 1800 and peak < 6_000_000, f"{peak}: pages of 1 MiB take 8,500,000"
