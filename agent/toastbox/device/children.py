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
    """

    __slots__ = (
        "_after",
        "_first",
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
        see: Callable[[bytes, Record], Seen | None],
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
        self._after = b""
        self._more = True
        self._first: Seen | None = None

    def __iter__(self) -> Iterator[Seen]:
        return self

    def __next__(self) -> Seen:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        while True:
            for record in self._records:
                self._after = record.name
                seen = self._see(self._way.path[: self._size], record)
                if seen is not None:
                    return seen
            more = self._more if self._listing is None else self._listing.more
            self.let_go()
            if not more:
                self._more = False
                raise StopIteration
            try:
                self._listing = self._list_names(self._path, self._after)
            except OSError as error:
                self._more = False
                return unreadable(self._path, error)
            self._records = iter(self._listing)

    @property
    def _path(self) -> bytes:
        return self._way.path[: max(self._size - 1, 0)]

    def put_back(self, seen: Seen) -> None:
        """To be given once more."""
        self._first = seen

    def let_go(self) -> None:
        """Give the memory back; what is left will be listed anew."""
        if self._listing is not None:
            self._records = iter(())
            self._give_back(self._listing)
            self._listing = None

    def __del__(self) -> None:
        self.let_go()
