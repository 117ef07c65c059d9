"""Runs under MicroPython: a board that is set up or gets a new program while its power is cut; see flash.py.

    micropython power_setup.py COMPILED FLASH CUT TORN     does what an order on standard input says, until it is cut

Begins as start.py does, and prints what it finds after the order, as one line of JSON. What a program is does not
matter here: what counts is that the slot that is entered holds one version, whole.
"""

import hashlib
import json
import os
import sys

from flash import mount

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../.."]
arena = bytearray(12288)
mount(sys.argv[2], 256, int(sys.argv[3]), sys.argv[4] == "1")
os.chdir("/flash")

import start
from toaster import update
from toaster.console import Console
from toaster.program import Program


class Wired:
    address = "127.0.0.1"

    def __init__(self, settings):
        pass


def make_folder(name):
    try:
        os.mkdir(name)
    except OSError:
        pass


def lay(order):
    """Write files, with folders as they are needed."""
    for name, text in order["files"].items():
        parts = name.split("/")
        for count in range(1, len(parts)):
            make_folder("/".join(parts[:count]))
        with open(name, "wb") as file:
            file.write(bytes.fromhex(text))


def content(folder):
    """SHA-256 of each file below a folder."""
    found = {}
    try:
        listing = list(os.ilistdir(folder))
    except OSError:
        return found
    for item in listing:
        name = folder + "/" + item[0]
        if item[1] & 0x4000:
            found.update(content(name))
        else:
            with open(name, "rb") as file:
                found[name] = hashlib.sha256(file.read()).digest().hex()
    return found


order = json.loads(sys.stdin.readline())
for folder in ("conf", "shared"):
    make_folder(folder)
starts = start.Starts("conf/")
starts.begin(start.version_of)
starts.reset = lambda: None
do = order["do"]
program = Program(starts, arena, Wired)
answer = bytearray()
console = Console(program, answer.extend)
if do == "lay":
    lay(order)
elif do == "update":
    with open("update.key", "rb") as file:
        update.take("update.tbu", file.read(), starts, memoryview(arena)[:8704])
elif do == "proved":
    starts.healthy()
elif do == "say":
    console.feed(bytes(order["line"]), 0)
slot = starts.slot
told = {
    "answer": bytes(answer).decode(),
    "settings": {name: repr(value) for name, value in program.settings.items()},
    "slot": slot,
    "trial": starts.trial,
    "bad": starts.bad,
    "version": start.version_of(slot),
    "program": content("app/" + slot + "/toaster"),
    "state": content("shared/.toastbox"),
    "shared": sorted(os.listdir("shared")) if "shared" in os.listdir() else [],
}
print(json.dumps(told))
