"""When to look at the folder and when to ask the hub. Pure: times are milliseconds of a clock that does not wrap.

A hint asks at once. Without hints the hub is asked every safety_s, so that a network that is silently broken is found;
the folder is looked at every scan_s, or less often when a look takes long. After a failure the waits double.
"""

from toastbox.core.backoff import delay_s

BASE_S = 1
CAP_S = 300
SOON_MS = 2100  # a file changed within the last two seconds proves nothing yet
LOOK_SHARE = 20  # a look may take a twentieth of the time
NEVER = 1 << 60


class Pace:
    """chance(): 0 to 1. hint: whether the next sync is for a hint or a change, not for safety."""

    def __init__(self, chance, safety_s=900, scan_s=10):
        self._chance = chance
        self._safety_ms = safety_s * 1000
        self._scan_ms = scan_s * 1000
        self._failures = 0
        self._sync_at = 0
        self._scan_at = NEVER
        self.hinted = True

    def hint(self, now):
        """The hub has something, or the network is another."""
        self._sync_at = now
        self.hinted = True

    def sync_due(self, now):
        return now >= self._sync_at

    def scan_due(self, now):
        return now >= self._scan_at

    def wait_ms(self, now):
        return max(min(self._sync_at, self._scan_at) - now, 0)

    def synced(self, now, soon):
        self._failures = 0
        self.hinted = False
        self._sync_at = now + self._safety_ms // 2 + int(self._chance() * self._safety_ms / 2)
        self._scan_at = now + (SOON_MS if soon else self._scan_ms)

    def scanned(self, now, soon, took):
        self._scan_at = now + (SOON_MS if soon else max(self._scan_ms, took * LOOK_SHARE))

    def failed(self, now):
        self._failures += 1
        self._sync_at = now + int(1000 * delay_s(self._failures, self._chance(), BASE_S, CAP_S))
        self._scan_at = NEVER
        self.hinted = True
