"""The program: one loop that waits for the hub, the folder, the network and the console, and calls the engine.

It is driven by push: the hub's posts ("push": "hook"), its event stream ("events") or neither (""). Whatever goes wrong
with network or hub is tried again, with longer waits; a fault of the program itself ends it, and start.py begins anew.
In safe mode there is no engine: network and console only.
"""

import gc
import random
import select
import time

import start

from toastbox.core.errors import WireError
from toaster import settings as settings_file
from toaster.http import Refused
from toaster.modules import forget
from toaster.pace import Pace
from toaster.serial import Serial
from toaster.watchdog import PATIENCE_S, WATCHDOG

SETTINGS = "conf/settings"
FOLDER = "shared"
LAN = "lan"  # the part that finds the hub, pairs and announces
UPDATE_PATH = b"firmware/toaster.tbu"
UPDATE_KEY = "conf/update.key"
BUFFER = 8704  # of the arena: pages, chunks, hashes, one after the other; the rest is for who calls
LINGER_MS = 5000  # a connection to the hub that is not used costs a TLS session of memory
TRIAL_MS = 900000
SAFE_MS = 1800000
SHORTAGES = 3
ANNOUNCE_AGAIN_MS = 60000
FIRST_YEAR = 2024  # a clock that shows an earlier one counts from the start
LOST = 3  # failures in a row after which the hub is looked for elsewhere
MAX_LINES = 20


class Ticks:
    """Milliseconds since the start. ticks_ms() wraps after days; this does not when asked once in a while."""

    def __init__(self):
        self._last = time.ticks_ms()
        self._now = 0

    def now(self):
        ticks = time.ticks_ms()
        self._now += time.ticks_diff(ticks, self._last)
        self._last = ticks
        return self._now


