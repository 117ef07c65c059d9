"""The user.py of a board that is measured: what of the heap is in use, idle and at most while content is written.

In use is what is left after a collection. Sampled at every write and once a turn; told when the file `ask` is there.
"""

import gc
import json
import os

peak = 0
idle = 0


def sample():
    global peak
    gc.collect()
    peak = max(peak, gc.mem_alloc())


def turn(program):
    global idle, peak
    engine = program.engine
    if engine and not hasattr(engine, "measured"):
        engine.measured = True
        write = engine.disk.write

        def sampled(file, data):
            sample()
            return write(file, data)

        engine.disk.write = sampled
    gc.collect()
    idle = gc.mem_alloc()
    try:
        os.remove("ask")
    except OSError:
        return 100
    told = {
        "idle": idle,
        "peak": peak,
        "trouble": program.trouble,
        "cursor": engine.state.cursor,
        "syncs": program.syncs,
    }
    peak = 0
    with open("answer.new", "w") as file:
        json.dump(told, file)
    os.rename("answer.new", "answer")
    return 100
