"""How an agent begins: its port and its announcement first."""

import asyncio
import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from authority import authority
from toastbox import addresses, announce
from toastbox.addresses import FIRST_SETTLE_S, SETTLE_S, AddressWatch, Own
from toastbox.cli import service
from toastbox.config import AgentSettings
from toastbox.device import agent, begin
from toastbox.device.door import Door
from toastbox.neighbours import DEVICE, Found

QUIET = dataclasses.replace(AgentSettings(), announce=False, lan_peers=False)
LATER = {"argparse", "http.client", "sqlite3", "microdot", "toastbox.boards", "toastbox.device.agent"}
FOUND = Found(DEVICE, "7", "other", "https://192.0.2.7:1", "192.0.2.7", 1, (), "0")


def door_of(settings: AgentSettings) -> Door:
    return Door(authority().credentials("https://hub"), settings)


def test_what_announcing_does_not_need_is_loaded_after_it() -> None:
    code = "import sys, toastbox.cli.service, toastbox.announce, zeroconf.asyncio; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "zeroconf" in done.stdout.split()
    assert not LATER & set(done.stdout.split())


def test_service_ends_as_the_command_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert service.main([str(tmp_path), "virt-arm64"]) == 3
    assert "was not joined here" in capsys.readouterr().err


@pytest.mark.parametrize("on_board", [False, True])
def test_only_a_board_waits_until_it_is_announced(on_board: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Rest:
        def __init__(self, *given: object) -> None:
            order.append("the rest")

        async def run(self) -> None:
            order.append("work")

    async def announced(door: Door) -> None:
        order.append("announced")

    monkeypatch.setattr(agent, "Agent", Rest)
    monkeypatch.setattr(Door, "announced", announced)
    store = SimpleNamespace(credentials=lambda: authority().credentials("https://hub"))
    begin.run(store, QUIET, (lambda: QUIET) if on_board else None)  # type: ignore[arg-type]
    assert order == ["announced", "the rest", "work"][0 if on_board else 1 :]


def test_door_that_nobody_is_to_find_stays_shut() -> None:
    async def run() -> None:
        door = door_of(QUIET)
        await door.open()
        await door.announced()
        assert (door.take(), door.port, door.name, door.trouble) == (None, 0, "", "")
        await door.close()

    asyncio.run(run())


def test_who_connects_early_waits_until_the_socket_is_served() -> None:
    async def run() -> bytes:
        door = door_of(dataclasses.replace(QUIET, push="webhook", listen="127.0.0.1:0"))
        await door.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        listening = door.take()
        assert listening is not None and door.take() is None
        await door.close()
        accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
        accepted.sendall(b"late")
        accepted.close()
        listening.close()
        heard = await reader.read()
        writer.close()
        return heard

    assert asyncio.run(run()) == b"late"


def test_port_that_is_taken_is_told_and_does_no_more_harm() -> None:
    async def run() -> str:
        first = door_of(dataclasses.replace(QUIET, push="webhook", listen="127.0.0.1:0"))
        await first.open()
        second = door_of(dataclasses.replace(QUIET, push="webhook", listen=f"127.0.0.1:{first.port}"))
        await second.open()
        assert second.take() is None
        await first.close()
        return second.trouble

    assert "cannot listen" in asyncio.run(run())


def test_who_was_found_before_anybody_asked_is_told_too() -> None:
    presence = announce.Presence(found=lambda found: None)
    presence.neighbours.put("other", FOUND)
    told: list[Found] = []
    presence.tell(told.append, lambda found: None)
    assert told == [FOUND]


@pytest.mark.parametrize(
    ("known", "delay_s"), [(("127.0.0.1",), FIRST_SETTLE_S), ((), FIRST_SETTLE_S), (("192.0.2.1",), SETTLE_S)]
)
def test_first_address_is_taken_as_it_comes(
    known: tuple[str, ...], delay_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    loop = SimpleNamespace(
        add_reader=lambda *words: None,
        remove_reader=lambda *words: None,
        call_later=lambda delay_s, function: delays.append(delay_s),
    )
    monkeypatch.setattr(addresses, "own_addresses", lambda: tuple(Own(each, 24) for each in known))
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    watch = AddressWatch(lambda: None)
    watch.start()
    watch._heard()
    watch.stop()
    assert delays == [delay_s]
