"""The sessions a pair goes through, and the figures they give.

Tree session, direct: B waits, A's program is started on a full folder; then new small files, a minute of nothing, the
large file. Edit session, through relays: the large file, one byte inserted, pieces overwritten, and the bytes of each
leg. Rest session: the full folder in sync, and ten minutes of nothing. Figures are a flat dictionary of numbers; the
unit is the end of the name.
"""

import time
from collections.abc import Callable
from pathlib import Path

from tools.bench import large, latency, watch
from tools.bench.errors import ProgramFailed
from tools.bench.figures import Figures
from tools.bench.pair import Pair, Side, System
from tools.bench.workload import Manifest, Scale, fill_tree
from tools.procfs import Sampler, Usage, usage

SETTLE_S = 10.0
TREE_TIMEOUT_S = 600.0


def tree_session(system: System, work: Path, scale: Scale) -> Figures:
    """20,000 files, latency, idle and the large file, in one life of the programs."""
    figures: Figures = {}
    with system(work, relayed=False) as pair, Sampler() as sampler:
        manifest = fill_tree(pair.a.folder, scale)
        pair.start_receiver()
        sampler.follow("b", pair.b.pid)
        for name, pid in pair.between().items():
            sampler.follow(name, pid)
        figures |= _first_sync(pair, manifest, sampler)
        figures |= latency.measure(pair.a.folder, pair.b.folder, scale.latency_files)
        figures |= _idle(pair, scale.idle_s)
        figures |= _large(pair, scale.large_bytes)
        sampler.sample()
        watch.require_equal_trees(pair.a.folder, pair.b.folder)
        figures |= _peaks(sampler)
    return figures


def edit_session(system: System, work: Path, scale: Scale) -> Figures:
    """Bytes on the wire of each leg for the large file and for two edits of it."""
    figures: Figures = {}
    with system(work, relayed=True) as pair, Sampler() as sampler:
        pair.start_receiver()
        sampler.follow("b", pair.b.pid)
        pair.start_sender()
        sampler.follow("a", pair.a.pid)
        time.sleep(SETTLE_S)
        figures |= {f"edit_{name}": value for name, value in _large(pair, scale.large_bytes).items()}
        figures |= _edit(pair, "insert", large.insert)
        figures |= _edit(pair, "overwrite", lambda side: large.overwrite_pieces(side, scale.overwrites))
        sampler.sample()
        figures |= {f"edit_{name}": value for name, value in _peaks(sampler).items()}
    return figures


def rest_session(system: System, work: Path, scale: Scale) -> Figures:
    """What two agents with a full folder, and what is between them, do while nothing happens for long."""
    with system(work, relayed=False) as pair:
        manifest = fill_tree(pair.a.folder, scale)
        pair.start_receiver()
        pair.start_sender()
        watch.wait_tree(pair.b.folder, manifest, pair.processes, TREE_TIMEOUT_S)
        time.sleep(SETTLE_S)
        found = {f"rest_{name[5:]}": value for name, value in _idle(pair, scale.rest_s).items()}
        pair.processes.check()
    return found | {
        f"{name}_per_min": value * 60 / scale.rest_s for name, value in found.items() if name.endswith("wakeups")
    }


def _first_sync(pair: Pair, manifest: Manifest, sampler: Sampler) -> Figures:
    """From the start of A's program until B has every file; then what it cost."""
    disk_before, usage_before = pair.b.disk.written_bytes(), usage(pair.b.pid)
    started = time.monotonic()
    pair.start_sender()
    sampler.follow("a", pair.a.pid)
    wall = watch.wait_tree(pair.b.folder, manifest, pair.processes, TREE_TIMEOUT_S) - started
    time.sleep(SETTLE_S)
    spent = usage(pair.b.pid) - usage_before
    content = manifest.total_bytes
    figures = {
        "tree_wall_s": wall,
        "tree_content_bytes": content,
        "tree_disk_ratio": (pair.b.disk.written_bytes() - disk_before) / content,
        "tree_write_bytes_ratio": spent.disk_bytes / content,
        "tree_wchar_ratio": spent.written_bytes / content,
    }
    watch.require_equal_trees(pair.a.folder, pair.b.folder)
    return figures | {f"tree_cpu_{name}_s": cpu for name, cpu in _cpu(pair).items()}


