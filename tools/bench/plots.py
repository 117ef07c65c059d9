"""`python -m tools.bench.plots FIGURES FOLDER`: draws what tools/bench/many.py measured, as two SVG files.

memory.svg: peak resident memory of a device against the number of files. time.svg: seconds until the other device has
all of them.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "toastbox"  # the same figures give the same file

import matplotlib.pyplot as plt  # noqa: E402 (after the choice of what draws)

Points = list[dict[str, float]]
MEGA = 1e6
TITLES = {
    "toastbox": "Toastbox, through a hub",
    "toastbox-32MiB": "Toastbox, each agent in a cgroup of 32 MiB",
    "syncthing": "Syncthing, direct",
    "rsync": "rsync, one push, flushes nothing",
    "unison": "Unison, one run over a socket",
}


def peak(point: dict[str, float]) -> float:
    """The larger one of the two devices'."""
    return max(point.get("peak_a_bytes", 0), point.get("peak_b_bytes", 0)) / MEGA


def draw(figures: dict[str, Points], value: Callable[[dict[str, float]], float], path: Path, label: str) -> None:
    plot, axes = plt.subplots(figsize=(7, 4))
    for system, points in figures.items():
        axes.plot([each["files"] for each in points], [value(each) for each in points], "o-", label=TITLES[system])
    axes.set_xscale("log")
    axes.set_xlabel("files of 512 bytes")
    axes.set_ylabel(label)
    axes.grid(True, alpha=0.3)
    if path.stem == "time":
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.5 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left")
    plot.tight_layout()
    plot.savefig(path, metadata={"Date": None})
    plt.close(plot)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.plots", description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(argv)
    figures = json.loads(options.figures.read_text())
    draw(figures, peak, options.folder / "memory.svg", "peak resident memory of a device, MB")
    draw(figures, lambda point: point["wall_s"], options.folder / "time.svg", "seconds until the other device has all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
