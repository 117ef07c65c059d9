"""Packets of multicast DNS (RFC 1035, 6762, 6763), as far as one service needs them. Pure; loaded when asked for.

Whatever comes may come from anyone: a name is read at most once around, everything is bounded, and what does not fit
raises BadPacket.
"""

import struct

GROUP = "224.0.0.251"
PORT = 5353
SERVICE = (b"_toastbox", b"_tcp", b"local")
ALL_SERVICES = (b"_services", b"_dns-sd", b"_udp", b"local")
A, PTR, TXT, SRV, ANY = 1, 12, 16, 33, 255
ONLY = 0x8000  # of a record's class: the sender's are all there are; of a question's: answer me alone
ANSWER = 0x8400
MAX_PACKET = 1472
MAX_RECORDS = 64
MAX_NAME = 255


class BadPacket(ValueError):
    """Not what it should be: nothing in it is used."""


def read_name(data, at):
    """(labels in lower case, position behind). A pointer leads to where nothing of this name was read yet."""
    labels, end, size, lowest = [], 0, 0, at
    while True:
        length = byte_at(data, at)
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | byte_at(data, at + 1)
            if at >= lowest:
                raise BadPacket("a name that leads into itself")
            lowest = at
            continue
        size += length + 1
        if length > 63 or size > MAX_NAME or at + 1 + length > len(data):
            raise BadPacket("not a name")
        if not length:
            return tuple(labels), end or at + 1
        labels.append(bytes(data[at + 1 : at + 1 + length]).lower())
        at += 1 + length


def byte_at(data, at):
    if at >= len(data):
        raise BadPacket("cut off")
    return data[at]


class Packet:
    """number, answer (whether it is one), questions: [(name, kind, class)], records: [(name, kind, ttl, start, end)].

    probe: whether it asks if a name is free.
    """

    def __init__(self, data):
        if len(data) < 12:
            raise BadPacket("cut off")
        self.number, flags, asked, answered, claimed, more = struct.unpack_from(">HHHHHH", data)
        if asked + answered + claimed + more > MAX_RECORDS or flags & 0x7800:
            raise BadPacket("too much, or another kind")
        self.answer = bool(flags & 0x8000)
        self.probe = bool(claimed) and not self.answer
        self.questions, self.records, at = [], [], 12
        for _ in range(asked):
            name, at = read_name(data, at)
            if at + 4 > len(data):
                raise BadPacket("cut off")
            kind, group = struct.unpack_from(">HH", data, at)
            self.questions.append((name, kind, group))
            at += 4
        for _ in range(answered + claimed + more):
            name, at = read_name(data, at)
            if at + 10 > len(data):
                raise BadPacket("cut off")
            kind, _, ttl, size = struct.unpack_from(">HHIH", data, at)
            at += 10
            if at + size > len(data):
                raise BadPacket("cut off")
            self.records.append((name, kind, ttl, at, at + size))
            at += size


def texts(data, start, end):
    """The KEY=VALUE strings of a TXT record."""
    found = {}
    while start < end:
        size = data[start]
        if start + 1 + size > end:
            raise BadPacket("cut off")
        key, _, value = bytes(data[start + 1 : start + 1 + size]).partition(b"=")
        found[key.lower()] = value
        start += 1 + size
    return found


def name(labels):
    return b"".join([bytes([len(label)]) + label for label in labels]) + b"\0"


def question(labels, kind, alone=False):
    return name(labels) + struct.pack(">HH", kind, 1 | (ONLY if alone else 0))


def record(labels, kind, ttl, data, only=True):
    return name(labels) + struct.pack(">HHIH", kind, 1 | (ONLY if only else 0), ttl, len(data)) + data


def packet(number, flags, questions, answers, claims=()):
    head = struct.pack(">HHHHHH", number, flags, len(questions), len(answers), len(claims), 0)
    return head + b"".join(questions) + b"".join(answers) + b"".join(claims)


def peer_of(socket, address):
    """(host, port) of what recvfrom() tells: MicroPython on Linux tells it in bytes."""
    if isinstance(address, tuple):
        return address[0], address[1]
    _, host, port = socket.sockaddr(address)[:3]
    return ".".join([str(part) for part in host]), port
