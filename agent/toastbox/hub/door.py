"""Who may come in: connections are counted from the moment they are accepted, before TLS takes memory for them.

The event loop tells of a connection when its handshake is done, which a stranger can put off for ten seconds. So the
listening socket counts, too: it hands out sockets that say when they are closed, and closes at once what is too many.
"""

import socket
from collections import Counter
from typing import Any

STRANGERS_PER_ADDRESS = 256


class Strangers:
    """Connections that have not proved a device, by address. limit: of all that arrive, whatever their address."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arriving: set[tuple[str, int]] = set()  # accepted, no handshake yet
        self._count: Counter[str] = Counter()

    def arrives(self, address: str, port: int) -> bool:
        """Count it; False, and it is not counted, when there are too many."""
        if self._count[address] >= STRANGERS_PER_ADDRESS or len(self._arriving) >= self._limit:
            return False
        self._arriving.add((address, port))
        self._count[address] += 1
        return True

    def enters(self, address: str, port: int) -> None:
        """The handshake is done: from now on the connection itself says when it ends."""
        if (address, port) in self._arriving:
            self._arriving.remove((address, port))
        else:
            self._count[address] += 1

    def closed(self, address: str, port: int) -> None:
        """A socket was closed; it may have entered before."""
        if (address, port) in self._arriving:
            self._arriving.remove((address, port))
            self.leaves(address)

    def leaves(self, address: str) -> None:
        """One is no stranger any more: it has proved a device, or has ended."""
        self._count[address] -= 1
        if self._count[address] <= 0:
            del self._count[address]


class Guest(socket.socket):
    """An accepted socket that tells when it is closed."""

    strangers: Strangers
    peer: tuple[str, int]

    def close(self) -> None:
        self.strangers.closed(*self.peer)
        super().close()


class Door(socket.socket):
    """A listening socket that takes in no more than there may be. Takes over the socket it is made of."""

    def __init__(self, listening: socket.socket, strangers: Strangers) -> None:
        super().__init__(listening.family, listening.type, listening.proto, listening.detach())
        self._strangers = strangers

    def accept(self) -> tuple[socket.socket, Any]:
        """As socket's. ConnectionAbortedError: it was one too many."""
        taken, peer = super().accept()
        if not self._strangers.arrives(peer[0], peer[1]):
            taken.close()
            raise ConnectionAbortedError("too many connections of this address")
        guest = Guest(taken.family, taken.type, taken.proto, taken.detach())
        guest.strangers, guest.peer = self._strangers, (peer[0], peer[1])
        return guest, peer
