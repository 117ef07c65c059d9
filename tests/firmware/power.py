"""Runs under MicroPython: a device on littlefs whose power is cut at the nth write of its flash, torn or not.

    micropython power.py COMPILED FLASH CUT TORN     does what an order on standard input says, until it is cut

The block device is a file, so that what was written before the cut is there for the next run. CUT 0: no cut.
Exit status 3: the power went. Prints one line of JSON.
"""

import json
import os
import sys
import vfs

buffer = bytearray(8704)
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../.."]  # the program, and what is never replaced
BLOCK = 1024
BLOCKS = int(sys.argv[5]) if len(sys.argv) > 5 else 256


class Flash:
    """written: bytes programmed. The nth write ends the process, with half of it done when torn."""

    def __init__(self, name, cut, torn):
        self.file = open(name, "r+b")
        self.cut, self.torn = cut, torn
        self.writes = self.written = 0

    def readblocks(self, number, view, offset=0):
        self.file.seek(number * BLOCK + offset)
        self.file.readinto(view)

    def writeblocks(self, number, view, offset=0):
        self.writes += 1
        self.written += len(view)
        cut = self.writes == self.cut
        self.file.seek(number * BLOCK + offset)
        if not cut or self.torn:
            self.file.write(view[: len(view) // 2] if cut else view)
        if cut:
            self.file.flush()
            sys.exit(3)

    def ioctl(self, what, argument):
        return {4: BLOCKS, 5: BLOCK, 6: 0}.get(what)


order = json.loads(sys.stdin.readline())
fresh = False
try:
    os.stat(sys.argv[2])
except OSError:
    fresh = True
    with open(sys.argv[2], "wb") as made:
        for _ in range(BLOCKS):
            made.write(b"\xff" * BLOCK)
flash = Flash(sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1")
if fresh:
    vfs.VfsLfs2.mkfs(flash, progsize=128)
vfs.mount(vfs.VfsLfs2(flash, progsize=128), "/flash")

from toaster.engine import Disk, Engine
from toaster.pairing import pair

if order["do"] == "pair":
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
