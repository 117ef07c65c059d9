"""A microcontroller on a real LAN, beside hubs and devices that use another implementation of multicast DNS."""

import pytest


def discovered(host, timeout_s: float = 4) -> list[dict]:
    return host.run("discover_host.py", timeout_s, "").wait_for("list")["found"]


@pytest.mark.parametrize("announce", ["self", "hub"])
def test_a_board_finds_its_hub_follows_it_and_is_found(lan, tmp_path, announce):
    one, two = lan.host(), lan.host()
    one.ip("route", "add", "224.0.0.0/4", "dev", "eth0")  # on a LAN the default route does that
    board = one.run("toaster_host.py", str(tmp_path), one.address, announce)
    paired = board.wait_for("paired", 60)
    assert paired["ok"], paired
    assert paired["at"]["hub"] == paired["wanted"]
    assert board.wait_for("synced", 60)["announced"] == ("toastbox (device 1)" if announce == "self" else "")
    (device,) = [each for each in discovered(two) if each["role"] == "device"]
    assert (device["id"], device["name"], device["address"], device["port"]) == ("1", "toastbox", one.address, 8270)
    board.say()
    moved = board.wait_for("moved")
    assert moved["before"] != moved["now"]
    assert board.wait_for("followed", 90)["faults"] == 0
    assert len([each for each in discovered(two) if each["role"] == "device"]) == 1
    board.say()
    board.leave()
    assert [each for each in discovered(two) if each["role"] == "hub"] == []
