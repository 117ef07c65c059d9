"""Arena: fixed memory, marks, pools, figures."""

from typing import Any

import pytest

from toastbox.errors import ArenaFull
from toastbox.native.arena import Arena, RegionStats


def test_buffers_are_writable_and_apart() -> None:
    arena = Arena(4096)
    first, second = arena.buffer(100), arena.buffer(50)
    first[:] = b"a" * 100
    second[:] = b"b" * 50
    assert bytes(first) == b"a" * 100 and bytes(second) == b"b" * 50


def test_refusal_changes_nothing_but_its_count() -> None:
    arena = Arena(4096)
    arena.buffer(4000)
    with pytest.raises(ArenaFull, match="smaller"):
        arena.buffer(200)
    assert arena.stats() == [RegionStats("main", 4096, 4000, 4000, 1)]
    assert len(arena.buffer(96)) == 96


def test_release_gives_back_down_to_the_mark() -> None:
    arena = Arena(4096)
    arena.buffer(16)
    mark = arena.mark()
    arena.buffer(4000)
    arena.release(mark)
    assert arena.stats()[0].in_use_bytes == 16
    assert arena.stats()[0].peak_bytes == 4016
    with pytest.raises(ValueError, match="order"):
        arena.release(mark + 16)


def test_scope_releases_on_error_too() -> None:
    arena = Arena(4096)
    with pytest.raises(RuntimeError), arena.main.scope():
        arena.buffer(1000)
        raise RuntimeError
    assert arena.stats()[0].in_use_bytes == 0


@pytest.mark.parametrize("size", [0, -1])
def test_empty_buffers_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="range"):
        Arena(4096).buffer(size)


def test_pool_lends_each_buffer_once() -> None:
    arena = Arena(1 << 16, pools={"chunk": (1000, 3)})
    pool = arena.pools["chunk"]
    taken = [pool.take() for _ in range(3)]
    for number, buffer in enumerate(taken):
        buffer[:] = bytes([number]) * 1000
    with pytest.raises(ArenaFull):
        pool.take()
    assert [buffer[999] for buffer in taken] == [0, 1, 2]
    pool.give(taken[1])
    with pool.lend() as buffer:
        assert buffer[999] == 1 and pool.stats().in_use_bytes == 3 * 1008
    assert pool.stats() == RegionStats("chunk", 3024, 2016, 3024, 1)


def test_pool_refuses_what_is_not_its_own() -> None:
    arena = Arena(1 << 16, pools={"chunk": (1000, 3)})
    pool = arena.pools["chunk"]
    buffer = pool.take()
    again = memoryview(buffer)
    pool.give(buffer)
    for foreign in (again, memoryview(bytearray(1000)), arena.buffer(1000)):
        with pytest.raises(ValueError, match="pool"):
            pool.give(foreign)


def test_regions_do_not_share_memory() -> None:
    arena = Arena(8192, regions={"scan": 4096})
    scan = arena.regions["scan"]
    scan.buffer(4096)[:] = b"s" * 4096
    with pytest.raises(ArenaFull):
        scan.buffer(1)
    arena.buffer(4096)[:] = b"m" * 4096
    assert [stats.in_use_bytes for stats in arena.stats()] == [4096, 4096]


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({"pools": {"chunk": (1 << 20, 1)}}, ArenaFull),
        ({"pools": {"chunk": (0, 1)}}, ValueError),
        ({"regions": {"a": 1 << 20}}, ArenaFull),
        ({"regions": {str(number): 16 for number in range(9)}}, ValueError),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Arena(4096, **parts)


def test_trim_gives_pages_above_the_top_back() -> None:
    arena = Arena(1 << 20)
    kept = arena.buffer(5000)
    kept[:] = b"k" * 5000
    mark = arena.mark()
    arena.buffer(1 << 19)[:] = b"x" * (1 << 19)
    arena.release(mark)
    arena.main.trim()
    assert bytes(kept) == b"k" * 5000
    assert bytes(arena.buffer(1 << 19)[8192:]) == bytes((1 << 19) - 8192)
