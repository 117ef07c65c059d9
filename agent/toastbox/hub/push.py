"""Push: the writing thread says what changed, the event loop tells those who listen.

The first change is passed on at once. Those that follow close behind wait for a pause that grows with the number
of listeners, and only the last of them is told: a busy folder costs a share of the loop, not all of it.
"""

import asyncio
from collections.abc import Callable

from toastbox.hub.service import HubService
from toastbox.hub.subscribers import Subscribers
from toastbox.hub.webhooks import Webhooks

_PAUSE_S = 0.005
_WANTED_PAUSE_S = 0.5  # what is asked for in vain, and what is brought, comes in many pieces
_PAUSE_EACH_S = 0.0002  # for each listener: telling one takes about a quarter of this


class Push:
    """Passes changes on to streams and webhooks (a Listener of hub/service.py).

    cut: ends all connections of a device, called in the event loop.
    """

    def __init__(
        self,
        service: HubService,
        loop: asyncio.AbstractEventLoop,
        subscribers: Subscribers,
        webhooks: Webhooks,
        cut: Callable[[int], None],
    ) -> None:
        self._service = service
        self._loop = loop
        self._subscribers = subscribers
        self._webhooks = webhooks
        self._cut = cut
        self._idents: dict[int, str] = {}
        self._wanting: set[int] = set()  # folders of which more may be wanted, or found, in a moment
        self._waiting: dict[int, int | None] = {}  # folders in their pause: the head to tell after it

    def head_moved(self, folder: int, seq: int) -> None:
        self._loop.call_soon_threadsafe(self._head_moved, folder, seq)

    def peers_changed(self, folder: int) -> None:
        self._loop.call_soon_threadsafe(self._subscribers.tell_peers, folder)

    def device_revoked(self, number: int) -> None:
        self._loop.call_soon_threadsafe(self._end_device, number)

    def device_changed(self, number: int) -> None:
        self._loop.call_soon_threadsafe(self._cut, number)

    def wanted_changed(self, folder: int) -> None:
        self._loop.call_soon_threadsafe(self._wanted_changed, folder)

    def _wanted_changed(self, folder: int) -> None:
        if folder not in self._wanting:
            self._wanting.add(folder)
            self._loop.call_later(_WANTED_PAUSE_S, self._tell_wanted, folder)

    def _tell_wanted(self, folder: int) -> None:
        self._wanting.discard(folder)
        self._subscribers.tell_wanted(folder)

    def _head_moved(self, folder: int, seq: int) -> None:
        if folder in self._waiting:
            self._waiting[folder] = seq
        else:
            self._tell_head(folder, seq)

    def _tell_head(self, folder: int, seq: int) -> None:
        epoch = self._service.epoch
        self._subscribers.tell_head(folder, (epoch, seq))
        self._webhooks.tell_head(folder, self._ident(folder), epoch, seq)
        listeners = self._subscribers.count(folder) + self._webhooks.count()
        self._waiting[folder] = None
        self._loop.call_later(_PAUSE_S + _PAUSE_EACH_S * listeners, self._pause_over, folder)

    def _pause_over(self, folder: int) -> None:
        seq = self._waiting.pop(folder)
        if seq is not None:
            self._tell_head(folder, seq)

    def _ident(self, folder: int) -> str:
        if folder not in self._idents:
            self._idents[folder] = self._service.journal.read_folder(folder).ident.hex()
        return self._idents[folder]

    def _end_device(self, number: int) -> None:
        self._webhooks.remove(number)
        self._cut(number)
