"""The table of watches: which folder a watch number is of.

Kept are its name and the watch of the folder above, in one bytes object a folder: of 1,900 folders inside each other
the whole paths would be 3.6 MB. A path is put together when an event comes; the last one is remembered, as events come
in bursts. A folder whose parent is not watched is kept by its whole path.
"""

import struct
from collections.abc import Iterator

NO_WATCH = -1  # as parent: what follows is a whole path
_PARENT = struct.Struct("=i")


class Watches:
    """watch number -> path. A number may be put again, with another place."""

    def __init__(self) -> None:
        self._places: dict[int, bytes] = {}  # the parent's number, and the name behind it
        self._last: tuple[int, bytes | None] = (NO_WATCH, None)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, watch: int) -> bool:
        return watch in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def put(self, watch: int, path: bytes, parent: int = NO_WATCH) -> None:
        """parent: the watch of the folder above, if there is one."""
        if parent in self._places:
            place = _PARENT.pack(parent) + path[path.rfind(b"/") + 1 :]
        else:
            place = _PARENT.pack(NO_WATCH) + path
        self._places[watch] = place
        self._last = (NO_WATCH, None)

    def drop(self, watch: int) -> None:
        """What is below it is known by no path any more."""
        self._places.pop(watch, None)
        self._last = (NO_WATCH, None)

    def path(self, watch: int) -> bytes | None:
        """Below the root; None: not watched, or a folder above it no more."""
        if watch != self._last[0]:
            self._last = (watch, self._put_together(watch))
        return self._last[1]

    def below(self, top: bytes) -> list[int]:
        """The watches of a folder and of all below it."""
        within = top + b"/"
        return [watch for watch in self._places if ((self._put_together(watch) or b"") + b"/").startswith(within)]

    def _put_together(self, watch: int) -> bytes | None:
        names = []
        for _ in range(len(self._places)):
            place = self._places.get(watch)
            if place is None:
                return None
            names.append(place[_PARENT.size :])
            (watch,) = _PARENT.unpack_from(place)
            if watch == NO_WATCH:
                return b"/".join(reversed(names)).lstrip(b"/")
        return None  # in a circle, while folders that were moved into each other unseen are watched anew
