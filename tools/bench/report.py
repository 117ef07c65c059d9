"""The table and the JSON of one run."""

import json
import os
import platform
from pathlib import Path

from tools.bench.figures import Figures
from tools.bench.rows import ROWS, Row, judge

LABEL_WIDTH = 46
COLUMN_WIDTH = 14


def table(results: dict[str, Figures], full: bool) -> str:
    """Lines of text: every row, ours and each peer's, our ratio to Syncthing and the verdict."""
    peers = [name for name in results if name != "toastbox"]
    head = ["bar", "toastbox", *peers, "ratio", "verdict"]
    lines = [_line("", head), _line("-" * LABEL_WIDTH, ["-" * (COLUMN_WIDTH - 1)] * len(head))]
    lines += [_row(row, results, peers, full) for row in ROWS]
    if not full:
        lines.append("A quick run does a tenth of the work: bars are meant for the full work and not judged.")
    return "\n".join(lines)


def as_json(results: dict[str, Figures], failures: dict[str, str], scale: object) -> str:
    """The same, with every figure measured, for a program or a later comparison."""
    document = {
        "machine": machine(),
        "work": vars(scale),
        "rows": [judge(row, results) for row in ROWS],
        "figures": results,
        "failures": failures,
    }
    return json.dumps(document, indent=2)


def machine() -> str:
    """Processors, memory and kernel: enough to judge whether two runs compare."""
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    cores = len(os.sched_getaffinity(0))
    return f"{cores} {platform.machine()} cores, {memory_kib / 2**20:.0f} GiB, Linux {platform.release()}"


def _row(row: Row, results: dict[str, Figures], peers: list[str], full: bool) -> str:
    judged = judge(row, results)
    values = [results.get(name, {}).get(row.figure) for name in ("toastbox", *peers)]
    ratio = judged["ratio"]
    cells = [_bar(row, judged["bar"])]
    cells += [_amount(row, value) for value in values]
    cells.append("-" if ratio is None else f"{ratio:.3g}")
    cells.append(str(judged["verdict"]) if full else "-")
    return _line(row.label, cells)


def _bar(row: Row, bar: object) -> str:
    if row.limit is None:
        return "none"
    sign = ">=" if row.at_least else "<="
    return f"{sign} {_amount(row, bar)}" if isinstance(bar, float | int) else f"{sign} {row.limit:.2g} peer"


def _amount(row: Row, value: float | None) -> str:
    if value is None:
        return "-"
    amount = value / row.unit_size
    digits = f"{amount:.0f}" if amount >= 1000 else f"{amount:.3g}"
    return f"{digits} {row.unit}".strip()


def _line(label: str, cells: list[str]) -> str:
    return label.ljust(LABEL_WIDTH) + "".join(cell.rjust(COLUMN_WIDTH) for cell in cells)
