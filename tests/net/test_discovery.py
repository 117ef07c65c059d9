"""Finding each other on a real LAN: several hosts, real multicast, hosts that vanish, and one that lies."""

import json
import subprocess
import sys
from pathlib import Path

from toastbox.neighbours import MAX_SERVICES

FOLDER = "ab" * 8


def hub(name: str, digit: str = "a", port: int = 4433) -> list:
    return ["hub", digit * 32, name, port, [], "0.1"]


def device(number: int, port: int = 4433) -> list:
    return ["device", str(number), f"pi {number}", port, [FOLDER], "0.1"]


def discover(host, timeout_s: float = 3, wanted: str = "") -> tuple[list[dict], float]:
    answer = host.run("discover_host.py", timeout_s, wanted).wait_for("list")
    return answer["found"], answer["took_s"]


def test_hub_and_devices_find_each_other(lan):
    one, two, three = lan.host(), lan.host(), lan.host()
    programs = [
        one.run("presence_host.py", hub("kitchen"), True),
        two.run("presence_host.py", device(1), True),
        three.run("presence_host.py", device(2, 5555), True),
    ]
    seen = [{p.wait_for("found")["id"], p.wait_for("found")["id"]} for p in programs]
    assert seen == [{"1", "2"}, {"a" * 32, "2"}, {"a" * 32, "1"}]
    found, _ = discover(two)
    by_id = {each["id"]: each for each in found}
    assert found[0]["role"] == "hub"
    assert by_id["a" * 32]["url"] == f"https://{one.address}:4433"
    assert by_id["2"]["url"] == f"https://{three.address}:5555"
    assert (by_id["2"]["name"], by_id["2"]["folders"], by_id["2"]["version"]) == ("pi 2", [FOLDER], "0.1")


def test_one_machine_finds_what_runs_on_itself(lan):
    one = lan.host()
    one.run("presence_host.py", hub("kitchen"), False).wait_for("ready")
    found, _ = discover(one)
    assert [each["url"] for each in found] == [f"https://{one.address}:4433"]


def test_loopback_without_a_route_for_multicast_is_not_complained_of(lan):
    one = lan.host()
    one.ip("link", "set", "lo", "up")
    logged = "import logging, runpy, sys; logging.basicConfig(); runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    command = ["ip", "netns", "exec", one.namespace, sys.executable, "-c", logged]
    command += [Path(__file__).parent / "presence_host.py", *map(json.dumps, (hub("kitchen"), True))]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert '"ready"' in done.stdout and done.returncode == 0
    assert "unreachable" not in done.stderr


def test_two_hubs_are_told_apart_and_the_wanted_one_ends_the_search(lan):
    one, two, three = lan.host(), lan.host(), lan.host()
    for host, digit in ((one, "a"), (two, "b")):
        host.run("presence_host.py", hub("raspberrypi", digit), False).wait_for("ready", trouble="")
    found, took_s = discover(three, 30, "b" * 32)
    assert next(each["url"] for each in found if each["id"] == "b" * 32) == f"https://{two.address}:4433"
    assert took_s < 30
    found, _ = discover(three)
    assert {(each["id"][0], each["url"]) for each in found} == {
        ("a", f"https://{one.address}:4433"),
        ("b", f"https://{two.address}:4433"),
    }


def test_goodbye_is_heard_at_once_and_silence_is_not_listed(lan):
    one, two, three = lan.host(), lan.host(), lan.host()
    polite = one.run("presence_host.py", device(1), False)
    rude = two.run("presence_host.py", device(2), False)
    watcher = three.run("presence_host.py", None, True)
    assert {watcher.wait_for("found")["id"], watcher.wait_for("found")["id"]} == {"1", "2"}
    polite.leave()
    assert watcher.wait_for("lost")["id"] == "1"
    rude.kill()
    assert discover(three)[0] == []


def test_same_name_is_renamed_and_both_are_found(lan):
    one, two, three = lan.host(), lan.host(), lan.host()
    first = one.run("presence_host.py", hub("kitchen", port=1111), False).wait_for("ready")
    second = two.run("presence_host.py", hub("kitchen", port=2222), False).wait_for("ready")
    assert second["name"] == first["name"] + "-2"
    found, _ = discover(three)
    assert {(each["name"], each["port"]) for each in found} == {("kitchen", 1111), ("kitchen", 2222)}


def test_longest_names_survive_renaming(lan):
    one, two = lan.host(), lan.host()
    long_name = "ü" * 100
    first = one.run("presence_host.py", hub(long_name), False).wait_for("ready", trouble="")
    second = two.run("presence_host.py", hub(long_name), False).wait_for("ready", trouble="")
    assert second["name"] == first["name"] + "-2"
    assert len(second["name"].encode()) <= 63


def test_liars_are_not_believed_and_do_not_hide_the_honest(lan):
    one, two, three = lan.host(), lan.host(), lan.host()
    watcher = two.run("presence_host.py", device(9), True)
    watcher.wait_for("ready", trouble="")
    honest = one.run("presence_host.py", hub("kitchen"), False)
    watcher.wait_for("found", id="a" * 32)
    before_kb = watcher.resident_kb
    three.run("rogue_host.py", three.address).wait_for("lied")
    watcher.wait_for("found", name="[2J[31mowned")
    watcher.rest()
    messages = watcher.heard()
    hubs = [each for each in messages if each["kind"] == "found" and each["role"] == "hub"]
    assert all(each["name"].isprintable() and each["port"] and each["address"] == three.address for each in messages)
    assert all(set(each["id"]) <= set("0123456789abcdef") and len(each["id"]) == 32 for each in hubs)
    assert not [each for each in messages if each["kind"] == "lost" and each["id"] == "a" * 32]
    assert len(messages) <= 2 * MAX_SERVICES
    assert watcher.resident_kb - before_kb < 16_384
    honest.leave()  # whether its goodbye is heard in what the flood left is zeroconf's affair
    one.run("presence_host.py", hub("cellar", "c"), False).wait_for("ready", trouble="")
    found, _ = discover(two, 10, "c" * 32)
    assert f"https://{one.address}:4433" in {each["url"] for each in found if each["id"] == "c" * 32}


def test_new_address_is_announced_without_being_told(lan):
    one, two = lan.host(), lan.host()
    one.run("presence_host.py", hub("kitchen"), False).wait_for("ready", trouble="")
    watcher = two.run("presence_host.py", None, True)
    assert watcher.wait_for("found")["address"] == one.address
    one.ip("addr", "del", f"{one.address}/24", "dev", "eth0")
    one.ip("addr", "add", "10.77.0.200/24", "dev", "eth0")
    watcher.wait_for("found", address="10.77.0.200")


def test_network_that_comes_up_later_is_used(lan):
    one, two = lan.host(), lan.host()
    one.ip("link", "set", "eth0", "down")
    one.ip("addr", "flush", "dev", "eth0")
    early = one.run("presence_host.py", hub("kitchen"), True)
    early.wait_for("ready")
    two.run("presence_host.py", device(1), False).wait_for("ready", trouble="")
    one.ip("link", "set", "eth0", "up")
    one.ip("addr", "add", f"{one.address}/24", "dev", "eth0")
    assert early.wait_for("found")["id"] == "1"
    assert discover(two, 10, "a" * 32)[0][0]["url"] == f"https://{one.address}:4433"
