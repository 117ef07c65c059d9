"""Devices that a hub announces because they cannot: where, for how long, and who not."""

import asyncio
import json

import pytest

from hubkit import Caller, Clock, Running
from toastbox.hub.journal.base import Device
from toastbox.hub.proxies import MOST, SILENT_S, Proxies, on_lan
from toastbox.neighbours import Service


class Told:
    """In the place of a Presence."""

    def __init__(self) -> None:
        self.now: dict[str, tuple[str, int, str]] = {}

    def offer(self, key: str, service: Service, address: str) -> None:
        self.now[key] = service.name, service.port, address

    def withdraw(self, key: str) -> None:
        del self.now[key]


def device(number: int) -> Device:
    return Device(number, 1, f"pico {number}", bytes(32), 0, False, "")


def test_at_the_address_it_was_last_seen_at_until_it_is_silent(clock: Clock) -> None:
    async def story() -> None:
        proxies, told = Proxies(clock.monotonic), Told()
        proxies.ask(device(1), 8270, "10.0.0.5")  # nobody announces here
        proxies.presence = told
        proxies.seen(1, "10.0.0.5")
        assert told.now == {}
        proxies.ask(device(1), 8270, "::ffff:10.0.0.5")
        proxies.ask(device(2), 8271, "10.0.0.6")
        assert told.now == {"1": ("pico 1", 8270, "10.0.0.5"), "2": ("pico 2", 8271, "10.0.0.6")}
        clock.move(SILENT_S)
        proxies.seen(1, "10.0.0.7")
        proxies.expire()
        clock.move(1)
        proxies.expire()
        assert told.now == {"1": ("pico 1", 8270, "10.0.0.7")}
        proxies.remove(1)
        proxies.remove(1)
        assert told.now == {}
        for number in range(1, MOST + 10):
            proxies.ask(device(number), 1, "10.0.0.5")
        assert len(told.now) == MOST
        proxies.close()

    asyncio.run(story())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "8.8.8.8", "", "nonsense", "0.0.0.0", "::ffff:8.8.8.8"])
def test_who_is_not_on_a_lan_is_not_announced(address: str) -> None:
    assert on_lan(address) == ""


def test_asked_for_over_http_and_ended_by_a_revocation(hub: Running) -> None:
    told = Told()
    proxies = hub.server._proxies
    caller = hub.device("pico")
    body = json.dumps({"port": 8270}).encode()
    assert caller.ask("PUT", "/v1/announce", body).status == 204
    proxies.presence = told
    assert caller.ask("PUT", "/v1/announce", body).status == 204
    assert told.now == {}, "loopback is no LAN"
    for wrong in (b"{}", b"[]", b'{"port": 0}', b'{"port": "1"}', b'{"port": 65536}', b"[" * 5000):
        assert caller.ask("PUT", "/v1/announce", wrong).status == 400
    assert Caller(hub.port).ask("PUT", "/v1/announce", body).status == 401
    known = hub.service.device(caller.number)
    assert known is not None
    hub.loop.call_soon_threadsafe(proxies.ask, known, 8270, "10.0.0.5")
    assert caller.ask("GET", "/v1/folder").status == 200
    assert told.now == {str(caller.number): ("pico", 8270, "10.0.0.5")}
    hub.server.writer.call(lambda: hub.service.revoke(known))
    with pytest.raises(OSError):
        caller.ask("GET", "/v1/folder")
    assert told.now == {}
