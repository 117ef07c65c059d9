"""How an agent begins. On a board: announced first, then the rest of it (device/door.py says why)."""

import asyncio
from collections.abc import Callable

from toastbox.config import AgentSettings
from toastbox.device.door import Door
from toastbox.device.state import Store
from toastbox.loading import loading


def run(store: Store, settings: AgentSettings, complete: Callable[[], AgentSettings] | None = None) -> None:
    """Keep the folder in step until SIGTERM or SIGINT. Raises what ended it: SafetyRefused, DeviceFailing, ...

    complete: gives the settings to work with, where those at hand are good for announcing alone. So it is on a board,
    which is announced before it loads the rest; a PC has loaded that in a tenth of a second, and does not wait.
    """
    asyncio.run(_run(store, settings, complete))


async def _run(store: Store, settings: AgentSettings, complete: Callable[[], AgentSettings] | None) -> None:
    door = Door(store.credentials(), settings)
    try:
        await door.open()
        if complete:
            await door.announced()
        with loading():
            from toastbox.device.agent import Agent

        await Agent(store, complete() if complete else settings, door).run()
    finally:
        await door.close()
