"""A chip's watchdog and timer. A reset that the watchdog makes ends the process; `fed` has how often it was fed."""

import _thread
import os
import time


class WDT:
    def __init__(self, timeout):
        self._times = 0
        self._until = time.ticks_add(time.ticks_ms(), timeout)
        self._timeout = timeout
        _thread.start_new_thread(self._watch, ())

    def feed(self):
        self._until = time.ticks_add(time.ticks_ms(), self._timeout)
        self._times += 1
        with open("fed", "w") as file:
            file.write(str(self._times))

    def _watch(self):
        while time.ticks_diff(self._until, time.ticks_ms()) > 0:
            time.sleep_ms(50)
        with open("/proc/self/stat") as file:
            os.system("kill -9 " + file.read().split()[0])


class Timer:
    def __init__(self, number):
        if number < 0:
            raise ValueError("as an ESP32")

    def init(self, period, callback):
        _thread.start_new_thread(self._run, (period, callback))

    def _run(self, period, callback):
        while True:
            time.sleep_ms(period)
            callback(self)
