"""One device: pull, push, again while there is something to do; what it tells of itself."""

import gc

from toastbox.core.ignore import IgnoreRules
from toaster.disk import Disk
from toaster.pull import Puller
from toaster.push import Pusher
from toaster.remote import Remote
from toaster.state import State

BUFFER = 8704
ROUNDS = 6


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
        self.sent = self.applied = self.content_bytes = 0
        self._only = _rules(settings.get("only"))
        self._append = _rules(settings.get("append"))
        self._ignore = IgnoreRules(self._ignore_text())
        self.state = State(self.disk)
        self.remote = Remote(settings, buffer or bytearray(BUFFER), opener)
        self.puller = Puller(self)
        self.pusher = Pusher(self)
        self.puller.recover()

    def wanted(self, path, is_folder):
        """Whether this device takes part in a path."""
        if self._only is not None and not self._only.ignored(path, is_folder):
            return False
        return not self._ignore.ignored(path, is_folder)

    def appends(self, path):
        return self._append is not None and self._append.ignored(path, False)

    def warn(self, text):
        self.warning = text

    def sync(self):
        """Until nothing is left to do. Raises OSError (no hub, or no flash), Refused, WireError."""
        self.warning = ""
        self.soon = False
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

    def _ignore_text(self):
        try:
            with open(self.disk.where(b".toastboxignore"), "rb") as file:
                return file.read(4096)
        except OSError:
            return b""


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
    return low


def _rules(patterns):
    return IgnoreRules("\n".join(patterns)) if patterns else None
