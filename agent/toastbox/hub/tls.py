"""asyncio's TLS for a hub, of whose thousands of connections most are idle and all keep what they once took.

asyncio gives each one a buffer of 256 KiB to read into, filled with zeros. Ours share one in each loop: what the
kernel hands over goes on to the connection's own TLS before anything else is read. Between asyncio and OpenSSL are two
BIOs, which never shrink: they are filled by slices, so that a connection that has moved megabytes keeps 100 KiB and
not 400.
"""

import threading
from asyncio import sslproto, transports
from collections.abc import Iterable
from typing import Any

READ_BYTES = 256 << 10
SLICE_BYTES = 64 << 10
RECORD_BYTES = 16 << 10  # RFC 8446, 5.1: TLS never gives more at a time, and asyncio makes room for what it asks for
_WAITING_BYTES = 512 << 10  # for the peer, before a BIO has to hold any of it


class _Shared(threading.local):
    """For the loop of each thread."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_shared = _Shared()


class SlicedProtocol(sslproto.SSLProtocol):
    """asyncio's TLS over the buffer of its thread."""

    max_size = RECORD_BYTES

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._ssl_buffer = bytearray()

    def connection_made(self, transport: transports.BaseTransport) -> None:
        """A transport gives back what it held, a BIO does not."""
        super().connection_made(transport)
        if isinstance(transport, transports.WriteTransport):
            transport.set_write_buffer_limits(high=_WAITING_BYTES)

    def get_buffer(self, n: int) -> memoryview:
        """Where the next bytes go; n, a wish, is not for TLS."""
        return _shared.view

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come. Nothing that this calls reads more of them."""
        for at in range(0, nbytes, SLICE_BYTES):
            self._ssl_buffer_view = _shared.view[at:]
            super().buffer_updated(min(SLICE_BYTES, nbytes - at))

    def _write_appdata(self, list_of_data: Iterable[bytes]) -> None:
        for data in list_of_data:
            view: Any = memoryview(data)
            for at in range(0, len(view), SLICE_BYTES):
                super()._write_appdata([view[at : at + SLICE_BYTES]])


def save_memory() -> None:
    """From now on, for connections of every loop in this process."""
    sslproto.SSLProtocol = SlicedProtocol  # type: ignore[misc]
