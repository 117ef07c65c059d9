"""What a device knows of the memory it may use, and how it makes room in it."""

import resource
from pathlib import Path

import pytest

from local import LocalDevice, LocalHub
from toastbox.config import BESIDE_WINDOWS, KIB, AgentSettings
from toastbox.device.memory import bytes_to_free, memory_limit
from toastbox.device.parts import make_arena, processors, take_buffers
from toastbox.native import posix
from toastbox.quantity import parse_bytes

V1 = "4:memory:/board/agent\n3:cpuset:/\n0::/\n"
V2 = "0::/board/agent\n"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def limit(tmp_path: Path, groups: str, **files: str) -> int:
    put(tmp_path / "cgroup", groups.rstrip())
    for name, text in files.items():
        put(tmp_path / "fs" / name.replace("__", "."), text)
    return memory_limit(tmp_path / "cgroup", tmp_path / "fs")


@pytest.mark.parametrize("window", [512 * KIB, 600_001, 1280 * KIB])
@pytest.mark.parametrize("windows", [2, 3])
def test_least_arena_that_settings_take_holds_all_buffers(window: int, windows: int) -> None:
    settings = AgentSettings(arena=windows * window + BESIDE_WINDOWS, window=window)
    assert [len(each) for each in take_buffers(make_arena(settings, processors()), settings)] == [window] * windows + [
        512 * KIB
    ]


def test_settings_refuse_an_arena_that_cannot_hold_them() -> None:
    with pytest.raises(ValueError, match="it must be 2112KiB at least"):
        AgentSettings(arena=2112 * KIB - 1, window=512 * KIB)


def test_least_limit_of_all_groups_above_counts(tmp_path: Path) -> None:
    for place, text in (("board/agent", "67108864"), ("board", "33554432"), ("", "9223372036854771712")):
        put(tmp_path / "fs/memory" / place / "memory.limit_in_bytes", text)
    assert limit(tmp_path, V1) == 32 << 20


def test_limit_of_version_2(tmp_path: Path) -> None:
    put(tmp_path / "fs/board/agent/memory.max", "max")
    assert limit(tmp_path, V2) == 0
    put(tmp_path / "fs/board/memory.max", "50331648")
    assert limit(tmp_path, V2) == 48 << 20


@pytest.mark.parametrize("groups", [V1, V2, "", "garbage:of:a:kind"])
def test_no_limit_where_none_is_told(tmp_path: Path, groups: str) -> None:
    assert limit(tmp_path, groups) == 0
    assert memory_limit(tmp_path / "missing", tmp_path) == 0


def test_way_is_made_only_where_memory_is_short() -> None:
    assert bytes_to_free(0) == bytes_to_free(128 << 20) == 0
    assert 2 << 20 < bytes_to_free(32 << 20) < 4 << 20


def test_making_way_takes_memory_and_gives_it_back() -> None:
    size, page = 64 << 20, resource.getpagesize()
    before = resource.getrusage(resource.RUSAGE_SELF)
    posix.make_way(size)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_minflt - before.ru_minflt >= size // (512 * page)  # with huge pages at least
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert resident_pages * page < after.ru_maxrss * 1024


def test_way_is_made_after_each_flush_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = LocalHub(tmp_path / "hub")
    a, b = LocalDevice(hub, tmp_path / "a"), LocalDevice(hub, tmp_path / "b")
    for number in range(20):
        a.write(f"{number}", b"%d" % number)
    a.sync()
    made: list[int] = []
    monkeypatch.setattr(posix, "make_way", made.append)
    b.folder.way_bytes = 12345
    b.sync()
    assert made and set(made) == {12345} and a.tree() == b.tree()
    hub.close()


@pytest.mark.parametrize(("arena", "listings"), [("2112KiB", "512KiB"), ("8MiB", "2240KiB"), ("32MiB", "26816KiB")])
def test_listings_have_what_the_buffers_leave_of_the_arena(arena: str, listings: str) -> None:
    window = 512 * KIB if arena == "2112KiB" else 1280 * KIB
    settings = AgentSettings(arena=parse_bytes(arena), window=window)
    assert make_arena(settings, 2).regions["listings"].stats().size_bytes == parse_bytes(listings)
    assert make_arena(settings, 2, short=True).regions["listings"].stats().size_bytes == 512 * KIB