class Program:
    """starts: start.Starts. network: see wifi.py. lines: the last of the log. boot: which start this is, once asked."""

    boot = ""

    def __init__(self, starts, arena, network):
        self.arena = memoryview(arena)
        self.starts = starts
        self.settings = settings_file.load(SETTINGS)
        self.poller = select.poll()
        self.clock = Ticks()
        self.network = network(self.settings)
        self.serial = Serial(self, self.poller)
        self.lines = []
        self.engine = self.hook = self.events = self.lan = None
        self.trouble = ""
        self.syncs = self.hints = 0
        self._attached = False
        self._shortages = self._lost = 0
        self._moved = self._by_hub = self._timed = False
        self._update_seen = None
        self._close_at = 0
        self.open()

    def open(self):
        """Begin to sync, if there is a hub to sync with and this is not safe mode. Also after pairing."""
        self.close()
        settings = self.settings
        self.pace = Pace(random.random, settings.get("safety", 900), settings.get("scan", 10))
        if self.starts.safe or not settings.get("device"):
            return
        gc.collect()  # what is loaded stays, and lies close together then
        from toaster.engine import Engine

        self.engine = Engine(FOLDER, settings, self.arena[:BUFFER])
        if settings.get("push", "hook") == "hook":
            from toaster.notify import Hook

            self.hook = Hook(settings, self.poller, self.arena[BUFFER:])

    def close(self):
        self._detach()
        self._leave()
        if self.hook is not None:
            self.hook.close()
        if self.engine is not None:
            self.engine.close()
        self.hook = self.engine = None

    def save(self):
        settings_file.save(SETTINGS, self.settings)

    def turn(self, most_ms=60000):
        """Do what is due, then wait for what comes, at most so long."""
        WATCHDOG.alive()
        now = self.clock.now()
        if self.network.turn(now):
            self._detach()
            self._leave()
            self.pace.hint(now)
        if self.engine is not None and self.network.address:
            self._work(now)
            self._announce(now)
        elif self.starts.safe and now >= SAFE_MS:
            self.starts.again()
            self.starts.reset()
        if self.starts.trial and now >= TRIAL_MS:
            raise RuntimeError("a program on trial has not synced")
        self.serial.turn(now)
        self._listen(min(most_ms, self._wait_ms()))

    def changed(self):
        """A program here wrote into the folder: do not wait for the next look."""
        self.pace.hint(self.clock.now())

    # --- what is due

    def _work(self, now):
        if self.pace.sync_due(now):
            self._try(self._sync)
        elif self.pace.scan_due(now):
            self._try(self._look)
        elif self.engine.is_awake() and now >= self._close_at:
            self.engine.rest()
            gc.collect()

    def _try(self, work):
        try:
            work()
            if self.trouble:
                self._note("well again")
            self.trouble = ""
            self._shortages = self._lost = 0
            if self._moved:
                self._moved = False
                self.save()
        except (OSError, Refused, WireError) as error:
            self._lost = self._lost + 1 if isinstance(error, OSError) else 0
            self._fail("%s: %s" % (type(error).__name__, error))
            if self._lost >= LOST:
                self._search()
        except MemoryError:
            self._shortages += 1
            if self._shortages >= SHORTAGES:
                raise  # a new start has a heap in one piece
            self._fail("no memory")

    def _linger(self):
        """The hub was spoken to: more may come soon."""
        self._close_at = self.clock.now() + LINGER_MS

    def _fail(self, text):
        if text != self.trouble:
            self._note(text)
        self.trouble = text
        self._detach()
        gc.collect()
        self.engine.reopen()
        self._linger()
        self.pace.failed(self.clock.now())

    def _search(self):
        """The hub may have another address. It is kept when it has proved to be the hub there."""
        from toaster.search import follow

        try:
            if follow(self.settings):
                self._moved = True
                self._note("the hub may be at %s:%d" % (self.settings["hub"], self.settings["port"]))
        except (OSError, MemoryError):
            pass  # that is tried again, too
        if self.lan is None:
            forget(LAN)

    def _sync(self):
        if not self.pace.hinted:
            self._detach()  # a stream that died in silence is found by opening it anew
        self._attach()
        self.engine.sync()
        self._linger()
        self.syncs += 1
        self.pace.synced(self.clock.now(), self.engine.soon)
        self.starts.healthy()
        self._set_clock()
        self._update()

    def _set_clock(self):
        """Once, from an answer that TLS vouches for."""
        if self._timed or self.settings.get("plain") or time.gmtime()[0] >= FIRST_YEAR:
            return
        from toaster.clock import set_from

        self._timed = set_from(self.engine.remote.connection.date)

    def _update(self):
        """Take a new program that the sync has brought, if this board has its owner's key."""
        row = self.engine.state.get(UPDATE_PATH.replace(b"/", b"\0"))
        content = row and row.entry.content
        if not content or content == self._update_seen:
            return
        self._update_seen = content
        try:
            with open(UPDATE_KEY, "rb") as file:
                modulus = file.read(513)
        except OSError:
            return
        gc.collect()
        from toaster.update import BadUpdate, take

        try:
            version = take(self.engine.disk.where(UPDATE_PATH), modulus, self.starts, self.arena[:BUFFER])
        except (BadUpdate, OSError, ValueError) as error:
            self._note("update: %s" % error)
            return
        self._note("update: version %d" % version)
        self.close()
        self.starts.reset()

    def _look(self):
        before = self.clock.now()
        if self.engine.look():
            self._linger()
        now = self.clock.now()
        self.pace.scanned(now, self.engine.soon, now - before)

    # --- the LAN

    def _announce(self, now):
        """Be found by others (announce.py), where the settings say so and the port can be had."""
        try:
            if self.lan is not None:
                self.lan.turn(now)
            elif self.settings.get("announce") == "self" and not self._by_hub and now >= self._announce_at:
                from toaster.announce import Announcer

                address = self.network.address
                self.lan = Announcer(self.settings, address, self.poller, now, random.random)
        except (OSError, MemoryError) as error:
            self._note("the hub announces this board, not it itself: %s" % (error or "no memory"))
            self._leave()
            self._by_hub = True
            self._detach()  # the next sync asks the hub
            self.pace.hint(now)

    def _leave(self, until=0):
        """Not to be tried again before this time."""
        if self.lan is not None:
            lan, self.lan = self.lan, None
            lan.close()
        forget(LAN)
        self._announce_at = until

    # --- what comes

    def _attach(self):
        """Have the hub tell us; before the sync, so that nothing falls between."""
        if self._attached:
            return
        if self.hook is not None:
            self.engine.remote.set_hook(self.settings.get("port_here", 8270), "/notify")
        if self._by_hub or self.settings.get("announce", "hub") == "hub":
            try:
                self.engine.remote.set_announced(self.settings.get("port_here", 8270))
            except Refused:
                pass  # an older hub
        if self.settings.get("push") == "events":
            from toaster.events import Events

            self.events = Events(self.engine.remote, (self.engine.state.epoch, self.engine.state.cursor))
            self.poller.register(self.events.stream, 1)
        self._attached = True

    def _detach(self):
        self._attached = False
        if self.events is not None:
            self.poller.unregister(self.events.stream)
            self.events.close()
            self.events = None

    def _wait_ms(self):
        now = self.clock.now()
        wait = min(self.network.wait_ms(), self.serial.wait_ms(now))
        if self.lan is not None:
            wait = min(wait, self.lan.wait_ms(now))
        if self.hook is not None:
            wait = min(wait, self.hook.wait_ms(now))
        if self.engine is not None and self.network.address:
            wait = min(wait, self.pace.wait_ms(now))
            if self.engine.is_awake():
                wait = min(wait, max(self._close_at - now, 0))
        return wait

    def _listen(self, wait_ms):
        ready = self.poller.poll(wait_ms)
        now = self.clock.now()
        for source, _ in ready:
            self._hear(source, now)
        if self.hook is not None:
            self.hook.expire(now)

    def _hear(self, source, now):
        if self.events is not None and source is self.events.stream:
            self._hear_events(now)
            return
        if self.lan is not None and source is self.lan.stream:
            try:
                self.lan.ready(now)
            except (OSError, MemoryError):
                self._leave(now + ANNOUNCE_AGAIN_MS)
            return
        if self.hook is not None:
            told = self.hook.ready(source, now, (self.engine.state.epoch, self.engine.state.cursor))
            if told:
                self.hints += 1
                self.pace.hint(now)
            if told is not None:
                return
        if source is self.serial.stream:
            self.serial.ready(now)

    def _hear_events(self, now):
        try:
            for epoch, seq in self.events.heads():
                if epoch != self.engine.state.epoch or seq > self.engine.state.cursor:
                    self.hints += 1
                    self.pace.hint(now)
        except OSError as error:
            self.trouble = "event stream: %s" % error
            self._detach()
            self.pace.failed(now)

    def _note(self, text):
        self.lines.append("%d s: %s" % (self.clock.now() // 1000, text[:120]))
        del self.lines[:-MAX_LINES]

    def mode(self):
        return "safe" if self.starts.safe else "sync" if self.engine else "not paired"

    def status(self):
        """What it is doing, in words and figures."""
        told = {
            "name": self.settings.get("name", ""),
            "mode": self.mode(),
            "slot": self.starts.slot,
            "program": start.version_of(self.starts.slot),
            "trial": self.starts.trial,
            "faults": self.starts.faults,
            "network": self.network.state,
            "address": self.network.address,
            "push": self.settings.get("push", "hook"),
            "announced": self.lan.told if self.lan else "",
            "trouble": self.trouble,
            "syncs": self.syncs,
            "hints": self.hints,
            "refused_posts": self.hook.refused if self.hook else 0,
        }
        if self.engine is not None:
            told.update(self.engine.status())
        return told


def _network(settings):
    try:
        import network
    except ImportError:
        from toaster.wifi import Wired

        return Wired()
    from toaster.wifi import Wifi

    return Wifi(network, settings, settings.get("hostname", "toastbox"), random.random)


def run(starts, arena):
    """For ever. user.py, when there is one, has a turn(program) that returns how many ms it can wait."""
    import machine

    program = Program(starts, arena, _network)
    WATCHDOG.start(machine, program.settings.get("watchdog", PATIENCE_S))
    user = None
    try:
        if not starts.safe:
            try:
                import user
            except ImportError:
                pass
        while True:
            program.turn(user.turn(program) if user else 60000)
    except KeyboardInterrupt:
        WATCHDOG.rest()
        raise
