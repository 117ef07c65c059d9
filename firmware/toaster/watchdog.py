"""The chip's own watchdog, where there is one: a program that hangs begins anew.

Once started it cannot be stopped and wants to be fed every few seconds, but a handshake or a hub that does not answer
takes longer than that. So a timer feeds it as long as the program has shown a sign of life within its patience. When
the program hangs, the timer stops feeding; when the chip hangs, there is no timer.

    sign of life --patience--> not fed --WDT_MS--> reset
    Ctrl-C: fed for ever, as somebody is at the prompt
"""

import time

WDT_MS = 8000  # an RP2040 can wait 8388
FEED_MS = 1000
PATIENCE_S = 300


class Watchdog:
    """Does nothing until it is started, and nothing where the chip has no watchdog or no timer."""

    def __init__(self):
        self._until = 0
        self._patience_ms = 0
        self._wdt = self._timer = None

    def start(self, machine, patience_s):
        """machine: MicroPython's module."""
        if self._wdt is not None or not hasattr(machine, "WDT") or not hasattr(machine, "Timer"):
            return
        self._patience_ms = patience_s * 1000
        self.alive()
        try:
            self._timer = machine.Timer(-1)
        except ValueError:  # an ESP32 has only some that are numbered
            self._timer = machine.Timer(0)
        self._timer.init(period=FEED_MS, callback=self._feed)
        self._wdt = machine.WDT(timeout=WDT_MS)

    def alive(self):
        """A sign of life."""
        self._until = time.ticks_add(time.ticks_ms(), self._patience_ms)

    def rest(self):
        """Nothing will come any more, and that is right."""
        self._patience_ms = 0

    def _feed(self, timer):
        if self._wdt and (not self._patience_ms or time.ticks_diff(self._until, time.ticks_ms()) > 0):
            self._wdt.feed()


WATCHDOG = Watchdog()
