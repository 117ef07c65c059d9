"""A hub and a board under MicroPython on one host. Arguments, JSON: a folder to work in, our address, `announce`.

The board is told no address of a hub. It is paired, the hub moves to another port, and the board follows.
"""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent), str(TESTS / "hub"), str(TESTS / "firmware")]

from boardkit import Board, ask

from hubkit import Running, file, running
from toastbox.hub.home import find_folder


def say(kind: str, **values: object) -> None:
    print(json.dumps({"kind": kind, **values}), flush=True)


def put(hub: Running, name: str) -> None:
    caller = hub.device("hand " + name)
    caller.upload(name.encode())
    assert caller.commit(caller.epoch(), file(name, name.encode()))[0][0] == 0
    caller.close()


place, address, announce = Path(json.loads(sys.argv[1])), json.loads(sys.argv[2]), json.loads(sys.argv[3])
board = Board(place / "board", heap="256k")  # 64 bits take 1.65 times as much: that of a chip with 160 KiB
board.fake("network")
(board.place / "wifi").write_text(address)
board.plug()
board.write_record({"wifi": ["home", ""], "safety": 1, "scan": 1, "announce": announce})
with running(place / "hub", at="0.0.0.0:0") as first:
    code = first.server.writer.call(lambda: first.home.pairing.invite(find_folder(first.service, ""), 600))
    board.on()
    board.wait(lambda: board.status()["network"] == "up")
    paired = ask(board, 1, "pair", code=code)
    say("paired", ok=paired["ok"], at=paired.get("result", paired), wanted=f"https://{address}:{first.port}")
    put(first, "first")
    board.wait(lambda: "first" in board.files())
    board.wait(lambda: (board.status()["announced"] != "") == (announce == "self"))
    say("synced", announced=board.status()["announced"])
    sys.stdin.readline()
with running(place / "hub", at="0.0.0.0:0") as second:
    say("moved", before=board.read_record()["port"], now=second.port)
    put(second, "second")
    board.wait(lambda: "second" in board.files())
    board.wait(lambda: board.read_record()["port"] == second.port)
    say("followed", **board.wait_for_status(trouble=""))
    sys.stdin.readline()
board.off()
