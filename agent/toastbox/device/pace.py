"""Whether to compress, in one direction: decided by what moved more content a second.

A link slower than SLOW_BYTES_PER_S is always worth it: zlib makes that much on a board of the weakest class. On a
faster one both ways are tried, and the one that moves more bytes of content a second, its own work included, is kept;
the other is tried once more from time to time. Nothing is known before the first transfer, and it is compressed: at
worst that costs the processor some milliseconds, the other way round it costs a slow link seconds.
"""

SLOW_BYTES_PER_S = 2_000_000
LEAST_BYTES = 64 << 10  # what is smaller says more of latency than of the link
TRY_AGAIN = 64  # transfers after which the way not taken is tried
_WEIGHT = 0.5  # of the latest transfer


class Pace:
    """mode: "auto", "always" or "never"."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._link = 0.0  # bytes a second on the wire, 0: unknown
        self._rates: dict[bool, float] = {}  # bytes of content a second, by whether it was compressed
        self._since = 0  # transfers since the other way was tried

    def compress(self) -> bool:
        """Whether the next transfer is to be compressed."""
        if self._mode != "auto":
            return self._mode == "always"
        if self._link < SLOW_BYTES_PER_S:
            return True
        if len(self._rates) < 2:
            return True not in self._rates
        return self._better() if self._since < TRY_AGAIN else not self._better()

    def moved(self, packed: bool, content: int, wire: int, link_s: float, work_s: float = 0.0) -> None:
        """A transfer is over: bytes of content and on the wire; seconds waiting for the link, and compressing."""
        if content < LEAST_BYTES:
            return
        self._link = wire / max(link_s, 1e-6)
        self._since = self._since + 1 if packed == self._better() else 0
        rate = content / max(link_s + work_s, 1e-6)
        known = self._rates.get(packed, rate)
        self._rates[packed] = known + (rate - known) * _WEIGHT

    def _better(self) -> bool:
        return self._rates.get(True, 0.0) >= self._rates.get(False, 0.0)
