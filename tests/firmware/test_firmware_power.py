"""The plug is pulled at every write of the flash in a short history: it mounts, converges, and nothing is lost."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compiled import compiled

from hubkit import Caller, Running, bundle, deletion, file, folder
from toastbox.hub.home import find_folder

MICROPYTHON = str(Path(sys.executable).with_name("micropython"))
POWER = str(Path(__file__).with_name("power.py"))
CUT = -signal.SIGKILL


def run(flash: Path, order: dict[str, Any], cut: int = 0, torn: bool = False, blocks: int = 256) -> Any:
    """What the device printed; None when its power was cut."""
    command = [MICROPYTHON, "-X", "heapsize=192k", POWER, str(compiled()), str(flash), str(cut), str(int(torn))]
    text = json.dumps(order) + "\n"
    done = subprocess.run([*command, str(blocks)], input=text, capture_output=True, text=True, timeout=100, check=False)
    if cut and done.returncode == CUT:
        return None
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def paired(hub: Running, flash: Path, name: str, blocks: int = 256) -> dict[str, Any]:
    code = hub.server.writer.call(lambda: hub.home.pairing.invite(find_folder(hub.service, ""), 600))
    settings = run(flash, {"do": "pair", "code": code, "port": hub.port, "name": name}, blocks=blocks)
    assert isinstance(settings, dict)
    return settings


def put(caller: Caller, path: str, data: bytes, seq: int = 0) -> int:
    caller.upload(data)
    ((status, seq),) = caller.commit(caller.epoch(), file(path, data, seq))
    assert status == 0
    return seq


@pytest.mark.parametrize("torn", [False, True])
def test_every_cut_while_receiving(hub: Running, caller: Caller, tmp_path: Path, torn: bool) -> None:
    flash = tmp_path / "flash"
    settings = paired(hub, flash, "toast")
    a = put(caller, "a", b"old a")
    b = put(caller, "b", b"old b")
    order = {"do": "sync", "settings": settings}
    assert run(flash, order)["names"] == {"a": "old a", "b": "old b"}
    put(caller, "a", b"new a" * 300, a)
    assert caller.commit(caller.epoch(), deletion("b", b), folder("d"))[0][0] == 0
    put(caller, "d/c", b"c")
    wanted = {"a": "new a" * 300, "d/c": "c"}
    cut, step = 1, 1 if torn else 3  # what is torn is also what is cut
    while True:
        tried = tmp_path / "tried"
        shutil.copyfile(flash, tried)
        if run(tried, order, cut, torn) is not None:
            break
        assert run(tried, order)["names"] == wanted, f"cut at write {cut}"
        cut += step
    assert cut > step * 3


def test_every_cut_while_sending(hub: Running, caller: Caller, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    settings = paired(hub, flash, "toast")
    order = {"do": "sync", "settings": settings}
    run(flash, order)
    cut, last = 1, None
    while last is None:
        text = "reading " + "x" * cut
        last = run(flash, {**order, "write": {"log": text}}, cut, torn=True)
        names = run(flash, order)["names"]
        newest = [entry["size"] for entry in caller.ask("GET", "/v1/versions?path=log").json["entries"]][:1]
        assert newest == [len(names[name]) for name in names] or not names, f"cut at write {cut}"
        cut += 1
    assert names == {"log": text} and cut > 5


def test_a_full_flash_holds_back_says_so_and_tries_again(hub: Running, caller: Caller, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    settings = paired(hub, flash, "toast", blocks=80)
    first = put(caller, "first", b"f" * 30_000)
    order = {"do": "sync", "settings": settings}
    run(flash, order, blocks=80)
    put(caller, "second", b"s" * 30_000)
    put(caller, "third", b"t")
    full = run(flash, order, blocks=80)
    assert full["held"] == {"second": "no room"}
    assert caller.commit(caller.epoch(), deletion("first", first))[0][0] == 0
    run(flash, order, blocks=80)
    held = run(flash, order, blocks=80)
    assert held["held"] == {}
    assert set(run(flash, order, blocks=80)["names"]) == {"second", "third"}


def test_flash_written_for_each_byte_of_content(hub: Running, caller: Caller, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    settings = paired(hub, flash, "toast", blocks=4096)
    datas = [bytes([number]) * (1000 + number * 95) for number in range(200)]
    caller.ask("POST", "/v1/chunks", bundle(*datas))
    results = caller.commit(caller.epoch(), *[file(f"n{number}", data) for number, data in enumerate(datas)])
    assert all(status == 0 for status, _ in results)
    done = run(flash, {"do": "sync", "settings": settings}, blocks=4096)
    assert done["files"] == 200
    ratio = done["flash"] / sum(map(len, datas))
    print(f"flash bytes written for each byte of content: {ratio:.2f}; by the program {done['flash_written']}")
    assert ratio < 1.3
