"""Looking for the hub on the LAN, when no address is set or it does not answer at the one it had.

One question by multicast DNS, from any port: who offers the service answers to it alone (RFC 6762, section 5.1), so
this needs no port 5353 and no listening. What is found is a place to try and nothing more: whether it is the hub, TLS
or the signatures say. Where several claim to be it one is tried by chance, so that a liar is in the way at times only.
"""

import hashlib
import random
import select
import socket
import time
from binascii import hexlify

from toaster import dns

WAIT_MS = 2000
FIRST_WAIT_MS = 5000  # while somebody pairs the board
AGAIN_MS = 1000
OTHERS_MS = 300
MAX_FOUND = 8


def hub_id(certificate):
    """As announced: the first half of the certificate's SHA-256, which a pairing code carries too."""
    return hexlify(hashlib.sha256(certificate).digest()[:16]).decode()


def ports_in(data, wanted):
    """Ports of hubs with this id that an answer tells of. Raises BadPacket."""
    packet = dns.Packet(data)
    ours, ports = [], {}
    for name, kind, _, start, end in packet.records:
        if name[1:] != dns.SERVICE:
            continue
        if kind == dns.TXT:
            said = dns.texts(data, start, end)
            if said.get(b"role") == b"hub" and said.get(b"id") == wanted.encode():
                ours.append(name)
        elif kind == dns.SRV and end - start >= 7:
            ports[name] = data[start + 4] << 8 | data[start + 5]
    return [ports[name] for name in ours if ports.get(name)] if packet.answer else []


def find(wanted, wait_ms=WAIT_MS):
    """[(host, port)] of who claims to be the hub with this id, heard within the time. Raises OSError: no network."""
    found = []
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        asking.bind(socket.getaddrinfo("0.0.0.0", 0)[0][-1])
        group = socket.getaddrinfo(dns.GROUP, dns.PORT)[0][-1]
        query = dns.packet(0, 0, [dns.question(dns.SERVICE, dns.PTR)], [])
        poller = select.poll()
        poller.register(asking, 1)
        begin = time.ticks_ms()
        now, ask_at = 0, 0
        while now < wait_ms and len(found) < MAX_FOUND:
            if now >= ask_at and not found:
                asking.sendto(query, group)
                ask_at = 2 * now + AGAIN_MS  # one may be lost; the hub may be starting, too
            if poller.poll(100) and _take(asking, wanted, found):
                wait_ms = min(wait_ms, now + OTHERS_MS)
            now = time.ticks_diff(time.ticks_ms(), begin)
    finally:
        asking.close()
    return found


def _take(asking, wanted, found):
    """Whether a packet told of another one."""
    data, address = asking.recvfrom(dns.MAX_PACKET)
    host = dns.peer_of(socket, address)[0]
    try:
        for port in ports_in(data, wanted):
            if (host, port) not in found:
                found.append((host, port))
                return True
    except dns.BadPacket:
        pass
    return False


def follow(settings):
    """Put another place of the hub into the settings, if it is claimed to be at one. Whether there is something new."""
    wanted = settings.get("hub_id") or hub_id(settings["certificate"])
    places = []
    for host, port in find(wanted):
        place = (host, settings["port"] if settings.get("plain") else port)
        if place != (settings["hub"], settings["port"]):
            places.append(place)
    if places:
        settings["hub"], settings["port"] = random.choice(places)
    return bool(places)
