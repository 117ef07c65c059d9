"""Runs under MicroPython: a device on littlefs whose power is cut at the nth write of its flash, torn or not.

    micropython power.py COMPILED FLASH CUT TORN     does what an order on standard input says, until it is cut

CUT 0: no cut. Killed: the power went. Prints one line of JSON.
"""

import json
import os
import sys

from flash import mount

buffer = bytearray(8704)
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../.."]  # the program, and what is never replaced
BLOCKS = int(sys.argv[5]) if len(sys.argv) > 5 else 256

order = json.loads(sys.stdin.readline())
flash = mount(sys.argv[2], BLOCKS, int(sys.argv[3]), sys.argv[4] == "1")

from toaster.engine import Disk, Engine

if order["do"] == "pair":
    from toaster.lan import pair

    Disk("/flash")
    settings = pair(order["code"], "127.0.0.1", order["port"], order["name"], buffer)
    settings["key"], settings["certificate"] = list(settings["key"]), list(settings["certificate"])
    print(json.dumps(settings))
    sys.exit(0)
settings = order["settings"]
settings["key"], settings["certificate"] = bytes(settings["key"]), bytes(settings["certificate"])
engine = Engine("/flash", settings, buffer)
for name, text in order.get("write", {}).items():
    with open("/flash/" + name, "w") as file:
        file.write(text)
for name in order.get("remove", ()):
    os.remove("/flash/" + name)
engine.sync()
files = {}
for path, is_folder in engine.disk.walk():
    if not is_folder and engine.state.count < 20:
        with open(engine.disk.where(path), "rb") as file:
            files[path.decode()] = file.read(2000).decode()
status = engine.status()
status.update({"names": files, "writes": flash.writes, "flash": flash.written})
print(json.dumps(status))
