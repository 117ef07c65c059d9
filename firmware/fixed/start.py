"""What runs first. It chooses a slot of the program, counts what goes wrong, and is never replaced over the air.

    conf/start   {"slot": "a" or "b", "trial": starts of a slot that has not proved itself, "faults": in a row,
                 "bad": version that was rolled back}
    conf/fault   the last fault's traceback

    start --trial > TRIES--> the other slot, for good
      |---faults >= FAULTS--> safe mode: console and network, no sync; after SAFE_S one more try
      `---else--> the program --fault--> counted, reset
                      `--a sync came to its end--> trial and faults are 0

A trial is counted before the slot is entered, so that a hang or a power cut counts too. Daily use writes nothing.
"""

import io
import json
import os
import sys
import time

import store

TRIES = 3
FAULTS = 3
SAFE_S = 1800
MAX_TEXT = 1000
ARENA = 12288  # bytes for all that passes through, taken before anything else so that it lies at the heap's end
RESET = 4  # exit status where there is no chip to reset


class Starts:
    """The record. conf: folder, with / at its end. safe: whether this start is in safe mode."""

    def __init__(self, conf):
        self._conf = conf
        self.slot, self.trial, self.faults, self.bad = "a", 0, 0, 0
        self.safe = False
        data = store.read(conf + "start")
        if data:
            found = json.loads(data)
            self.slot, self.trial, self.faults, self.bad = [found[name] for name in ("slot", "trial", "faults", "bad")]

    def begin(self, version_of):
        """Count this start. version_of(slot): the version in a slot."""
        if self.trial > TRIES:
            self.bad = version_of(self.slot)
            self.slot, self.trial, self.faults = self.other(), 0, 0
            self.save()
        elif self.trial:
            self.trial += 1
            self.save()
        self.safe = self.faults >= FAULTS and not self.trial

    def other(self):
        return "a" if self.slot == "b" else "b"

    def try_slot(self, slot):
        """From the next start on, until it proves itself or is rolled back."""
        self.slot, self.trial, self.faults = slot, 1, 0
        self.save()

    def failed(self, text):
        self.faults = min(self.faults + 1, FAULTS)
        self.save()
        store.write(self._conf + "fault", text.encode()[:MAX_TEXT])

    def healthy(self):
        if self.trial or self.faults:
            self.trial = self.faults = 0
            self.save()

    def again(self):
        """Leave safe mode for one more try."""
        self.faults = FAULTS - 1
        self.save()

    def reset(self):
        reset()

    def fault(self):
        """The last fault's text, "" for none."""
        return (store.read(self._conf + "fault") or b"").decode()

    def save(self):
        record = {"slot": self.slot, "trial": self.trial, "faults": self.faults, "bad": self.bad}
        store.write(self._conf + "start", json.dumps(record).encode())


def version_of(slot):
    """The version in app/SLOT; 0 if there is none. Relative to the present folder, which on a board is /."""
    try:
        with open("app/%s/version" % slot) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def main():
    """Does not return, but by KeyboardInterrupt: then MicroPython's own prompt is there."""
    arena = bytearray(ARENA)
    for folder in ("conf", "shared"):
        try:
            os.mkdir(folder)
        except OSError:
            pass
    starts = Starts("conf/")
    starts.begin(version_of)
    sys.path.insert(0, "app/" + starts.slot)
    try:
        from toaster.program import run

        run(starts, arena)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        text = io.StringIO()
        sys.print_exception(error, text)
        print(text.getvalue())
        starts.failed(text.getvalue())
    time.sleep(1)
    reset()


def reset():
    """Begin anew, with an empty heap."""
    import machine

    if hasattr(machine, "reset"):
        machine.reset()
    sys.exit(RESET)
