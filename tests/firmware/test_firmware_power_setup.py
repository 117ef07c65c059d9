"""The plug is pulled at every write while a board is set up or gets a new program: it starts with old or new."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import firmware_update
import pytest
from boardkit import record
from compiled import compiled
from cryptography.hazmat.primitives.asymmetric import rsa

from hubkit import Running
from toastbox.core import console_machine as machine
from toastbox.hub.home import find_folder

MICROPYTHON = str(Path(sys.executable).with_name("micropython"))
SETUP = str(Path(__file__).with_name("power_setup.py"))
CUT = -signal.SIGKILL
START = {"do": "start"}
OLD = {"toaster/program.mpy": b"old" * 500, "toaster/engine.mpy": b"old engine" * 300}
NEW = {"toaster/program.mpy": b"new" * 700, "toaster/engine.mpy": b"new engine" * 200, "toaster/more.mpy": b"more"}


def run(flash: Path, order: dict[str, Any], cut: int = 0, torn: bool = False) -> Any:
    """What the board printed; None when its power was cut."""
    command = [MICROPYTHON, "-X", "heapsize=400k", SETUP, str(compiled()), str(flash), str(cut), str(int(torn))]
    text = json.dumps(order) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=100, check=False)
    if cut and done.returncode == CUT:
        return None
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def lay(flash: Path, files: dict[str, bytes]) -> Any:
    return run(flash, {"do": "lay", "files": {name: data.hex() for name, data in files.items()}})


def cuts(flash: Path, order: Callable[[], dict[str, Any]]) -> Iterator[tuple[Path, Any]]:
    """The flash after each cut of the order, torn in the write or stopped before it, and what a start finds there."""
    cut, tried = 0, flash.with_name("tried")
    while True:
        cut += 1
        for torn in (True, False)[: 2 if cut % 3 == 1 else 1]:  # what is torn is also what is cut
            shutil.copyfile(flash, tried)
            if run(tried, order(), cut, torn) is not None:
                assert cut > 2  # else nothing was cut
                return
            yield tried, run(tried, START)


def say(do: str, **fields: Any) -> dict[str, Any]:
    """The order to take this from the serial line."""
    return {"do": "say", "line": list(machine.encode({"seq": 1, "do": do, **fields}))}


def slot(name: str, files: dict[str, bytes], version: int) -> dict[str, bytes]:
    return {**{f"app/{name}/{path}": data for path, data in files.items()}, f"app/{name}/version": b"%d" % version}


def hashes(name: str, files: dict[str, bytes]) -> dict[str, str]:
    return {f"app/{name}/{path}": sha256(data).hexdigest() for path, data in files.items()}


def starts(**fields: Any) -> dict[str, bytes]:
    told = {"slot": "a", "trial": 0, "faults": 0, "bad": 0, **fields}
    return {"conf/start": record(json.dumps(told).encode())}


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    """A board that knows its hub's address and is not paired."""
    made = tmp_path / "flash"
    settings = {"name": "before", "push": "", "hub": "127.0.0.1", "port": 1}
    lay(made, {"conf/settings": record(json.dumps(settings).encode())})
    return made


def pair_order(hub: Running) -> dict[str, Any]:
    code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600))
    return say("pair", code=code, hub=f"https://127.0.0.1:{hub.port}")


def test_settings_are_the_old_ones_or_the_new_ones(flash: Path) -> None:
    order = say("set", values={"name": "after", "only": "/pictures,/" + "x" * 300, "scan": "77"})
    old, seen = run(flash, START)["settings"], []
    for _, found in cuts(flash, lambda: order):
        new = {**old, "name": "'after'", "scan": "77", "only": repr(["/pictures", "/" + "x" * 300])}
        assert found["settings"] in (old, new)
        seen.append(found["settings"] == new)
    assert not seen[0]
    assert run(flash, order)["settings"] == new


def test_a_board_is_paired_or_it_is_not(flash: Path, hub: Running) -> None:
    old = run(flash, START)["settings"]
    for tried, found in cuts(flash, lambda: pair_order(hub)):
        if found["settings"] == old:
            found = run(tried, pair_order(hub))
        assert {"device", "key", "certificate", "folder", "hub_id"} <= set(found["settings"])


def test_a_board_that_was_unpaired_starts_with_nothing_known_of_its_folder(flash: Path, hub: Running) -> None:
    paired = run(flash, pair_order(hub))
    lay(flash, {"shared/kept": b"a file"})
    for tried, found in cuts(flash, lambda: say("unpair")):
        assert found["settings"] == paired["settings"] or not {"device", "key", "certificate"} & set(found["settings"])
        assert "kept" in found["shared"]
        if "device" not in found["settings"]:
            lay(tried, {"shared/.toastbox/state": b"of a hub before"})
            again = run(tried, pair_order(hub))
            assert again["state"]["shared/.toastbox/state"] != sha256(b"of a hub before").hexdigest()


def test_a_factory_reset_never_leaves_a_paired_board_without_its_files(flash: Path, hub: Running) -> None:
    run(flash, pair_order(hub))
    lay(flash, {**slot("b", NEW, 2), **starts(slot="b"), "shared/a": b"a", "shared/z": b"z"})
    left = run(flash, START)["settings"]
    lay(flash, {"conf/settings.new": record(json.dumps({"device": "a write that was cut"}).encode())})
    for _, found in cuts(flash, lambda: say("factory-reset", phrase="erase toastbox")):
        whole = {"a", "z"} <= set(found["shared"])
        assert (found["settings"] == left and whole) or found["settings"] == {}
        assert (found["slot"], found["program"]) == ("b", hashes("b", NEW))


def test_an_update_leaves_the_old_program_or_the_new_one(flash: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    update = {"update.tbu": firmware_update.pack(key, NEW, 3), "update.key": firmware_update.modulus(key)}
    lay(flash, {**slot("a", OLD, 2), **slot("b", OLD, 1), **starts(), **update})
    old, new = ("a", 2, hashes("a", OLD)), ("b", 3, hashes("b", NEW))
    for tried, found in cuts(flash, lambda: {"do": "update"}):
        assert (found["slot"], found["version"], found["program"]) in (old, new)
        if found["slot"] == "a":  # what was begun is in nobody's way
            run(tried, {"do": "update"})
            found = run(tried, START)
        assert (found["slot"], found["version"], found["program"], found["trial"] > 1) == (*new, True)


@pytest.mark.parametrize("trial", [1, 4])
def test_going_back_and_a_start_on_trial_bear_a_cut(flash: Path, trial: int) -> None:
    lay(flash, {**slot("a", OLD, 2), **slot("b", NEW, 3), **starts(slot="b", trial=trial)})
    old, new = ("a", 2, hashes("a", OLD)), ("b", 3, hashes("b", NEW))
    for _, found in cuts(flash, lambda: START):
        entered = (found["slot"], found["version"], found["program"])
        assert entered == (old if trial == 4 else new)
        assert (found["trial"], found["bad"]) == ((0, 3) if trial == 4 else (found["trial"], 0))
    for _, found in cuts(flash, lambda: {"do": "proved"}):
        assert (found["slot"], found["program"]) in (("a", hashes("a", OLD)), ("b", hashes("b", NEW)))
