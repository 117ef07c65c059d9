from pathlib import Path

from tools.bench.figures import Figures
from tools.bench.workload import Scale


def session(work: Path, scale: Scale) -> Figures:
    """x"""
    return {}
