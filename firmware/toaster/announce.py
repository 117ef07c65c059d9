"""Being found on the LAN: one service of multicast DNS (RFC 6762, 6763), answered for by the board itself.

    probing, 3 questions --nobody has the name--> told twice --> answering
        ^--------somebody has it: another name--------------------'

The host's name is made of what no two devices share, so only the service's name is probed for. All records go out
together: they fit in one packet, and who asks for one wants the others. Nothing heard is kept, and answers are at most
one a second for all and ten a second for who asks alone, so no flood makes this board loud.
"""

import hashlib
import socket
import struct
from binascii import hexlify

from toaster import dns

PROBES, PROBE_MS = 3, 250
TELLS, TELL_MS = 2, 1000
QUIET_MS, ALONE_MS = 1000, 100
GIVE_WAY_MS = 1000
MANY_NAMES, LATER_MS = 10, 5000
HOST_TTL, TTL, ALONE_TTL = 120, 4500, 10
NEVER = 1 << 60
IP, ADD_MEMBERSHIP = 0, 35


class Announcer:
    """address: ours. chance(): 0 to 1. Raises OSError where port 5353 is not to be had. stream: for the poller."""

    def __init__(self, settings, address, poller, now, chance):
        number = settings["device"]
        self._address = bytes([int(part) for part in address.split(".")])
        self._chance = chance
        self._base = clean(settings["name"])
        self._end = " (device %d)" % number
        self._count = 1
        unique = hashlib.sha256(b"%s %d" % (settings["folder"].encode(), number)).digest()[:6]
        self._host = (b"toastbox-" + hexlify(unique), b"local")
        self._port = settings.get("port_here", 8270)
        said = ("txtvers=1", "role=device", "id=%d" % number, "v=toaster", "name=" + self._base)
        self._text = b"".join([bytes([len(part.encode())]) + part.encode() for part in said])
        self._poller = poller
        self._quiet_until = self._alone_until = 0
        self.stream = self._open(address)
        poller.register(self.stream, 1)
        self._begin(now + int(chance() * PROBE_MS))

    @property
    def name(self):
        """The service's name, as far as it is known to be free."""
        more = " %d" % self._count if self._count > 1 else ""
        return cut(self._base, 58 - len(self._end) - len(more)) + more + self._end

    @property
    def told(self):
        """The name by which others know this board; "" until it has been told."""
        return self.name if self._tells else ""

    def close(self):
        """Say goodbye."""
        try:
            if self._probes >= PROBES:
                self._send(dns.packet(0, dns.ANSWER, [], self._records(0)))
        except OSError:
            pass
        self._poller.unregister(self.stream)
        self.stream.close()

    def wait_ms(self, now):
        return max(self._next - now, 0)

    def turn(self, now):
        """What time brings. Raises OSError: the network is gone."""
        if now < self._next:
            return
        if self._probes < PROBES:
            self._probes += 1
            ask = dns.question(self._instance, dns.ANY, alone=self._probes == 1)
            self._send(dns.packet(0, 0, [ask], [], [self._service(HOST_TTL, False)]))
            self._next = now + PROBE_MS
        else:
            self._tells += 1
            self._send(dns.packet(0, dns.ANSWER, [], self._records(TTL)))
            self._next = now + TELL_MS if self._tells < TELLS else NEVER

    def ready(self, now):
        """One packet has come. Raises OSError."""
        data, address = self.stream.recvfrom(dns.MAX_PACKET)
        try:
            packet = dns.Packet(data)
            if self._is_taken(packet, data):
                self._give_way(packet.answer, now)
            elif not packet.answer and self._probes >= PROBES and self._is_asked(packet, data):
                self._answer(packet, address, now)
        except dns.BadPacket:
            pass

    # --- names

    def _begin(self, now):
        self._probes = self._tells = 0
        self._next = now
        self._instance = (self.name.encode(),) + dns.SERVICE
        self._known = (self._instance[0].lower(),) + dns.SERVICE

    def _is_taken(self, packet, data):
        """Whether another one claims our name."""
        if not packet.answer and (self._probes >= PROBES or not packet.probe):
            return False
        for name, kind, ttl, start, end in packet.records:
            if name == self._known and kind == dns.SRV and ttl:
                port = struct.unpack_from(">H", data, start + 4)[0] if end - start >= 7 else 0
                target = dns.read_name(data, start + 6)[0] if end - start >= 7 else ()
                if (port, target) != (self._port, self._host):
                    return True
        return False

    def _give_way(self, has_it, now):
        """Take another name from who has this one. Who only asks for it too is let have it, unless it gives up."""
        if has_it:
            self._count += 1
        later = LATER_MS if self._count > MANY_NAMES else 0
        self._begin(now + later + int(self._chance() * (PROBE_MS if has_it else 2 * GIVE_WAY_MS)))

    # --- questions

    def _is_asked(self, packet, data):
        for name, kind, _ in packet.questions:
            if name == dns.SERVICE and kind in (dns.PTR, dns.ANY):
                return not self._is_known(packet, data)
            if name == dns.ALL_SERVICES or name in (self._known, self._host):
                return True
        return False

    def _is_known(self, packet, data):
        """Whether who asks says that it knows us, and for a while yet (RFC 6762, section 7.1)."""
        for name, kind, ttl, start, _ in packet.records:
            ours = name == dns.SERVICE and kind == dns.PTR and ttl > TTL // 2
            if ours and dns.read_name(data, start)[0] == self._known:
                return True
        return False

    def _answer(self, packet, address, now):
        host, port = dns.peer_of(socket, address)
        if port != dns.PORT:
            if now >= self._alone_until:
                self._alone_until = now + ALONE_MS
                asked = [dns.question(name, kind) for name, kind, _ in packet.questions[:1]]
                self._send(dns.packet(packet.number, dns.ANSWER, asked, self._records(ALONE_TTL, False)), (host, port))
        elif packet.probe or now >= self._quiet_until:
            self._quiet_until = now + QUIET_MS
            self._send(dns.packet(0, dns.ANSWER, [], self._records(TTL)))

    def _records(self, ttl, only=True):
        short = min(ttl, HOST_TTL)
        return [
            dns.record(dns.SERVICE, dns.PTR, ttl, dns.name(self._instance), False),
            self._service(short, only),
            dns.record(self._instance, dns.TXT, ttl, self._text, only),
            dns.record(self._host, dns.A, short, self._address, only),
            dns.record(dns.ALL_SERVICES, dns.PTR, ttl, dns.name(dns.SERVICE), False),
        ]

    def _service(self, ttl, only):
        return dns.record(
            self._instance, dns.SRV, ttl, struct.pack(">HHH", 0, 0, self._port) + dns.name(self._host), only
        )

    # --- the socket

    def _open(self, address):
        stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stream.bind(socket.getaddrinfo("0.0.0.0", dns.PORT)[0][-1])
            group = bytes([int(part) for part in dns.GROUP.split(".")])
            option = getattr(socket, "IP_ADD_MEMBERSHIP", ADD_MEMBERSHIP)
            stream.setsockopt(IP, option, group + self._address)
            stream.setblocking(False)
            return stream
        except Exception:
            stream.close()
            raise

    def _send(self, data, to=(dns.GROUP, dns.PORT)):
        self.stream.sendto(data, socket.getaddrinfo(to[0], to[1])[0][-1])


def clean(text):
    """Without dots, which would split the name, and without what moves a terminal's cursor."""
    shown = "".join([each for each in text if ord(each) >= 32 and ord(each) != 127])
    return shown.replace(".", " ").strip() or "toastbox"


def cut(text, size):
    """The longest beginning of at most size bytes of UTF-8."""
    while len(text.encode()) > size:
        text = text[:-1]
    return text
