"""Who is asking: device numbers and tokens, with the devices that asked lately kept in memory."""

import hmac
import threading
from typing import NamedTuple

from toastbox.core.auth import token
from toastbox.hub.journal.base import Device, Registry
from toastbox.hub.refusal import revoked, unauthorized

_KEPT = 20_000
_NOBODY = "0" * 64


class _Known(NamedTuple):
    device: Device
    token: str


class DeviceTable:
    """Looks devices up and checks their tokens. For any thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[int, _Known] = {}
        self._forgotten = 0
        self._lock = threading.Lock()

    def authenticate(self, number: int, offered: str) -> Device:
        """The device of that number. Raises Refusal: unauthorized, or revoked if the token is right."""
        known = self._find(number)
        right = hmac.compare_digest((known.token if known else _NOBODY).encode(), offered.encode())
        if known is None or not right:
            raise unauthorized()
        if known.device.revoked:
            raise revoked()
        return known.device

    def find(self, number: int) -> Device | None:
        """The device of that number, whoever asks; also one that was revoked."""
        known = self._find(number)
        return known.device if known else None

    def forget(self, number: int) -> None:
        """The device has changed: read it again."""
        with self._lock:
            self._forgotten += 1
            self._known.pop(number, None)

    def _find(self, number: int) -> _Known | None:
        known = self._known.get(number)
        if known is None and 0 < number < 1 << 32:
            forgotten = self._forgotten
            device = self._registry.device(number)
            if device is not None:
                known = _Known(device, token(device.key))
                self._keep(number, known, forgotten)
        return known

    def _keep(self, number: int, known: _Known, forgotten: int) -> None:
        """Unless something was forgotten since it was read: it may have been this."""
        with self._lock:
            if self._forgotten != forgotten:
                return
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[number] = known
