"""The serial line as the program's loop sees it: bytes when there are some, and the console while it is used."""

import gc
import select
import sys

from toaster.modules import forget

IDLE_MS = 660000  # longer than the console's own time to lock
MOST = 256  # bytes taken at once


class Serial:
    """stream: for the poller. open: the console that is loaded, None before the first byte and after the last."""

    def __init__(self, program, poller):
        self._program = program
        self._bytes = getattr(sys.stdin, "buffer", sys.stdin)
        self._more = select.poll()
        self._until = 0
        self.open = None
        self.stream = sys.stdin
        poller.register(sys.stdin, 1)
        self._more.register(sys.stdin, 1)
        self._poller = poller

    def ready(self, now):
        data = b""
        while len(data) < MOST and self._more.poll(0):
            byte = self._bytes.read(1)
            if not byte:  # nobody is there any more, as when Linux gives it /dev/null
                self._poller.unregister(sys.stdin)
                break
            data += byte
        if data:
            self._until = now + IDLE_MS
            if self.open is None:
                self._load()
            if self.open is not None:
                self.open.feed(data, now)

    def turn(self, now):
        """What time brings."""
        if self.open is not None:
            self.open.tick(now)
            if now >= self._until:
                self.open = None
                forget("console")

    def wait_ms(self, now):
        if self.open is None:
            return 60000
        return min(self.open.wait_ms(now), max(self._until - now, 0))

    def _load(self):
        gc.collect()
        try:
            from toaster.console import Console

            self.open = Console(self._program, self._write)
        except MemoryError:
            gc.collect()
            self._write(b"\r\nno memory for the console now: set push none, or reset\r\n")

    def _write(self, data):
        out = getattr(sys.stdout, "buffer", sys.stdout)
        out.write(data)
