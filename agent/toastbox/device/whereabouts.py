"""Where the hub may be: at the address it was paired at, and where it is announced on the LAN since.

A hub gets another address from its router, or moves to another board with its folder: its devices must follow. An
announcement is a rumour that anyone may start, and costs a handshake at most: a connection counts when it has shown
the pinned certificate (device/tls.py).
"""

import threading

MOST = 8

Place = tuple[str, int]  # host, port


class Whereabouts:
    """For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
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

    def places(self, paired: Place) -> list[Place]:
        """Where to look for it, likeliest first: where it was last, where it was paired, where it is announced."""
        with self._lock:
            announced = reversed(self._announced)
            return list(dict.fromkeys([*([self._reached] if self._reached else []), paired, *announced]))
