"""A serial cable: what MicroPython has as its line at one end, a port that programs open at the other."""

import os
import pty
import select
import threading
import tty


class Cable:
    """chip: the file descriptor a process gets as stdin and stdout. port: the name that programs open."""

    def __init__(self) -> None:
        near, self.chip = pty.openpty()
        far, self._port = pty.openpty()
        self.port = os.ttyname(self._port)
        self._ends = (near, far)
        self._stop, self._stopped = os.pipe()
        for end in (*self._ends, self.chip, self._port):
            tty.setraw(end)
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        while True:
            for end in select.select([*self._ends, self._stop], [], [])[0]:
                if end == self._stop:
                    return
                os.write(self._ends[1 - self._ends.index(end)], os.read(end, 4096))

    def close(self) -> None:
        os.write(self._stopped, b"x")
        self._thread.join()
        for end in (*self._ends, self.chip, self._port, self._stop, self._stopped):
            os.close(end)
