"""Figures: a flat dictionary of numbers. The end of a name is its unit: _s, _ms, _bytes, _ratio, _per_s."""

import math

Figures = dict[str, float]


def percentile(values: list[float], percent: int) -> float:
    """Nearest rank: the smallest value that at least `percent` per cent of all do not exceed."""
    return sorted(values)[math.ceil(percent * len(values) / 100) - 1]
