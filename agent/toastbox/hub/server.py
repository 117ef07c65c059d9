"""A running hub: everything put together, listening, until told to stop."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import sys
import time
from pathlib import Path

from toastbox import __version__
from toastbox.announce import Presence
from toastbox.config import HubSettings
from toastbox.errors import WrongUse
from toastbox.hub import tls
from toastbox.hub.connections import Connections, Handler
from toastbox.hub.control import ControlServer
from toastbox.hub.door import Door
from toastbox.hub.groupcommit import GroupCommit
from toastbox.hub.home import Home
from toastbox.hub.keys import server_context, webhook_context
from toastbox.hub.operations import Operations
from toastbox.hub.plain import PlainRoutes
from toastbox.hub.proxies import Proxies
from toastbox.hub.prune import Pruner
from toastbox.hub.push import Push
from toastbox.hub.routes import Routes
from toastbox.hub.subscribers import Subscribers
from toastbox.hub.webhooks import Webhooks
from toastbox.native import posix
from toastbox.neighbours import HUB, HUB_DIGITS, Service, folder_hash
from toastbox.quantity import parse_address, show_address

_log = logging.getLogger(__name__)
_HANDSHAKE_S = 10.0
_STOP_S = 1.0
_SWITCH_S = 0.0005
_BACKLOG = 1024
_KEPT_BLOCK_BYTES = 512 << 10  # pieces of bundles are of 256 KiB
_KEPT_BYTES = 8 << 20


class HubServer:
    """Serves an open data folder inside the running event loop."""

    def __init__(self, home: Home, settings: HubSettings) -> None:
        self._loop = loop = asyncio.get_running_loop()
        service = home.service
        self._home = home
        self._settings = settings
        self.writer = GroupCommit(service, loop)
        self.subscribers = Subscribers()
        self._webhooks = Webhooks(webhook_context(home.authority.certificate_pem), service.clock)
        self._proxies = Proxies(service.clock.monotonic)
        told = self.subscribers, self._webhooks, self._proxies
        self._routes = Routes(service, home.pairing, self.writer, *told, settings.max_body)
        self.connections = self._connections(self._routes.handle)
        self._routes.connections = self.connections
        plain = PlainRoutes(self._routes, service, home.pairing, self.writer)
        self._plain_connections = plain.connections = self._connections(plain.handle)
        service.listeners.append(Push(service, loop, self.subscribers, self._webhooks, self._cut))
        self._control = ControlServer(home.path, Operations(home, self.writer.call, self._twice))
        self._server: asyncio.Server | None = None
        self._plain_server: asyncio.Server | None = None
        self.plain_port = 0
        self._pruning: asyncio.Task[None] | None = None
        self._presence: Presence | None = None

    async def start(self, listen: str) -> int:
        """Listen at HOST:PORT; the port, which differs from the one given if that is 0."""
        host, port = parse_address(listen)
        for device in self._home.service.journal.devices():
            if not device.revoked:
                self._webhooks.set(device)
        tls.save_memory()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self.connections,
                sock=Door(_listening(host, port), self.connections.strangers),
                ssl=server_context(self._home.path),
                ssl_handshake_timeout=_HANDSHAKE_S,
                backlog=_BACKLOG,
            )
        except OSError as error:
            raise WrongUse(f"cannot listen at {listen}: {error.strerror}") from error
        await self._listen_plain()
        await self._control.start()
        if self._settings.prune_interval_s:
            self._pruning = asyncio.create_task(self._prune_always())
        port = int(self._server.sockets[0].getsockname()[1])
        if self._settings.announce:
            self._presence = self._proxies.presence = Presence(self._offer(port))
            await self._presence.start()
        return port

    async def stop(self) -> None:
        """Answer what has been asked, end all connections, flush."""
        if self._pruning is not None:
            self._pruning.cancel()
        for listening in (self._server, self._plain_server):
            if listening is not None:
                listening.close()
        self._proxies.close()
        if self._presence is not None:
            await self._presence.stop()
        await self._control.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await asyncio.gather(self.connections.end(), self._plain_connections.end())
        await self._webhooks.close()
        await asyncio.to_thread(self.writer.stop)
        self._routes.close()

    def _connections(self, handler: Handler) -> Connections:
        settings = self._settings
        return Connections(
            handler,
            asyncio.get_running_loop(),
            settings.max_connections,
            settings.max_connections_per_device,
            settings.header_timeout_s,
        )

    def _twice(self) -> list[int]:
        """Connections.twice, from any thread but the loop's."""
        return asyncio.run_coroutine_threadsafe(self._look_for_twins(), self._loop).result()

    async def _look_for_twins(self) -> list[int]:
        now_s = time.monotonic()
        return self.connections.twice(now_s) + self._plain_connections.twice(now_s)

    def _cut(self, device: int) -> None:
        self.connections.cut(device)
        self._plain_connections.cut(device)
        self._proxies.remove(device)

    async def _listen_plain(self) -> None:
        """Only where the owner says so; who is let in there, too."""
        listen = self._settings.listen_plain
        if not listen:
            return
        try:
            door = Door(_listening(*parse_address(listen)), self._plain_connections.strangers)
            loop = asyncio.get_running_loop()
            self._plain_server = await loop.create_server(self._plain_connections, sock=door, backlog=_BACKLOG)
        except OSError as error:
            raise WrongUse(f"cannot listen at {listen}: {error.strerror}") from error
        self.plain_port = self._home.plain_port = int(self._plain_server.sockets[0].getsockname()[1])

    def _offer(self, port: int) -> Service:
        """What is said on the LAN: which hub this is, for which folders."""
        folders = self._home.service.journal.folders()
        hashes = tuple(folder_hash(folder.ident.hex()) for folder in folders)
        ident = self._home.authority.fingerprint.hex()[:HUB_DIGITS]
        return Service(HUB, ident, self._settings.name or socket.gethostname(), port, hashes, __version__)

    async def _prune_always(self) -> None:
        settings = self._settings
        days, versions = settings.retention_days, settings.retention_versions
        pruner = Pruner(self._home.service, self._home.chunks, self.writer.call, days, versions)
        while True:
            await asyncio.sleep(settings.prune_interval_s)
            try:
                _log.info("pruned: %s", await asyncio.to_thread(pruner.prune))
            except Exception:
                _log.exception("pruning failed; it is tried again in %d s", settings.prune_interval_s)


