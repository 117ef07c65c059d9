"""Being found and finding others on the LAN: DNS-SD over multicast DNS, by python-zeroconf.

One instance of zeroconf a process, in the caller's event loop; it is imported when a Presence is started, not before.
Idle, its one timer cleans the cache every ten seconds. When this machine's addresses change, it is made anew.

    closed --start--> opening --> open --addresses change--> opening (goodbye at the old addresses) --> open
                         \\--no network, port taken--> closed with `trouble`, until addresses change

A service that says goodbye is reported as lost at once; one that just vanishes after its record's lifetime (75
minutes): who connects to it notices sooner.
So it is when a goodbye drowns: a socket's usual 208 KiB hold 230 packets while this process does something else (of
1,900 sent at once /proc/net/udp counted 1,684 dropped), and more is for the system to grant (net.core.rmem_max).
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from toastbox.addresses import AddressWatch, Own, announced, multicast_interfaces, nearest, own_addresses
from toastbox.neighbours import (
    HUB,
    MAX_SERVICES,
    SERVICE_TYPE,
    Found,
    Neighbours,
    Service,
    instance_label,
    joined,
    read_service,
    txt_of,
)

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

RESOLVERS = 8
RESOLVE_TIMEOUT_MS = 3000
CLOSE_TIMEOUT_S = 1.0
FIND_S = 5.0

OnFound = Callable[[Found], None]


class Presence:
    """This process on the LAN. announce: what it offers; found, lost: called in the loop, with others' offers.

    Own offers are not reported. name: the instance name that was got. trouble: why nobody is heard, or "".
    """

    def __init__(
        self, announce: Service | None = None, found: OnFound | None = None, lost: OnFound | None = None
    ) -> None:
        self.name = ""
        self.trouble = ""
        self.neighbours = Neighbours()
        self._service = announce
        self._on_found = found
        self._on_lost = lost
        self._watch = AddressWatch(self._restart)
        self._own: tuple[Own, ...] = ()
        self._zeroconf: AsyncZeroconf | None = None
        self._info: AsyncServiceInfo | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._others: dict[str, tuple[Service, str]] = {}
        self._other_infos: dict[str, AsyncServiceInfo] = {}
        self._unresolved: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Returns at once; being announced takes a second (`ready`)."""
        self._watch.start()
        self._spawn(self._open())

    def tell(self, found: OnFound, lost: OnFound) -> None:
        """From now on these two are called, as if they had been from the start. Needs one that is called already."""
        self._on_found, self._on_lost = found, lost
        for each in self.neighbours.all():
            found(each)

    async def ready(self) -> None:
        """Wait until announced, or in trouble."""
        await asyncio.sleep(0)
        async with self._turn:
            return

    def offer(self, key: str, service: Service, address: str) -> None:
        """Announce a service of another, who cannot, at its address, until withdraw(key)."""
        if self._others.get(key) != (service, address):
            self._others[key] = service, address
            self._spawn(self._renew(key))

    def withdraw(self, key: str) -> None:
        if self._others.pop(key, None) is not None:
            self._spawn(self._renew(key))

    async def stop(self) -> None:
        """Say goodbye, but not for long."""
        self._watch.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()

    # --- opening and closing

    def _restart(self) -> None:
        self._spawn(self._reopen())

    async def _reopen(self) -> None:
        async with self._turn:
            await self._close()
        await self._open()

    async def _open(self) -> None:
        async with self._turn:
            self._own = own_addresses()
            try:
                self._zeroconf = open_zeroconf()
                if self._service is not None:
                    await self._register(self._zeroconf, self._service)
                for key in list(self._others):
                    await self._register_other(self._zeroconf, key)
                if self._on_found is not None:
                    self._browse(self._zeroconf)
                self.trouble = ""
            except Exception as error:  # zeroconf's own tree has no root; this must never end the program
                self.trouble = f"not on the LAN: {error or type(error).__name__}"
                await self._close()

    async def _register(self, zeroconf: "AsyncZeroconf", service: Service) -> None:
        self._info = _info_of(service, list(joined(announced(self._own))))
        await zeroconf.async_register_service(self._info, allow_name_change=True)
        self.name = self._info.name.removesuffix("." + SERVICE_TYPE)

    async def _renew(self, key: str) -> None:
        """Bring what is announced for another in line with what was asked for."""
        async with self._turn:
            zeroconf, info = self._zeroconf, self._other_infos.pop(key, None)
            if zeroconf is None:
                return
            try:
                if info is not None:
                    await zeroconf.async_unregister_service(info)
                await self._register_other(zeroconf, key)
            except Exception as error:  # as in _open
                self.trouble = f"another is not announced: {error or type(error).__name__}"

    async def _register_other(self, zeroconf: "AsyncZeroconf", key: str) -> None:
        if key not in self._others:
            return
        service, address = self._others[key]
        info = self._other_infos[key] = _info_of(service, [address])
        await zeroconf.async_register_service(info, allow_name_change=True)

    def _browse(self, zeroconf: "AsyncZeroconf") -> None:
        from zeroconf.asyncio import AsyncServiceBrowser

        self._browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE_TYPE, handlers=[self._changed])

    async def _close(self) -> None:
        browser, self._browser = self._browser, None
        zeroconf, self._zeroconf = self._zeroconf, None
        self._other_infos.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if browser is not None:
                    await browser.async_cancel()
                if zeroconf is not None:
                    await zeroconf.async_close()

    # --- others

    def _changed(self, zeroconf: "Zeroconf", service_type: str, name: str, state_change: "ServiceStateChange") -> None:
        """Called by zeroconf, in the loop. What its cache knows whole is taken; the rest is asked for."""
        from zeroconf import ServiceStateChange
        from zeroconf.asyncio import AsyncServiceInfo

        if self._info is not None and name.lower() == self._info.name.lower():
            return
        if state_change is ServiceStateChange.Removed:
            self._unresolved.pop(name, None)
            gone = self.neighbours.remove(name)
            if gone is not None and self._on_lost is not None:
                self._on_lost(gone)
            return
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        if info.load_from_cache(zeroconf):
            self._take(name, info)
        elif len(self._unresolved) < MAX_SERVICES:
            self._unresolved[name] = None
            if len(self._tasks) < RESOLVERS:
                self._spawn(self._resolve(zeroconf))

    async def _resolve(self, zeroconf: "Zeroconf") -> None:
        """Ask for names until none is left; a few of these run at once."""
        from zeroconf.asyncio import AsyncServiceInfo

        while self._unresolved:
            name = next(iter(self._unresolved))
            del self._unresolved[name]
            info = AsyncServiceInfo(SERVICE_TYPE, name)
            if await info.async_request(zeroconf, RESOLVE_TIMEOUT_MS):
                self._take(name, info)

    def _take(self, name: str, info: "AsyncServiceInfo") -> None:
        address = nearest(joined(info.parsed_addresses()), self._own)
        found = read_service(info.properties, info.port, address)
        if found is None or self._is_own(found) or not self.neighbours.put(name, found):
            return
        if self._on_found is not None:
            self._on_found(found)

    def _is_own(self, found: Found) -> bool:
        mine = self._service
        return mine is not None and (found.role, found.id, found.port) == (mine.role, mine.id, mine.port)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _info_of(service: Service, addresses: list[str]) -> "AsyncServiceInfo":
    from zeroconf.asyncio import AsyncServiceInfo

    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{instance_label(service)}.{SERVICE_TYPE}",
        port=service.port,
        properties=txt_of(service),
        parsed_addresses=addresses,
    )


