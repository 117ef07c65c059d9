"""How long to wait before trying again."""


def delay_s(attempt: int, chance: float, base_s: float, cap_s: float) -> float:
    """Seconds before attempt number `attempt` (from 1); doubles up to cap_s.

    chance: 0 to 1, spreads it over its upper half, so that devices do not all come back together.
    """
    full = min(cap_s, base_s * (1 << min(max(attempt, 1) - 1, 20)))
    return full / 2 + chance * full / 2
