"""Code, data and worst stack of the C core for every processor, beside the committed baseline.

    python -m tools.cross.sizes [--renew] [--no-counts]

Each object of the core is compiled for each target, and what it has for Linux where there is Linux: `text` is what
`size` calls so (code, constants and unwind tables), `stack` the deepest chain of calls inside the object, from the
frames that gcc reports. Nothing recurses. Nothing in the core calls out; what is for Linux does, and libc's own frames
are not in it. `--renew` writes the baseline. Exit status 1 when the core breaks its bar.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.cross.count import counts
from tools.cross.targets import CNATIVE, TARGETS, Target

BASELINE = CNATIVE / "sizes.json"
BAR_TARGET = "cortex-m0plus"
BAR_TEXT_BYTES = 3 << 10

Sizes = dict[str, int]
Report = dict[str, dict[str, Sizes]]

_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes \(([^)]*)\)')
BOUNDED = ("static", "dynamic,bounded")  # the second: arguments of a call are pushed
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def worst_stack(graph: str) -> int:
    """Bytes of the deepest chain of calls in gcc's call graph (-fcallgraph-info=su).

    ValueError where it has no bound: a frame of variable size, or recursion.
    """
    frames: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for line in graph.splitlines():
        if node := _NODE.match(line):
            if node[3] not in BOUNDED:
                raise ValueError(f"{node[1]} has a stack frame of variable size")
            frames[node[1]] = int(node[2])
        elif edge := _EDGE.match(line):
            calls.setdefault(edge[1], set()).add(edge[2])

    def depth(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ValueError(f"{name} calls itself")
        below = (depth(callee, (*above, name)) for callee in calls.get(name, ()))
        return frames.get(name, 0) + max(below, default=0)

    return max((depth(name, ()) for name in frames), default=0)


def measure(target: Target, source: Path, folder: Path) -> Sizes:
    """text, data, bss and stack of one source, compiled in folder."""
    output = folder / f"{source.stem}.o"
    target.compile(source, output, "-fcallgraph-info=su")
    listed = subprocess.run([target.tool("size"), str(output)], check=True, capture_output=True, text=True, timeout=60)
    text, data, bss = (int(field) for field in listed.stdout.splitlines()[1].split()[:3])
    return {"text": text, "data": data, "bss": bss, "stack": worst_stack(output.with_suffix(".ci").read_text())}


def sizes(targets: tuple[Target, ...] = TARGETS) -> Report:
    """For each target, for each object that it has, its sizes."""
    with tempfile.TemporaryDirectory() as name:
        return {
            target.name: {each: measure(target, CNATIVE / f"src/{each}.c", Path(name)) for each in target.objects}
            for target in targets
        }


def core_breaks_bar(report: Report) -> list[str]:
    """What is wrong with the core as compiled for the smallest target; empty when nothing is."""
    objects = report[BAR_TARGET]
    text = sum(each["text"] for each in objects.values())
    wrong = [f"{text} bytes of text, {BAR_TEXT_BYTES} allowed"] if text > BAR_TEXT_BYTES else []
    return wrong + [f"{name} has static RAM" for name, each in objects.items() if each["data"] + each["bss"]]


def _change(now: float, before: float | None) -> str:
    if before is None:
        return "new"
    return "" if now == before else f"{round(now - before, 2):+}"


def print_sizes(report: Report, baseline: Report) -> None:
    print(
        f"{'target':14} {'object':10}" + "".join(f"{column:>8} {'':6}" for column in ("text", "data", "bss", "stack"))
    )
    for target, objects in report.items():
        for name, now in objects.items():
            before = baseline.get(target, {}).get(name, {})
            cells = "".join(f"{size:8} {_change(size, before.get(key)):6}" for key, size in now.items())
            print(f"{target:14} {name:10}{cells}".rstrip())
        print(f"{target:14} {'all':10}{sum(each['text'] for each in objects.values()):8}")


def print_counts(report: dict[str, float], baseline: dict[str, float]) -> None:
    print("\nInstructions for a byte looked at, scalar chunker")
    for target, now in report.items():
        print(f"{target:14} {now:6.2f} {_change(now, baseline.get(target))}".rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description="Sizes of the C core against the baseline.")
    parser.add_argument("--renew", action="store_true", help="write the baseline")
    parser.add_argument("--no-counts", action="store_true", help="leave out instruction counts (no emulator needed)")
    options = parser.parse_args()
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"sizes": {}, "counts": {}}
    report = {"sizes": sizes(), "counts": baseline["counts"] if options.no_counts else counts()}
    print_sizes(report["sizes"], baseline["sizes"])
    if not options.no_counts:
        print_counts(report["counts"], baseline["counts"])
    if options.renew:
        BASELINE.write_text(json.dumps(report, indent=1) + "\n")
    wrong = core_breaks_bar(report["sizes"])
    print(f"\ncore on {BAR_TARGET}: {'; '.join(wrong) if wrong else 'within the bar'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