def open_zeroconf() -> "AsyncZeroconf":
    """On all interfaces, for both families where the machine has both. OSError: it cannot be."""
    from zeroconf import InterfaceChoice, IPVersion
    from zeroconf.asyncio import AsyncZeroconf

    try:
        return AsyncZeroconf(interfaces=multicast_interfaces(), ip_version=IPVersion.All)
    except OSError:
        return AsyncZeroconf(interfaces=InterfaceChoice.All, ip_version=IPVersion.V4Only)


def discover(timeout_s: float, enough: Callable[[Found], bool] = lambda found: False) -> list[Found]:
    """What answers within the time, or until one is enough: hubs first, then by name.

    OSError: the network cannot be asked at all.
    """
    return asyncio.run(_discover(timeout_s, enough))


def find_hub(identity: str, timeout_s: float = FIND_S) -> list[Found]:
    """Where the hub with this id (neighbours.hub_id) says it is; empty: nowhere. Raises OSError as discover does."""

    def is_it(found: Found) -> bool:
        return found.role == HUB and found.id == identity

    return list(filter(is_it, discover(timeout_s, enough=is_it)))


async def _discover(timeout_s: float, enough: Callable[[Found], bool]) -> list[Found]:
    done = asyncio.Event()
    presence = Presence(found=lambda found: done.set() if enough(found) else None)
    await presence.start()
    try:
        await presence.ready()
        if presence.trouble:
            raise OSError(presence.trouble)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await done.wait()
    finally:
        await presence.stop()
    return presence.neighbours.all()