def _idle(pair: Pair, seconds: float) -> Figures:
    """Counters of each agent, and of what runs between, while nothing happens."""
    time.sleep(SETTLE_S)
    pids = _pids(pair)
    before = {name: usage(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    spent = {name: usage(pid) - before[name] for name, pid in pids.items()}
    figures: Figures = {}
    for name, each in spent.items():
        figures |= {f"idle_{name}_{what}": value for what, value in _counters(each).items()}
    agents = [_counters(spent[name]) for name in ("a", "b")]
    worst = {f"idle_{what}": max(each[what] for each in agents) for what in agents[0]}
    return figures | worst


def _large(pair: Pair, size_bytes: int) -> Figures:
    """One large file, from when it is whole in A's folder."""
    target = pair.b.folder / large.NAME
    before = watch.identity(target)
    cpu_before = sum(_cpu(pair).values())
    large.place(pair.a, size_bytes)
    started = time.monotonic()
    wall = watch.wait_change(target, size_bytes, before, pair.processes) - started
    cpu = sum(_cpu(pair).values()) - cpu_before
    watch.require_equal_files(pair.a.folder / large.NAME, target)
    return {"large_wall_s": wall, "large_cpu_s": cpu}


def _edit(pair: Pair, what: str, edit: Callable[[Side], None]) -> Figures:
    """Edits A's large file; time until B has it, and bytes of each leg until both sides are quiet again."""
    time.sleep(SETTLE_S)
    before_bytes = {leg: relay.count() for leg, relay in pair.legs.items()}
    before = watch.identity(pair.b.folder / large.NAME)
    started = time.monotonic()
    edit(pair.a)
    size = watch.size_of(pair.a.folder / large.NAME)
    wall = watch.wait_change(pair.b.folder / large.NAME, size, before, pair.processes) - started
    watch.require_equal_files(pair.a.folder / large.NAME, pair.b.folder / large.NAME)
    time.sleep(SETTLE_S)
    moved = {leg: relay.count() - before_bytes[leg] for leg, relay in pair.legs.items()}
    if 0 in moved.values():
        raise ProgramFailed(f"a leg was bypassed: {moved}")  # a count of nothing would look like a good figure
    each_leg = {f"{what}_wire_{leg}_bytes": value for leg, value in moved.items()}
    return {f"{what}_wall_s": wall, f"{what}_wire_bytes": max(moved.values())} | each_leg


def _peaks(sampler: Sampler) -> Figures:
    """Peak memory of every program, and the larger one of the two agents."""
    figures: Figures = {}
    for name, peak in sampler.peaks.items():
        figures[f"peak_resident_{name}_bytes"] = peak.resident_bytes
        figures[f"peak_private_{name}_bytes"] = peak.private_bytes
    for kind in ("resident", "private"):
        figures[f"peak_{kind}_bytes"] = max(figures[f"peak_{kind}_{name}_bytes"] for name in ("a", "b"))
    return figures


def _pids(pair: Pair) -> dict[str, int]:
    return {"a": pair.a.pid, "b": pair.b.pid} | pair.between()


def _cpu(pair: Pair) -> Figures:
    return {name: usage(pid).cpu_s for name, pid in _pids(pair).items()}


def _counters(spent: Usage) -> Figures:
    return {
        "cpu_s": spent.cpu_s,
        "wakeups": spent.wakeups,
        "disk_bytes": spent.disk_bytes,
        "written_bytes": spent.written_bytes,
    }
