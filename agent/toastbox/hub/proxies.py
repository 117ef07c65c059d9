"""Announcing devices that cannot do it themselves, at the address they were last seen at (docs/SPEC.md, section 4).

A device asks for it, again now and then; nothing of this is kept over a restart. It ends when the device is silent for
longer than its own pulls are apart, when it says so, and when it is revoked. For the event loop only.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from typing import NamedTuple, Protocol

from toastbox.hub.journal.base import Device
from toastbox.neighbours import DEVICE, Service

SILENT_S = 3600
MOST = 256
_LOOK_S = 60.0


class Announces(Protocol):
    """What announce.Presence does for others."""

    def offer(self, key: str, service: Service, address: str) -> None: ...

    def withdraw(self, key: str) -> None: ...


class _Asked(NamedTuple):
    service: Service
    address: str
    seen: float


class Proxies:
    """presence: who announces, set when there is one. monotonic(): seconds."""

    presence: Announces | None = None

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._asked: dict[int, _Asked] = {}
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, device: Device, port: int, address: str) -> None:
        """Announce a device; nothing happens where nothing is announced, or for who is not on a LAN."""
        at = on_lan(address)
        if self.presence is None or not at or (device.number not in self._asked and len(self._asked) >= MOST):
            return
        service = Service(DEVICE, str(device.number), device.name, port)
        self._asked[device.number] = _Asked(service, at, self._monotonic())
        self.presence.offer(str(device.number), service, at)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def seen(self, number: int, address: str) -> None:
        """A device has asked for something, from this address."""
        asked = self._asked.get(number)
        if asked is None or self.presence is None:
            return
        at = on_lan(address) or asked.address
        self._asked[number] = asked._replace(address=at, seen=self._monotonic())
        if at != asked.address:
            self.presence.offer(str(number), asked.service, at)

    def remove(self, number: int) -> None:
        if self._asked.pop(number, None) is not None and self.presence is not None:
            self.presence.withdraw(str(number))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def expire(self) -> None:
        """Let go of who is silent."""
        latest = self._monotonic() - SILENT_S
        for number in [number for number, asked in self._asked.items() if asked.seen < latest]:
            self.remove(number)

    def _look(self) -> None:
        self.expire()
        again = bool(self._asked)
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look) if again else None


def on_lan(address: str) -> str:
    """The address, if others on a LAN could reach it; "" if not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    mapped = getattr(parsed, "ipv4_mapped", None)
    plain = mapped or parsed
    return str(plain) if plain.is_private and not plain.is_loopback and not plain.is_unspecified else ""
