"""The whole program on a LAN: devices that find their hub by its code alone, and give each other chunks."""

import json
import os
import subprocess
import sys
import time

import pytest

WAIT_S = 30.0


def command(host, *words: object) -> list[str]:
    return ["ip", "netns", "exec", host.namespace, sys.executable, "-m", "toastbox", *map(str, words)]


def do(host, *words: object) -> str:
    done = subprocess.run(command(host, *words), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture
def start():
    """Start a command that goes on; all are ended afterwards."""
    running = []

    def run(host, *words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(command(host, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield run
    for process in running:
        process.terminate()
        process.communicate(timeout=10)


def status(host, folder) -> dict:
    return json.loads(do(host, "status", folder, "--json"))


def wait_until(condition) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_devices_find_the_hub_by_its_code_and_fetch_from_each_other(lan, start, tmp_path):
    hub, one, two, bystander = (lan.host() for _ in range(4))
    start(hub, "hub", "--data", tmp_path / "hub", "--listen", "*:4433").stdout.readline()
    start(bystander, "hub", "--data", tmp_path / "other hub", "--listen", "*:4433").stdout.readline()
    folders = {one: tmp_path / "one", two: tmp_path / "two"}
    for host, folder in folders.items():
        do(host, "join", do(hub, "invite", "--data", tmp_path / "hub").strip(), folder)
        assert f"https://{hub.address}:" in status(host, folder)["hub"]
    start(one, "agent", folders[one])
    wait_until(lambda: status(one, folders[one]).get("running"))
    for number in range(40):
        (folders[one] / f"file{number}").write_bytes(os.urandom(50_000))
    wait_until(lambda: status(one, folders[one])["cursor"] >= 40)

    start(two, "agent", folders[two])
    wait_until(lambda: len(list(folders[two].glob("file*"))) == 40)
    wait_until(lambda: status(two, folders[two])["lan"]["peers"] == 1)
    do(two, "pause", folders[two])
    for number in range(40, 80):
        (folders[one] / f"file{number}").write_bytes(os.urandom(50_000))
    wait_until(lambda: status(one, folders[one])["cursor"] >= 80)
    do(two, "resume", folders[two])
    wait_until(lambda: len(list(folders[two].glob("file*"))) == 80)
    for path in folders[one].glob("file*"):
        assert (folders[two] / path.name).read_bytes() == path.read_bytes()
    lent, borrowed = status(one, folders[one])["lan"], status(two, folders[two])["lan"]
    assert lent["served_chunks"] >= borrowed["fetched_chunks"] >= 40


def test_commands_find_a_hub_that_has_another_address(lan, start, tmp_path):
    """Without an agent that listens: sync, log and a dry run look for it, unless the settings want no LAN."""
    before, after, device = (lan.host() for _ in range(3))
    hub = start(before, "hub", "--data", tmp_path / "hub", "--listen", "*:4433")
    hub.stdout.readline()
    folder = tmp_path / "folder"
    do(device, "join", do(before, "invite", "--data", tmp_path / "hub").strip(), folder)
    hub.terminate()
    hub.communicate(timeout=10)
    start(after, "hub", "--data", tmp_path / "hub", "--listen", "*:4433").stdout.readline()
    (folder / "file").write_text("content")
    assert "file" in do(device, "sync", folder, "--dry-run")
    do(device, "sync", folder)
    assert "file" in do(device, "log", folder)
    (folder / ".toastbox/config.toml").write_text("announce = false")
    done = subprocess.run(command(device, "sync", folder), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "does not answer" in done.stderr
