"""Where the hub may be: at the address it was paired at, and where it is announced on the LAN since.

A hub gets another address from its router, or moves to another board with its folder: its devices must follow. An
announcement is a rumour that anyone may start, and costs a handshake at most: a connection counts when it has shown
the pinned certificate (device/tls.py).

An agent listens all the time; a command that ends soon looks once, and only when the hub is nowhere it is known to be.
"""

import threading
from collections.abc import Callable, Iterable, Iterator

MOST = 8

Place = tuple[str, int]  # host, port


class Whereabouts:
    """For any thread. look(): takes some seconds to find where the hub is announced now; called once at most."""

    def __init__(self, look: Callable[[], Iterable[Place]] | None = None) -> None:
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._look = look
        self._announced: dict[Place, None] = {}
        self._reached: Place | None = None

    def found(self, place: Place) -> bool:
        """The hub is announced there; whether this is news. What was announced first goes when they are too many."""
        with self._lock:
            news = place not in self._announced
            self._announced[place] = None
            if len(self._announced) > MOST:
                del self._announced[next(iter(self._announced))]
            return news

    def reached(self, place: Place) -> None:
        """It was there."""
        self._reached = place

    def places(self, paired: Place) -> Iterator[Place]:
        """Where to look for it, likeliest first: where it was last, where it was paired, where it is announced."""
        known = self._known(paired)
        yield from known
        self._look_once()
        yield from (place for place in self._known(paired) if place not in known)

    def _known(self, paired: Place) -> list[Place]:
        with self._lock:
            announced = reversed(self._announced)
            return list(dict.fromkeys([*([self._reached] if self._reached else []), paired, *announced]))

    def _look_once(self) -> None:
        with self._looking:
            look, self._look = self._look, None
            for place in look() if look else ():
                self.found(place)
