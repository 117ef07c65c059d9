"""Agents and hub as processes, on the days nobody wants: killed, full, cut off, unmounted."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from town import Town, stop, tree, wait_for


def fill(folder: Path, count: int, seed: int, size: int = 6000) -> None:
    chance = random.Random(seed)
    for number in range(count):
        path = folder / f"d{number % 7}" / f"s{seed}-{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(size)))


@pytest.mark.parametrize("victim", ["a", "b"])
def test_killed_agent_goes_on_and_loses_nothing(town: Town, victim: str) -> None:
    a, b = town.join("a"), town.join("b")
    fill(a, 600, 1)
    agents = {name: town.start_agent(name) for name in "ab"}
    for turn in range(4):
        time.sleep(0.15 + 0.1 * turn)
        stop(agents[victim], signal.SIGKILL)
        fill(a, 50, 10 + turn)
        (b / f"from-b-{turn}").write_bytes(b"%d" % turn)
        agents[victim] = town.start_agent(victim)
    wait_for(lambda: tree(a) == tree(b))
    assert len(tree(a)) == 600 + 4 * 50 + 7 + 4


def test_killed_hub_goes_on_and_loses_nothing(town: Town) -> None:
    a, b = town.join("a"), town.join("b")
    fill(a, 600, 1)
    agents = [town.start_agent(name) for name in "ab"]
    for turn in range(3):
        time.sleep(0.3)
        stop(town.running[0], signal.SIGKILL)
        (b / f"from-b-{turn}").write_bytes(b"%d" % turn)
        town.running[0] = town.start_hub()
        town.running.pop()
    wait_for(lambda: tree(a) == tree(b) and len(tree(a)) == 600 + 7 + 3, 60)
    assert all(agent.poll() is None for agent in agents)


def test_agent_ends_within_two_seconds_while_busy(town: Town) -> None:
    a = town.join("a")
    fill(a, 3000, 1)
    agent = town.start_agent("a")
    time.sleep(0.2)
    started = time.monotonic()
    assert stop(agent) == (0, "")
    assert time.monotonic() - started < 2.0


def test_second_agent_is_refused(town: Town) -> None:
    town.join("a")
    town.start_agent("a")
    second = town.run("agent", "a", "--no-announce")
    assert second.returncode == 3
    assert "already" in second.stderr and second.stderr.count("\n") == 1


def test_vanished_root_ends_the_agent_and_deletes_nothing(town: Town) -> None:
    a, b = town.join("a"), town.join("b")
    fill(a, 60, 1)
    agent = town.start_agent("a")
    town.start_agent("b")
    wait_for(lambda: tree(a) == tree(b))
    a.rename(town.place / "gone")
    (town.place / "gone/d0/new").write_bytes(b"1")
    _, errors = agent.communicate(timeout=20)
    assert agent.returncode == 3
    assert "nothing is deleted" in errors
    assert len(tree(b)) >= 67


def test_folder_of_another_file_system_is_refused(town: Town) -> None:
    a = town.join("a")
    (a / "x").write_bytes(b"1")
    town.must("sync", "a")
    shutil.copytree(a, town.place / "copy", symlinks=True)
    moved = town.run("sync", "copy")
    assert moved.returncode == 3
    assert "join" in moved.stderr


def test_emptied_folder_is_refused_until_told_otherwise(town: Town) -> None:
    a = town.join("a")
    (a / "x").write_bytes(b"1")
    town.must("sync", "a")
    (a / "x").unlink()
    refused = town.run("sync", "a")
    assert refused.returncode == 3 and "--accept-deletes" in refused.stderr
    assert town.run("agent", "a", "--no-announce").returncode == 3
    town.must("sync", "a", "--accept-deletes")


def test_mass_deletion_is_held_and_then_accepted(town: Town) -> None:
    a, b = town.join("a"), town.join("b")
    fill(a, 80, 1)
    town.must("sync", "a")
    town.must("sync", "b")
    for name in ("d1", "d2", "d3", "d4", "d5"):
        shutil.rmtree(a / name)
    held = town.run("sync", "a")
    assert held.returncode == 3 and "--accept-deletes" in held.stderr
    town.must("sync", "b")
    assert len(tree(b)) == 87
    town.must("sync", "a", "--accept-deletes")
    town.must("sync", "b")
    assert tree(a) == tree(b) and len(tree(b)) < 40


def test_agent_told_to_accept_deletes_passes_them_on(town: Town) -> None:
    a, b = town.join("a"), town.join("b")
    fill(a, 80, 1)
    town.start_agent("a", "--accept-deletes")
    town.start_agent("b")
    wait_for(lambda: tree(a) == tree(b) and len(tree(b)) == 87)
    for name in ("d1", "d2", "d3", "d4", "d5"):
        shutil.rmtree(a / name)
    wait_for(lambda: tree(a) == tree(b))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = tmp_path / "b"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_full_disk_holds_back_what_does_not_fit(town: Town, small_disk: Path) -> None:
    a = town.join("a")
    town.join("b")
    (a / "large").write_bytes(os.urandom(12 << 20))
    (a / "small").write_bytes(b"fits")
    town.must("sync", "a")
    full = town.run("sync", "b")
    assert (small_disk / "small").read_bytes() == b"fits"
    assert "no room" in full.stderr and full.returncode in (0, 1)
    assert not (small_disk / "large").exists()
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    town.must("sync", "b")
    assert tree(a) == tree(small_disk)


def test_interrupted_upload_goes_on_where_it_stopped(town: Town) -> None:
    a = town.join("a")
    b = town.join("b")
    size = 200 << 20
    with (a / "large").open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    first = town.start("sync", "a")
    packs = town.place / "hub/chunks"
    wait_for(lambda: sum(p.stat().st_size for p in packs.glob("*.pack")) > size // 4)
    stop(first, signal.SIGKILL)
    before = sum(p.stat().st_size for p in packs.glob("*.pack"))
    town.must("sync", "a")
    town.must("sync", "b")
    after = sum(p.stat().st_size for p in packs.glob("*.pack"))
    assert before < size
    assert after < size * 1.03, "content was stored, so sent, twice"
    assert subprocess.run(["cmp", a / "large", b / "large"], check=False).returncode == 0


def test_memory_stays_flat_for_a_large_file(town: Town) -> None:
    a = town.join("a")
    b = town.join("b")
    agents = [town.start_agent(name) for name in "ab"]
    with (a / "large").open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(1 << 20))
    wait_for(lambda: (b / "large").exists() and (b / "large").stat().st_size == 300 << 20, 60)
    peaks = [town.status(name)["memory"]["resident_peak"] for name in "ab"]
    assert all(agent.poll() is None for agent in agents)
    assert max(peaks) < 44 << 20, peaks


def test_file_that_is_being_written_is_never_torn(town: Town) -> None:
    a, b = town.join("a"), town.join("b")
    for name in "ab":
        town.start_agent(name)
    blocks = [bytes([value]) * 400_000 for value in range(1, 12)]
    for block in blocks:
        (a / "busy").write_bytes(block)
        time.sleep(0.03)
        if (b / "busy").exists():
            assert len(set((b / "busy").read_bytes())) <= 1
    wait_for(lambda: (b / "busy").exists() and (b / "busy").read_bytes() == blocks[-1])
    for old in town.must("versions", "busy", "--data", "hub", "--json").splitlines():
        assert '"size": 400000' in old or '"size"' not in old or '"size": 0' in old


def test_webhook_brings_changes(town: Town) -> None:
    a, b = town.join("a"), town.join("b")
    (b / ".toastbox/config.toml").write_text('push = "webhook"\nlisten = "127.0.0.1:0"\nsafety_pull_s = 600\n')
    for name in "ab":
        town.start_agent(name)
    time.sleep(1.0)
    for number in range(3):
        (a / f"x{number}").write_bytes(b"by post")
        wait_for(lambda number=number: (b / f"x{number}").exists(), 10)  # type: ignore[misc]


def test_watch_limit_is_reported_and_changes_still_travel(town: Town) -> None:
    a, b = town.join("a"), town.join("b")
    for number in range(40):
        (a / f"f{number}").mkdir()
    # A user namespace has a limit of its own: nobody else on this machine runs out of watches.
    few = ("unshare", "--user", "--map-root-user", "sh", "-c", 'echo 20 >/proc/sys/user/max_inotify_watches; exec "$@"')
    town.start_agent("a", prefix=(*few, "sh"))
    town.start_agent("b", prefix=(*few, "sh"))
    wait_for(lambda: len(tree(b)) == 40)
    assert "max_user_watches" in town.status("a")["watch"]["trouble"]


@pytest.mark.parametrize("size", [5, 20_000])
def test_damaged_index_is_put_aside_and_found_out_anew(town: Town, size: int) -> None:
    a, b = town.join("a"), town.join("b")
    fill(a, 60, 1)
    town.must("sync", "a")
    town.must("sync", "b")
    index = b / ".toastbox/index.db"
    index.write_bytes(index.read_bytes()[:size].ljust(size, b"x")[:-1] + b"\xff" * 20_000)
    (b / "new").write_bytes(b"edited meanwhile")
    first = town.run("sync", "b")
    assert first.returncode == 1 and "put aside" in first.stderr and first.stderr.count("\n") == 1
    town.must("sync", "b")
    town.must("sync", "a")
    assert tree(a) == tree(b) and "new" in tree(a)
    assert (b / ".toastbox/index.damaged").exists()
