"""The first thing of an agent: its port is open, and it is announced on the LAN. A board loads the rest only then.

A small board reads and starts Python's modules for seconds, and half of them are not needed for this. Loading them
while announcing waits (half a second) would hold up what announces. Who connects before the rest is there waits in
the kernel's queue.

Nothing is imported, opened or announced that the settings do not ask for:

    announce or lan_peers   zeroconf: found by others, finds others
    lan_peers or webhook    the port that is announced and told to the hub
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from toastbox import __version__
from toastbox.config import AgentSettings
from toastbox.device.interfaces import Credentials
from toastbox.device.listener import listen_at
from toastbox.neighbours import DEVICE, Found, Service, folder_hash
from toastbox.quantity import parse_address

if TYPE_CHECKING:
    from toastbox.announce import Presence

ANNOUNCED_TIMEOUT_S = 2.0
_log = logging.getLogger(__name__)


class Door:
    """One agent's. port: 0 while nobody is to connect. trouble: why it is not open, or ""."""

    def __init__(self, credentials: Credentials, settings: AgentSettings) -> None:
        self.port = 0
        self._socket: socket.socket | None = None
        self._who = credentials
        self._settings = settings
        self._presence: Presence | None = None
        self._trouble = ""

    async def open(self) -> None:
        """What fails here is told in `trouble`: a folder is kept in step without it. Runs in the event loop."""
        settings = self._settings
        if settings.push == "webhook" or (settings.lan_peers and settings.announce):
            self._listen()
        if settings.announce:
            await self._announce()

    def _listen(self) -> None:
        try:
            self._socket = listen_at(*parse_address(self._settings.listen))
            self.port = int(self._socket.getsockname()[1])
        except OSError as error:
            self._trouble = f"cannot listen at {self._settings.listen}: {error.strerror}"
            _log.warning("%s", self._trouble)

    async def _announce(self) -> None:
        from toastbox.announce import Presence

        who = self._who
        offer = Service(
            DEVICE,
            str(who.device),
            self._settings.name or who.name,
            self.port,
            (folder_hash(who.folder),),
            __version__,
        )
        self._presence = Presence(offer if self.port else None, _nobody_yet)
        await self._presence.start()

    async def announced(self) -> None:
        """Wait until it is, or cannot be, or it takes too long."""
        if self._presence is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCED_TIMEOUT_S):
                    await self._presence.ready()

    def tell(self, found: Callable[[Found], None], lost: Callable[[Found], None]) -> None:
        """Who is on the LAN: those that are known at once, others as they come and go."""
        if self._presence is not None:
            self._presence.tell(found, lost)

    def take(self) -> socket.socket | None:
        """The listening socket, which is the caller's from now on; None: there is none."""
        taken, self._socket = self._socket, None
        return taken

    async def close(self) -> None:
        """Say goodbye. May be called again."""
        presence, self._presence = self._presence, None
        if presence is not None:
            await presence.stop()
        untaken = self.take()
        if untaken is not None:
            untaken.close()

    @property
    def name(self) -> str:
        """As announced."""
        return self._presence.name if self._presence else ""

    @property
    def trouble(self) -> str:
        return self._trouble or (self._presence.trouble if self._presence else "")


def _nobody_yet(found: Found) -> None:
    """Whom it concerns is told by Door.tell."""
