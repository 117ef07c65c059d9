"""Runs under MicroPython: one device, told what to do by lines of JSON on its standard input, one answer a line.

micropython drive.py COMPILED FOLDER
"""

import gc
import json
import sys

buffer = bytearray(8704)
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../.."]  # the program, and what is never replaced
folder = sys.argv[2]

from toaster.engine import Engine
from toaster.lan import pair

engine = None
settings = None


def run(order):
    global engine, settings
    what = order["do"]
    if what == "pair":
        settings = pair(order["code"], "127.0.0.1", order["port"], order["name"], buffer)
    if what in ("pair", "open"):
        settings.update(order.get("settings", {}))
        if engine:
            engine.state.close()
        engine = Engine(folder, settings, buffer)
    elif what == "certificate":
        settings["certificate"] = bytes(order["der"])
        engine.remote.close()
    elif what == "port":
        settings["port"] = order["port"]
    elif what == "sync":
        engine.accept_deletes = order.get("accept", False)
        engine.sync()
    return engine.status()


for line in sys.stdin:
    gc.collect()
    try:
        print(json.dumps(run(json.loads(line))))
    except Exception as error:
        if not isinstance(error, OSError):
            sys.print_exception(error, sys.stderr)
        engine and engine.remote.close()
        print(json.dumps({"free": gc.mem_free(), "error": type(error).__name__, "text": str(error)}))
