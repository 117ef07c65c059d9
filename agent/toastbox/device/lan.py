"""The device on its LAN: announced, listening for posts and for peers, and asking peers for chunks."""

from collections.abc import Callable
from typing import Any

from toastbox.config import AgentSettings
from toastbox.device.interfaces import Credentials, PeerSource
from toastbox.device.parts import Parts


class Lan:
    """Nothing is imported, opened or announced that the settings do not ask for."""

    def __init__(self, credentials: Credentials, settings: AgentSettings) -> None:
        self._credentials = credentials
        self._settings = settings
        self.source: PeerSource | None = None

    async def start(self, parts: Parts, hint: Callable[[], None], position: Callable[[], tuple[int, int]]) -> None:
        """parts: for what peers ask of us. hint(): a post says that the hub has news."""

    async def stop(self) -> None:
        pass

    def refresh(self) -> None:
        """The hub's list of devices changed."""

    def figures(self) -> dict[str, Any]:
        return {}
