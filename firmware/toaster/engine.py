"""One device: pull, push, again while there is something to do; what it tells of itself."""

import gc

from toastbox.core.entry import FILE
from toaster.disk import Disk
from toaster.pull import Puller
from toaster.push import Pusher
from toaster.remote import Remote
from toaster.state import State

BUFFER = 8704
ROUNDS = 6
UPDATE = b"firmware", b"firmware/toaster.tbu"  # wanted even by who wants little


class Engine:
    """settings: see docs/PICO.md; root: the folder. mode: "" both ways, "receive", "send"."""

    def __init__(self, root, settings, buffer=None, opener=None):
        self.disk = Disk(root)
        self.name = settings["name"]
        self.mode = settings.get("mode", "")
        self.entries = settings.get("entries", 8)
        self.accept_deletes = False
        self.soon = False
        self.warning = ""
        self.held, self.refused = {}, {}
        self.sent = self.content_bytes = 0
        self._only = _rules(settings.get("only"))
        self._append = _rules(settings.get("append"))
        self._ignore, self._ignore_look = None, None
        self.remote = Remote(settings, buffer or bytearray(BUFFER), opener)
        self.state = None
        self.reopen()

    def reopen(self):
        """As after a restart: what the state file says holds, and its last batch is finished.

        After a failure in the middle of a batch, rows that were not written must not be written with the next one.
        """
        self.close()
        try:
            self.state = State(self.disk)
        except ValueError:  # as if it had never been here: everything is compared, nothing deleted
            self.disk.replace(self.disk.inner("state"), self.disk.inner("state.damaged"))
            self.state = State(self.disk)
        self.puller = Puller(self)
        self.pusher = Pusher(self)

    def close(self):
        self.remote.close()
        if self.state is not None:
            self.state.close()

    def is_awake(self):
        """Whether it has something that rest() gives back."""
        return self.remote.connection.stream is not None or self.puller.batch is not None

    def rest(self):
        """Nothing has come for a while: let go of the connection, and of what only a page of the journal needs."""
        self.remote.close()
        self.puller.rest()

    def wanted(self, path, is_folder):
        """Whether this device takes part in a path."""
        if self._only is not None and path not in UPDATE and not self._only.ignored(path, is_folder):
            return False
        return self._ignore is None or not self._ignore.ignored(path, is_folder)

    def appends(self, path):
        return self._append is not None and self._append.ignored(path, False)

    def warn(self, text):
        self.warning = text

    def sync(self):
        """Until nothing is left to do. Raises OSError (no hub, or no flash), Refused, WireError."""
        self.warning = ""
        self.soon = False
        self._read_ignore()
        if self.mode != "send":
            self.puller.retry_held()
        for _ in range(ROUNDS):
            if self.mode != "send":
                self.puller.pull()
            elif not self.state.epoch:
                self.state.epoch = int(self.remote.folder()["epoch"])
            low = self.state.low
            if not self.pusher.push():
                break
            if self.state.low and self.state.low != low:
                self.puller.retry_held()
        gc.collect()

    def look(self):
        """Hand in what changed here; the hub is asked only when something did: whether. Raises as sync()."""
        self.soon = False
        changed = self.mode != "receive" and self.pusher.push()
        if changed:
            self.sync()
        return changed

    def status(self):
        """Figures, for the console and for tests."""
        gc.collect()
        return {
            "cursor": self.state.cursor,
            "files": self.state.count,
            "held": {path.decode(): self.held[path] for path in self.held},
            "refused": [path.decode() for path in self.refused],
            "warning": self.warning,
            "heap_free": gc.mem_free(),
            "heap_used": gc.mem_alloc(),
            "largest_block": largest_block(),
            "buffer": len(self.remote.buffer),
            "flash_written": self.disk.written,
            "content_written": self.content_bytes,
            "sent": self.remote.connection.sent,
            "received": self.remote.connection.received,
        }

    def _read_ignore(self):
        """The file is synced like any: it may be another than last time."""
        look = self.disk.look(b".toastboxignore")
        if look == self._ignore_look:
            return
        text = b""
        if look is not None and look[0] == FILE:
            with open(self.disk.where(b".toastboxignore"), "rb") as file:
                text = file.read(4096)
        self._ignore, self._ignore_look = _rules([text] if text else None), look


def largest_block():
    """Bytes that one allocation can have now: found by trying."""
    low, high = 0, gc.mem_free()
    while high - low > 256:
        middle = (low + high) // 2
        try:
            bytearray(middle)
            low = middle
        except MemoryError:
            high = middle
    gc.collect()  # what was tried may look as if it were in use later
    return low


def _rules(patterns):
    """None without patterns: the module that reads them takes a tenth of the heap, and most boards have none."""
    if not patterns:
        return None
    from toastbox.core.ignore import IgnoreRules

    return IgnoreRules(b"\n".join([text if isinstance(text, bytes) else text.encode() for text in patterns]))
