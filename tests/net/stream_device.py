"""A device that only listens. Arguments, JSON: credentials, seconds until a probe, milliseconds until dead."""

import json
import random
import sys

from toastbox.device import events, sockets
from toastbox.device.interfaces import Credentials, SystemClock

credentials, idle_s, dead_ms = map(json.loads, sys.argv[1:])
sockets.KEEPALIVE_IDLE_S = sockets.KEEPALIVE_INTERVAL_S = idle_s
sockets.DEAD_STREAM_MS = dead_ms
events.BASE_S = events.CAP_S = 0.2


class Listener:
    def on_head(self, epoch: int, seq: int) -> None:
        self._say("head", epoch=epoch, seq=seq)

    def on_peers(self) -> None:
        self._say("peers")

    def on_connected(self, connected: bool) -> None:
        self._say("connected", connected=connected)

    def on_denied(self, reason: str) -> None:
        self._say("denied", reason=reason)

    def _say(self, kind: str, **values: object) -> None:
        print(json.dumps({"kind": kind, **values}), flush=True)


stream = events.EventStream(
    Credentials.from_json(credentials), Listener(), lambda: (7, 0), SystemClock(), random.Random()
)
stream.start()
sys.stdin.read()
stream.stop()
