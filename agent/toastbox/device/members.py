"""Who belongs to the folder, as the hub last told: the devices that have been paired and not revoked."""

from typing import Any

from toastbox.errors import HostilePeer

MAX_DEVICE = 2**32 - 1


class Members:
    """Device numbers. Nobody is a member before the hub has been asked once: unknown is not trusted.

    Read by any thread; replaced whole.
    """

    def __init__(self) -> None:
        self._numbers: frozenset[int] = frozenset()
        self.version = -1

    def has(self, number: int) -> bool:
        return number in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def update(self, document: dict[str, Any]) -> None:
        """Take over an answer of /v1/peers, unless a newer one is known. HostilePeer: it is none."""
        version, peers = document.get("version"), document.get("peers")
        if type(version) is not int or not isinstance(peers, list):
            raise HostilePeer("the hub's list of devices cannot be read")
        numbers = frozenset(_number(peer) for peer in peers if not _revoked(peer))
        if version >= self.version:
            self._numbers, self.version = numbers, version


def _revoked(peer: object) -> bool:
    """Whatever does not clearly say that the device is welcome says that it is not."""
    return not isinstance(peer, dict) or peer.get("revoked") is not False


def _number(peer: dict[str, Any]) -> int:
    number = peer.get("number")
    if type(number) is not int or not 0 < number <= MAX_DEVICE:
        raise HostilePeer("the hub's list of devices has a bad number")
    return number
