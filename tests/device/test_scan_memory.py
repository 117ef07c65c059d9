"""What a scan costs: of unchanged files nothing comes to Python, of the others never more than the batch in hand."""

import gc
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import LocalDevice, LocalHub, nest
from toastbox.device.push import Pusher
from toastbox.device.row import Row
from toastbox.device.seen import Seen
from toastbox.device.send import BATCH_PATHS

FILES = 3000
BATCH = 300  # rows read at once, and a few; a listing in the arena holds thousands


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalDevice, LocalDevice]]:
    hub = LocalHub(tmp_path / "hub")
    yield LocalDevice(hub, tmp_path / "a"), LocalDevice(hub, tmp_path / "b")
    hub.close()


class Count:
    """Paths that a scan looks at in Python, and the most objects of a path that were alive at any of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.visits = 0
        self.alive = 0
        visit = Pusher._visit

        def counted(pusher: Pusher, row: Row | None, seen: Seen | None) -> None:
            self.visits += 1
            if self.visits % 250 == 0:
                self.alive = max(self.alive, sum(isinstance(each, Row | Seen) for each in gc.get_objects()))
            visit(pusher, row, seen)

        monkeypatch.setattr(Pusher, "_visit", counted)


def fill(device: LocalDevice) -> None:
    for number in range(FILES):
        device.write(f"d/{number:05}-with-a-name-of-some-length")
    device.write("few/one", b"1")
    device.write("few/two", b"2")


def test_unchanged_files_are_not_looked_at(
    pair: tuple[LocalDevice, LocalDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    fill(a)
    assert a.sync() and b.sync()
    a.engine.confirm()
    b.engine.confirm()
    for device in pair:
        device.restart()
        count = Count(monkeypatch)
        assert device.sync()
        assert count.visits == 0


def test_only_the_folder_that_changed_is_looked_at(
    pair: tuple[LocalDevice, LocalDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    fill(a)
    assert a.sync() and b.sync()
    a.engine.confirm()
    a.restart()
    a.write("few/one", b"other")
    (a.root / "few/new/deep").mkdir(parents=True)
    a.write("few/new/deep/file", b"3")
    count = Count(monkeypatch)
    assert a.sync()
    assert count.visits == len(["one", "two", "new", "deep", "file"])
    a.engine.confirm()
    monkeypatch.undo()
    assert b.sync() and a.tree() == b.tree()


def test_no_more_objects_than_the_batch_in_hand(
    pair: tuple[LocalDevice, LocalDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    fill(a)
    assert a.sync() and b.sync()
    for number in range(FILES):
        os.utime(a.root / f"d/{number:05}-with-a-name-of-some-length", ns=(1, 1_000_000_000))
    a.engine.report.counts["sent"] = 0
    count = Count(monkeypatch)
    monkeypatch.setattr(a.engine._pusher, "_propose", lambda row, seen: None)
    a.sync()
    assert count.visits >= FILES
    assert 0 < count.alive <= BATCH


def test_listings_are_given_back_when_a_scan_is_broken_off(
    pair: tuple[LocalDevice, LocalDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = pair
    fill(a)

    def fail(row: Row | None, seen: Seen | None) -> None:
        if seen is not None and seen.path.endswith(b"length"):
            raise ConnectionError("the hub is gone")

    monkeypatch.setattr(a.engine._pusher, "_propose", fail)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            a.sync()
    assert a.arena.regions["listings"].stats().in_use_bytes == 0


def test_deep_and_wide_tree_fits_in_a_small_region(pair: tuple[LocalDevice, LocalDevice]) -> None:
    a, b = pair
    place = "a folder with a name that takes room"
    path = ""
    for _ in range(8):
        path = f"{path}{place}/"
        for number in range(400):
            a.write(f"{path}z{number:03} {'n' * 80}")
    assert a.sync() and b.sync()
    assert a.tree() == b.tree() and len(b.tree()) == 8 * 401


def test_deep_tree_costs_one_path_and_not_one_for_each_folder(pair: tuple[LocalDevice, LocalDevice]) -> None:
    a, b = pair
    nest(a.root, "a folder's name", 200)
    tracemalloc.start()
    try:
        assert sum(1 for _ in a.folder.walk(b"", lambda seen: True)) == 200
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 450_000, "the paths of all are 320,000 bytes together"
    sizes: list[int] = []
    commit = a.remote.commit

    def counted(body: bytes) -> bytes:
        sizes.append(len(body))
        return commit(body)

    a.remote.commit = counted  # type: ignore[method-assign]
    assert a.sync() and b.sync()
    assert len(sizes) > 1 and max(sizes) < 2 * BATCH_PATHS
    assert len(b.index) == 200
