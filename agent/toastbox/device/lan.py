"""The device on its LAN: listening for the hub's posts and for peers, and asking peers for chunks.

What the settings do not ask for is neither imported nor opened; device/door.py has opened the port and announced it.
"""

import asyncio
import logging
import random
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toastbox.config import AgentSettings
from toastbox.device.door import Door
from toastbox.device.interfaces import Clock, Credentials, PeerSource
from toastbox.device.lend import Lender
from toastbox.device.members import Members
from toastbox.device.remote import HubClient
from toastbox.device.state import Store
from toastbox.device.tls import certificate_bytes
from toastbox.device.whereabouts import Whereabouts
from toastbox.errors import ToastboxError
from toastbox.native.arena import Region
from toastbox.neighbours import DEVICE, HUB, Found, folder_hash, hub_id

if TYPE_CHECKING:
    from toastbox.device.hook import Hook
    from toastbox.device.peers import PeerSet

NOTIFY_PATH = "/notify"
RETRY_S = 60.0
_log = logging.getLogger(__name__)


class Lan:
    """hint(epoch, seq): the hub's post says so. position(): (epoch, seq) reached. Runs in the event loop.

    where: told of the places at which the hub is announced; moved(): there is another one.
    """

    def __init__(
        self,
        store: Store,
        settings: AgentSettings,
        door: Door,
        clock: Clock,
        hint: Callable[[int, int], None],
        position: Callable[[], tuple[int, int]],
        where: Whereabouts,
        moved: Callable[[], None],
    ) -> None:
        self._credentials: Credentials = store.credentials()
        self._hub_id = hub_id(certificate_bytes(self._credentials.ca))
        self._where = where
        self._moved = moved
        self._store = store
        self._settings = settings
        self._door = door
        self._hint = hint
        self._position = position
        self._members = Members()
        self._peers = self._make_peers(clock) if settings.lan_peers and settings.announce else None
        self._hook: Hook | None = None
        self._lender: Lender | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def _make_peers(self, clock: Clock) -> "PeerSet":
        from toastbox.device.peers import PeerSet

        return PeerSet(self._credentials, self._members, clock, random.Random())

    @property
    def source(self) -> PeerSource | None:
        """Whom the receiver asks before the hub."""
        return self._peers

    async def start(self, listings: Region) -> None:
        listening = self._door.take()
        if listening is not None:
            await self._serve(listening, listings)
        self._door.tell(self._found, self._lost)
        self.refresh()

    async def _serve(self, listening: socket.socket, listings: Region) -> None:
        from toastbox.device.hook import Hook

        lender = self._lender = Lender(self._store, listings)
        self._hook = Hook(self._credentials, self._hint, self._position, lender.load, self._members)
        await self._hook.start(listening)

    async def stop(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        await self._door.close()
        if self._hook is not None:
            await self._hook.stop()
        if self._lender is not None:
            self._lender.close()

    # --- who is there

    def _found(self, found: Found) -> None:
        if self._peers is not None and found.role == DEVICE and folder_hash(self._credentials.folder) in found.folders:
            self._peers.found(int(found.id), found.address, found.port)
        if found.role == HUB and found.id == self._hub_id and self._where.found((found.address, found.port)):
            self._moved()

    def _lost(self, found: Found) -> None:
        if self._peers is not None and found.role == DEVICE:
            self._peers.lost(int(found.id))

    # --- what the hub is asked and told

    def refresh(self) -> None:
        """Ask the hub who belongs to the folder, and tell it where to post."""
        if self._hook is not None and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._talk)
                return
            except ToastboxError as error:
                _log.info("the hub cannot be asked for the list of devices: %s", error)
            await asyncio.sleep(RETRY_S * (0.75 + random.random() / 2))

    def _talk(self) -> None:
        """One short conversation with the hub, in a thread."""
        client = HubClient(self._credentials, where=self._where)
        try:
            self._members.update(client.peers())
            if self._settings.push == "webhook":
                client.put_webhook(self._door.port, True, NOTIFY_PATH)
        finally:
            client.close()

    def figures(self) -> dict[str, Any]:
        """For status."""
        peers = self._peers
        return {
            "port": self._door.port,
            "name": self._door.name,
            "trouble": self._door.trouble,
            "peers": len(peers) if peers else 0,
            "fetched_chunks": peers.fetched_chunks if peers else 0,
            "served_chunks": self._hook.served_chunks if self._hook else 0,
        }