def run(data: Path, settings: HubSettings, restored: bool = False) -> None:
    """Run a hub until SIGTERM or SIGINT. Prints one line when it listens: URL and certificate fingerprint.

    A second one if it listens without TLS, too. Raises SafetyRefused (another hub works on the data folder), WrongUse
    (cannot listen), DeviceFull, DeviceFailing.
    """
    sys.setswitchinterval(_SWITCH_S)  # the writing thread must not wait 5 ms for the loop after each flush
    posix.malloc_keep(_KEPT_BLOCK_BYTES, _KEPT_BYTES)
    _raise_file_limit()
    home = Home(str(data), restored=restored)
    try:
        asyncio.run(_serve(home, settings))
    finally:
        home.close()


def _listening(host: str, port: int) -> socket.socket:
    """One socket, so that port 0 is one port: of both address families when host is "" and the kernel has both."""
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
    family = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


async def _serve(home: Home, settings: HubSettings) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = HubServer(home, settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        port = await server.start(settings.listen)
        host, _ = parse_address(settings.listen)
        address = show_address(host or "localhost", port)
        print(f"https://{address} {home.authority.fingerprint.hex()}", flush=True)
        if server.plain_port:
            host, _ = parse_address(settings.listen_plain)
            print(f"http://{show_address(host or 'localhost', server.plain_port)} plain", flush=True)
        await ended.wait()


def _raise_file_limit() -> None:
    """A connection is a file: as many as the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
