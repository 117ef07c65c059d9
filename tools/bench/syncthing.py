"""Debian's Syncthing, two instances that know only each other, set to be as quick as its settings allow."""

import json
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.pair import Pair, Side, two_sides
from tools.bench.procs import Processes, free_port, require, run, wait_port
from tools.bench.wire import Relay

FOLDER_ID = "bench"
API_KEY = "benchmark"
# The watcher gathers changes for this long: whole seconds in 1.19, and 0 is taken for the default, 10.
WATCHER_DELAY_S = "1"
OPTIONS = {
    "globalAnnounceEnabled": "false",
    "localAnnounceEnabled": "false",
    "relaysEnabled": "false",
    "natEnabled": "false",
    "startBrowser": "false",
    "urAccepted": "-1",
    "autoUpgradeIntervalH": "0",
    "crashReportingEnabled": "false",
    "stunKeepaliveStartS": "0",
    "reconnectionIntervalS": "5",
    "setLowPriority": "false",  # it would be nice to a benchmark beside it, and lose
}


@dataclass
class SyncthingPair(Pair):
    """A dials B; B waits for A."""

    gui_ports: tuple[int, int] = (0, 0)

    def start_receiver(self) -> None:
        self.b.pid = _serve(self.processes, self.b)
        wait_port(self.gui_ports[1], self.processes)
        _get(self.gui_ports[1], f"/rest/db/status?folder={FOLDER_ID}")

    def start_sender(self) -> None:
        self.a.pid = _serve(self.processes, self.a)

    def between(self) -> dict[str, int]:
        return {}


@contextmanager
def open_pair(work: Path, relayed: bool, files: int = 0) -> Iterator[Pair]:
    """Two configured instances, not yet started."""
    require("syncthing", "syncthing")
    with ExitStack() as stack:
        a, b, processes = stack.enter_context(two_sides(work, stack, files))
        ids = [_generate(side) for side in (a, b)]
        gui_ports = (free_port(), free_port())
        listen_ports = (free_port(), free_port())
        legs = {"A-B": stack.enter_context(Relay(listen_ports[1]))} if relayed else {}
        dial = legs["A-B"].port if relayed else listen_ports[1]
        _configure(a, ids, gui_ports[0], listen_ports[0], {ids[1]: f"tcp://127.0.0.1:{dial}"})
        _configure(b, ids, gui_ports[1], listen_ports[1], {})
        yield SyncthingPair(a, b, processes, legs, gui_ports)


def _generate(side: Side) -> str:
    """Makes keys and a first configuration; the answer is the device id."""
    run("syncthing", "generate", "--no-default-folder", f"--home={side.home}", env={"HOME": str(side.home)})
    return run("syncthing", f"--home={side.home}", "--device-id", env={"HOME": str(side.home)}).strip()


def _configure(side: Side, ids: list[str], gui_port: int, listen_port: int, addresses: dict[str, str]) -> None:
    """Writes config.xml. A device without an address is waited for ("dynamic", with every discovery off)."""
    path = side.home / "config.xml"
    document = ET.parse(path)
    root = document.getroot()
    for old in root.findall("device") + root.findall("folder"):
        root.remove(old)
    root.append(_folder(side, ids))
    for device_id in ids:
        device = ET.SubElement(root, "device", id=device_id, compression="metadata")
        ET.SubElement(device, "address").text = addresses.get(device_id, "dynamic")
    _set(root, "gui/address", f"127.0.0.1:{gui_port}")
    _set(root, "gui/apikey", API_KEY)
    _set(root, "options/listenAddress", f"tcp://127.0.0.1:{listen_port}")
    for name, value in OPTIONS.items():
        _set(root, f"options/{name}", value)
    document.write(path)


def _folder(side: Side, ids: list[str]) -> ET.Element:
    folder = ET.Element(
        "folder",
        id=FOLDER_ID,
        path=str(side.folder),
        type="sendreceive",
        rescanIntervalS="3600",
        fsWatcherEnabled="true",
        fsWatcherDelayS=WATCHER_DELAY_S,
    )
    for device_id in ids:
        ET.SubElement(folder, "device", id=device_id)
    (side.folder / ".stfolder").mkdir()
    return folder


def _set(root: ET.Element, path: str, value: str) -> None:
    element = root.find(path)
    if element is None:
        raise LookupError(f"config.xml of this Syncthing has no {path}")
    element.text = value


def _serve(processes: Processes, side: Side) -> int:
    return processes.start(
        side.name,
        "syncthing",
        "serve",
        f"--home={side.home}",
        "--no-browser",
        "--no-upgrade",
        env={"HOME": str(side.home)},
    )


def _get(port: int, path: str) -> object:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"X-API-Key": API_KEY})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
