"""How an agent begins: announced first, then the rest of it (device/door.py says why)."""

import asyncio
from collections.abc import Callable

from toastbox.config import AgentSettings
from toastbox.device.door import Door
from toastbox.device.state import Store


def run(store: Store, settings: AgentSettings, complete: Callable[[], AgentSettings] | None = None) -> None:
    """Keep the folder in step until SIGTERM or SIGINT. Raises what ended it: SafetyRefused, DeviceFailing, ...

    complete: gives the settings to work with, where those at hand are good for announcing alone.
    """
    asyncio.run(_run(store, settings, complete))


async def _run(store: Store, settings: AgentSettings, complete: Callable[[], AgentSettings] | None) -> None:
    door = Door(store.credentials(), settings)
    try:
        await door.open()
        await door.announced()
        from toastbox.device.agent import Agent

        await Agent(store, complete() if complete else settings, door).run()
    finally:
        await door.close()
