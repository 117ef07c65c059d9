"""Who listens to a folder on an open event stream: one mark per listener, however many changes there are.

A stream that cannot keep up is told the newest head when it can, and nothing in between: a head says all that
the ones before it said. So a listener costs a few words whatever happens.
"""

import asyncio

from toastbox.core.sse import encode_event

RETRY = b"retry: 2000\n\n"
AHEAD_PAUSE_S = 0.02  # between two tellings of an upload
AHEAD_PAUSE_EACH_S = 0.0005  # for each listener: telling one takes a tenth of this


Mark = tuple[int, int]  # epoch, head


class Subscriber:
    """One open stream of a device. take() gives what has not been told yet."""

    __slots__ = ("_ahead", "_mark", "_peers", "_told", "_wake", "_wanted", "device", "folder")

    def __init__(self, folder: int, known: Mark | None, device: int) -> None:
        """known: what the device says it has heard last."""
        self.folder = folder
        self.device = device
        self._mark = self._told = known
        self._peers = self._ahead = self._wanted = False
        self._wake = asyncio.Event()

    def tell_head(self, mark: Mark) -> None:
        """The newest mark is the true one: a new epoch may have lower heads."""
        self._mark = mark
        self._wake.set()

    def tell_peers(self) -> None:
        self._peers = True
        self._wake.set()

    def tell_ahead(self) -> None:
        self._ahead = True
        self._wake.set()

    def tell_wanted(self) -> None:
        self._wanted = True
        self._wake.set()

    async def wait(self) -> None:
        """Until there may be something to take."""
        await self._wake.wait()

    def take(self) -> bytes:
        """Events to send now; b"" if all has been told."""
        self._wake.clear()
        events = b""
        if self._mark is not None and self._mark != self._told:
            self._told = epoch, seq = self._mark
            events = encode_event(f"{epoch}:{seq}", "head", str(seq))
        if self._peers:
            self._peers = False
            events += encode_event("", "peers", "1")
        if self._ahead:
            self._ahead = False
            events += encode_event("", "ahead", "1")
        if self._wanted:
            self._wanted = False
            events += encode_event("", "wanted", "1")
        return events


class Subscribers:
    """All open streams, by folder. For the event loop only."""

    def __init__(self) -> None:
        self._folders: dict[int, set[Subscriber]] = {}
        self._pausing: dict[int, int | None] = {}  # folders told of an upload just now: author of what came since

    def __len__(self) -> int:
        return sum(len(found) for found in self._folders.values())

    def count(self, folder: int) -> int:
        return len(self._folders.get(folder, ()))

    def add(self, folder: int, known: Mark | None, device: int = 0) -> Subscriber:
        subscriber = Subscriber(folder, known, device)
        self._folders.setdefault(folder, set()).add(subscriber)
        return subscriber

    def remove(self, subscriber: Subscriber) -> None:
        found = self._folders[subscriber.folder]
        found.remove(subscriber)
        if not found:
            del self._folders[subscriber.folder]

    def tell_head(self, folder: int, mark: Mark) -> None:
        for subscriber in self._folders.get(folder, ()):
            subscriber.tell_head(mark)

    def tell_peers(self, folder: int) -> None:
        for subscriber in self._folders.get(folder, ()):
            subscriber.tell_peers()

    def tell_wanted(self, folder: int) -> None:
        for subscriber in self._folders.get(folder, ()):
            subscriber.tell_wanted()

    def tell_ahead(self, folder: int, author: int) -> bool:
        """Tell all devices but the author that there are chunks of an upload to be had; whether there is any.

        After that comes a pause that grows with the number of listeners, and one telling for all that came in it.
        """
        listening = any(each.device != author for each in self._folders.get(folder, ()))
        if listening and folder in self._pausing:
            self._pausing[folder] = author
        elif listening:
            self._tell_ahead(folder, author)
        return listening

    def _tell_ahead(self, folder: int, author: int) -> None:
        others = [each for each in self._folders.get(folder, ()) if each.device != author]
        for subscriber in others:
            subscriber.tell_ahead()
        self._pausing[folder] = None
        pause_s = AHEAD_PAUSE_S + AHEAD_PAUSE_EACH_S * len(others)
        asyncio.get_running_loop().call_later(pause_s, self._pause_over, folder)

    def _pause_over(self, folder: int) -> None:
        author = self._pausing.pop(folder)
        if author is not None:
            self._tell_ahead(folder, author)
