"""The hub's event stream, heard by one thread that sleeps in recv: nothing wakes it while nothing happens.

    connecting --head of the answer--> listening --end, error, dead by keep-alive--> waiting --jittered-->
    connecting

What is heard is a hint that a pull may be worth it. Each connection tells the hub the cursor that the device
has really reached (Last-Event-ID), so whatever was missed while there was no stream is told again, and
nothing is when there is nothing new. The wait grows while connections do not last, so that ten thousand
devices do not fall upon a hub that has just restarted.
"""

import threading
from collections.abc import Callable
from http.client import HTTPResponse

from toastbox.core.backoff import delay_s
from toastbox.core.sse import EventParser
from toastbox.device import sockets
from toastbox.device.channel import Channel
from toastbox.device.interfaces import Clock, Credentials, EventListener, Random
from toastbox.device.remote import authorization, open_channel, refusal
from toastbox.device.tls import Pin, certificate_bytes
from toastbox.device.whereabouts import Whereabouts
from toastbox.errors import AccessDenied, HostilePeer, ToastboxError

BASE_S = 2.0
CAP_S = 60.0
DENIED_CAP_S = 600.0
STEADY_S = 30.0  # a connection that lived this long was a good one
READ_SIZE = 4096
STOP_TIMEOUT_S = 1.0
REFUSAL_LIMIT = 16 * 1024


class EventStream:
    """Keeps a stream open and tells the listener. cursor(): (epoch, seq) that the device has reached. where: see
    HubClient.
    """

    def __init__(
        self,
        credentials: Credentials,
        listener: EventListener,
        cursor: Callable[[], tuple[int, int]],
        clock: Clock,
        random: Random,
        where: Whereabouts | None = None,
    ) -> None:
        self._credentials = credentials
        self._pin = Pin(certificate_bytes(credentials.ca))
        self._listener = listener
        self._cursor = cursor
        self._clock = clock
        self._random = random
        self._where = where
        self._channel: Channel | None = None
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._failures = 0
        self._denied = False
        self.last_error = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Within a second; a thread that hangs in a name look-up ends with the process."""
        self._stopping = True
        self._wake.set()
        channel = self._channel
        if channel is not None:
            channel.close()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    def hurry(self) -> None:
        """Connect now if waiting to: the hub has been reached by other means."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._connect_once()
            if not self._stopping:
                self._wake.wait(self._delay_s())

    def _delay_s(self) -> float:
        cap_s = DENIED_CAP_S if self._denied else CAP_S
        return delay_s(self._failures, self._random.random(), BASE_S, cap_s)

    def _connect_once(self) -> None:
        """One connection, from its making to its end; decides how patient the next try is."""
        started_s = self._clock.monotonic_s()
        url, dead_after_ms = self._credentials.url, sockets.DEAD_STREAM_MS
        self._channel = open_channel(url, self._pin, dead_after_ms=dead_after_ms, where=self._where)
        connected = False
        if self._stopping:  # set before `stop` looked for a channel to close
            return
        try:
            response = self._open(self._channel)
            self._denied = False
            connected = True
            self._listener.on_connected(True)
            self._listen(self._channel, response)
        except ToastboxError as error:
            self._note(error)
        finally:
            self._channel.drop()
        if connected and not self._stopping:
            self._listener.on_connected(False)
        steady = connected and self._clock.monotonic_s() - started_s >= STEADY_S
        self._failures = 0 if steady else self._failures + 1

    def _note(self, error: ToastboxError) -> None:
        self.last_error = str(error)
        if isinstance(error, AccessDenied) and not self._denied:
            self._denied = True
            self._listener.on_denied(self.last_error)

    def _open(self, channel: Channel) -> HTTPResponse:
        epoch, seq = self._cursor()
        headers = {"Authorization": authorization(self._credentials), "Accept": "text/event-stream"}
        if epoch:
            headers["Last-Event-ID"] = f"{epoch}:{seq}"
        response = channel.exchange("GET", "/v1/events", headers)
        if response.status != 200:
            raise refusal(response.status, channel.read(response, REFUSAL_LIMIT))
        if response.getheader("Content-Type", "").partition(";")[0].strip() != "text/event-stream":
            raise HostilePeer("the hub's events are no event stream")
        channel.set_timeout(None)
        return response

    def _listen(self, channel: Channel, response: HTTPResponse) -> None:
        parser = EventParser()
        while True:
            with channel.translated():
                data = response.read1(READ_SIZE)
            if not data or self._stopping:
                return
            try:
                for identifier, event, _ in parser.feed(data):
                    self._tell(identifier, event)
            except ValueError as error:
                raise HostilePeer(f"the hub's events cannot be read: {error}") from error

    def _tell(self, identifier: str, event: str) -> None:
        if event == "head":
            self._listener.on_head(*parse_id(identifier))
        elif event == "peers":
            self._listener.on_peers()
        elif event == "ahead":
            self._listener.on_ahead()
        elif event == "wanted":
            self._listener.on_wanted()


def parse_id(identifier: str) -> tuple[int, int]:
    """(epoch, seq) of EPOCH:SEQ. HostilePeer: it is something else."""
    epoch, _, seq = identifier.partition(":")
    for number in (epoch, seq):
        if not (number.isascii() and number.isdecimal() and len(number) <= 20 and int(number) < 2**64):
            raise HostilePeer("an event's id is not EPOCH:SEQ")
    return int(epoch), int(seq)
