"""This machine's own addresses, which of another's to try, and the moment they change.

The kernel tells of changes on a netlink socket (rtnetlink(7)): a board whose Wi-Fi comes up minutes after the program
needs no timer to notice. Routers renew addresses without changing them, so what counts is a look at the list.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import NamedTuple

RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV6_IFADDR = 0x100
SETTLE_S = 2.0
FIRST_SETTLE_S = 0.1  # with no address that reaches others there is nothing to lose: the first is taken as it comes
READ_SIZE = 65536


class Own(NamedTuple):
    """One address of this machine, with the length of its network's prefix."""

    address: str
    prefix: int

    def reaches(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the other address is in the same network."""
        return address in ip_interface(f"{self.address}/{self.prefix}").network


def own_addresses() -> tuple[Own, ...]:
    """All addresses of all interfaces, in a fixed order; link-local IPv6 ones left out, they mean nothing alone."""
    import ifaddr

    found = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            if not (ip_address(address).version == 6 and ip_address(address).is_link_local):
                found.add(Own(address, ip.network_prefix))
    return tuple(sorted(found))


def multicast_interfaces() -> list[str | int]:
    """Where multicast is sent and heard, as zeroconf takes it: every IPv4 address, and the number of every interface
    that has IPv6.

    Not of loopback's: IPv6 has no route for multicast there, and 127.0.0.1 reaches the same programs.
    """
    import ifaddr

    found: set[str | int] = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                found.add(ip.ip)
            elif not ip_address(ip.ip[0]).is_loopback and adapter.index is not None:
                found.add(adapter.index)
    return sorted(found, key=str)


def is_outward(own: Own) -> bool:
    return not ip_address(own.address).is_loopback


def announced(own: Iterable[Own]) -> list[str]:
    """Where others may reach this machine: without loopback, unless there is nothing else."""
    every = tuple(own)
    return [each.address for each in [*filter(is_outward, every)] or every]


def nearest(addresses: Iterable[str], own: Iterable[Own]) -> str:
    """The address to try of those somebody claims; "" if none makes sense.

    In one of our networks first, but not our own (every board has the same address on its container bridge); then
    our own (the other is on this machine); then any; IPv4 before IPv6; of equals the first. Loopback only if we have
    nothing else.
    """
    mine = tuple(own)
    alone = all(ip_address(each.address).is_loopback for each in mine)
    ranked: list[tuple[bool, bool, int, int, str]] = []
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            continue
        if address.is_unspecified or address.is_multicast or (address.is_link_local and address.version == 6):
            continue
        if address.is_loopback and not alone:
            continue
        is_own = any(each.address == text for each in mine)
        is_near = not is_own and any(each.reaches(address) for each in mine)
        ranked.append((not is_near, not is_own, address.version, len(ranked), text))
    return min(ranked)[-1] if ranked else ""


class AddressWatch:
    """Calls changed() in the running loop when this machine's addresses are others than before."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._known: tuple[Own, ...] = ()
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Without netlink (a sandbox may forbid it) changes are not noticed."""
        self._known = own_addresses()
        with suppress(OSError):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            self._socket.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
            asyncio.get_running_loop().add_reader(self._socket, self._heard)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _heard(self) -> None:
        """What exactly was said does not matter; lost messages (ENOBUFS) are a change like any."""
        if self._socket is not None:
            with suppress(OSError):
                while os.read(self._socket.fileno(), READ_SIZE):
                    pass
        if self._timer is None:
            delay_s = SETTLE_S if any(is_outward(each) for each in self._known) else FIRST_SETTLE_S
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now = own_addresses()
        if now != self._known:
            self._known = now
            self._changed()
