"""What all TLS connections of a hub read into: one buffer, where asyncio gives each of them its own.

Its 256 KiB each, filled with zeros, are 2.6 GB for ten thousand event streams. One is enough for a loop: what the
kernel hands over goes on to the connection's own TLS before anything else is read. And asyncio asks TLS for as many
bytes as that buffer has, though a record holds 16 KiB at most: each answer was a piece of memory too large, cut down.
"""

import threading
from asyncio import sslproto
from typing import Any

RECORD_BYTES = 16 << 10  # RFC 8446, 5.1
READ_BYTES = 256 << 10


class _Shared(threading.local):
    """For the loop of each thread."""

    def __init__(self) -> None:
        self.buffer = bytearray(READ_BYTES)


_shared = _Shared()


class SharedBuffer(sslproto.SSLProtocol):
    """asyncio's TLS over the buffer of its thread."""

    max_size = RECORD_BYTES

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._ssl_buffer = _shared.buffer
        self._ssl_buffer_view = memoryview(self._ssl_buffer)

    def get_buffer(self, n: int) -> memoryview:
        """Where the next bytes go; n, a wish, is not for TLS."""
        return self._ssl_buffer_view


def share() -> None:
    """From now on, for connections of every loop in this process."""
    sslproto.SSLProtocol = SharedBuffer  # type: ignore[misc]
