"""Whether to compress, in one direction: decided by what moves a byte of content in less time, its own work included.

A byte of content costs `link` plain, and `share * link + work` compressed: seconds for a byte on the wire, the part of
its bytes that is left, and seconds to deflate or inflate a byte. Every transfer measures what belongs to the way it
took. Seconds on the wire are kept for each way, as a hub takes its time to inflate and an answer takes its time to
come; when the way in use finds the link slower or faster, the other's are taken to have changed as much. So a link that
changes is noticed at once, in either direction, on a fast processor or a slow one.

The other way is tried now and then, the more seldom the more that is expected to cost: trying takes some TRY_AGAIN-th
of the time. The first try comes at once where it costs little, and a slow link is not sent a window plain just to see.
The way in use changes only for one that is better by a MARGIN, so that noise does not make it flap. Where both are as
good, as for photographs, a slow link goes on compressed, for what comes next may shrink. A fast one goes on plain: what
is not measured here, samples and the lists of files that go the same way, costs it more than it saves.

Nothing is known before the first transfer, and it is compressed: at worst that costs the processor some milliseconds,
the other way round it costs a slow link seconds.
"""

LEAST_BYTES = 64 << 10  # what is smaller says more of latency than of the link
TRY_AGAIN = 64  # transfers after which the way not taken is tried, if that is expected to cost as much
MOST_COST = 32  # times TRY_AGAIN: a first try may have been bad luck
# The first try comes at once if it is expected to cost at most so much more; more where work takes much of the time.
FIRST_TRY_COST = 1.25
FIRST_TRY_LINK = 1 / 4_000_000  # or the link is not slow: seconds for a byte
MARGIN = 0.9
FAST_LINK = 1 / 12_500_000  # seconds for a byte: about what deflating takes to save one of a list of files
_WEIGHT = 0.5  # of the latest transfer
_STALE = 2  # transfers after which what was measured no longer counts beside what is


class Pace:
    """mode: "auto", "always" or "never"."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._way = True  # compressed, in use
        self._last = True  # of the transfer before
        self._link: dict[bool, float] = {}  # seconds for a byte on the wire, by way
        self._age = {True: 0, False: 0}  # transfers since it was measured
        self._share = 1.0
        self._work = 0.0

    def compress(self) -> bool:
        """Whether the next transfer is to be compressed."""
        if self._mode != "auto":
            return self._mode == "always"
        if True not in self._link:
            return True
        return self._way is not self._is_other_due()

    def moved(self, packed: bool, content: int, wire: int, link_s: float, work_s: float = 0.0) -> None:
        """A transfer is over: bytes of content and on the wire; seconds waiting for the link, and at work."""
        if content < LEAST_BYTES:
            return
        stale = packed not in self._link or self._age[packed] > _STALE
        weight = 1.0 if stale else _WEIGHT
        self._measure_link(packed, max(link_s, 1e-6) / max(wire, 1), weight)
        if packed:
            self._share += (wire / content - self._share) * weight
            self._work += (work_s / content - self._work) * weight
        self._age = {packed: 0, (not packed): self._age[not packed] + 1}
        self._last = packed
        if len(self._link) == 2:
            self._choose({way: self._cost(way, link) for way, link in self._link.items()})

    def _choose(self, costs: dict[bool, float]) -> None:
        if self._link[False] < FAST_LINK:
            self._way = costs[True] < costs[False] * (MARGIN if self._way else MARGIN * MARGIN)
        elif costs[not self._way] < costs[self._way] * MARGIN:
            self._way = not self._way

    def _measure_link(self, packed: bool, seconds: float, weight: float) -> None:
        """seconds: for a byte. Between two transfers of one way the link has changed for the other as well."""
        known = self._link.get(packed, seconds)
        self._link[packed] = known + (seconds - known) * weight
        if packed is self._last and (not packed) in self._link:
            self._link[not packed] *= self._link[packed] / known

    def _is_other_due(self) -> bool:
        """By what the link is to the way in use: what the other once measured may have been bad luck."""
        link, other = self._link[self._way], not self._way
        now, expected = self._cost(self._way, link), self._cost(other, link)
        times = expected / now
        if other not in self._link:
            worked = now / (link * self._share)
            if times < FIRST_TRY_COST * worked or expected < FIRST_TRY_LINK:
                return True
        return self._age[other] >= TRY_AGAIN * min(max(times, 1.0), MOST_COST)

    def _cost(self, packed: bool, link: float) -> float:
        """Expected seconds for a byte of content, where a byte on the wire takes `link`."""
        return link * self._share + self._work if packed else link
