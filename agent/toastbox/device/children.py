"""What is in one folder, name by name, from listings in the arena that are taken as it goes."""

from collections.abc import Callable, Iterator

from toastbox.device.seen import Seen, unreadable
from toastbox.native.scan import Listing, Record


class Way:
    """Where a walk is deepest, with a slash behind. The folders above are beginnings of it and need not be kept: of a
    thousand folders inside each other their paths would be megabytes.
    """

    __slots__ = ("path",)

    def __init__(self) -> None:
        self.path = b""


class Children:
    """The content of one folder by name, from listings that are taken as it goes.

    A folder that cannot be listed yields itself, as OTHER, and ends. Dropped before its end, it releases its listing.
    way: of the walk that comes by here; whatever it enters next must lie in this folder until this has ended.
    see: looks at the next records of a listing, some at a time, and none behind a folder: what is in that is looked at
    first, and nothing kept meanwhile. What it made of them, and the last one's name; b"" where there are no more.
    """

    __slots__ = (
        "_after",
        "_few",
        "_give_back",
        "_list_names",
        "_listing",
        "_more",
        "_records",
        "_see",
        "_size",
        "_way",
    )

    def __init__(
        self,
        path: bytes,
        list_names: Callable[[bytes, bytes], Listing],
        see: Callable[[bytes, Iterator[Record]], tuple[list[Seen], bytes]],
        give_back: Callable[[Listing], None],
        way: Way,
    ) -> None:
        self._way = way
        way.path = path + b"/" if path else b""
        self._size = len(way.path)
        self._list_names = list_names
        self._see = see
        self._give_back = give_back
        self._listing: Listing | None = None
        self._records: Iterator[Record] = iter(())
        self._few: list[Seen] = []  # that come next, the first one last
        self._after = b""
        self._more = True

    def __iter__(self) -> Iterator[Seen]:
        return self

    def __next__(self) -> Seen:
        if not self._few:
            self._look()
        return self._few.pop()

    def _look(self) -> None:
        """At some more names. StopIteration: there are none."""
        while True:
            self._few, last = self._see(self._way.path[: self._size], self._records)
            self._few.reverse()
            self._after = last or self._after
            if self._few:
                return
            more = self._more if self._listing is None else self._listing.more
            self.let_go()
            if not more:
                self._more = False
                raise StopIteration
            try:
                self._listing = self._list_names(self._path, self._after)
            except OSError as error:
                self._more = False
                self._few.append(unreadable(self._path, error))
                return
            self._records = iter(self._listing)

    @property
    def _path(self) -> bytes:
        return self._way.path[: max(self._size - 1, 0)]

    def put_back(self, seen: Seen) -> None:
        """To be given once more."""
        self._few.append(seen)

    def let_go(self) -> None:
        """Give the memory back; what is left will be listed anew."""
        if self._listing is not None:
            self._records = iter(())
            self._give_back(self._listing)
            self._listing = None

    def __del__(self) -> None:
        self.let_go()
