"""Somebody who multicasts lies about _toastbox._tcp, as packets no library would make, and goes on doing so."""

import json
import os
import random
import socket
import struct
import sys

GROUP, PORT = "224.0.0.251", 5353
TYPE = [b"_toastbox", b"_tcp", b"local"]
PTR, TXT, SRV, A = 12, 16, 33, 1
FLUSH = 0x8000


def name(labels: list[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(labels: list[bytes], kind: int, data: bytes, flags: int = 0, ttl: int = 4500) -> bytes:
    return name(labels) + struct.pack(">HHIH", kind, 1 | flags, ttl, len(data)) + data


def response(*records: bytes) -> bytes:
    return struct.pack(">HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)


def service(label: bytes, strings: list[bytes], address: str, port: int) -> bytes:
    instance = [label, *TYPE]
    txt = b"".join(bytes([len(each)]) + each for each in strings) or b"\0"
    return response(
        record(TYPE, PTR, name(instance)),
        record(instance, TXT, txt, FLUSH),
        record(instance, SRV, struct.pack(">HHH", 0, 0, port) + name([label, b"local"]), FLUSH),
        record([label, b"local"], A, socket.inet_aton(address), FLUSH),
    )


def lies(address: str) -> list[bytes]:
    """One packet for each way of being wrong, a flood of well-formed claims, and noise."""
    hub = [b"txtvers=1", b"role=hub", b"id=" + b"ee" * 16, b"fh=", b"v=1", b"name=rogue"]
    packets = [
        service(b"no txt", [], address, 1),
        service(b"wrong version", [b"txtvers=2", *hub[1:]], address, 1),
        service(b"wrong role", [hub[0], b"role=king", *hub[2:]], address, 1),
        service(b"short id", [*hub[:2], b"id=ee", *hub[3:]], address, 1),
        service(b"binary id", [*hub[:2], b"id=" + b"\xff" * 32, *hub[3:]], address, 1),
        service(b"bad folders", [*hub[:3], b"fh=" + b"," * 200], address, 1),
        service(b"port zero", hub, address, 0),
        service(b"loopback", hub, "127.0.0.1", 22),
        service(b"multicast", hub, GROUP, 1),
        service(b"huge txt", [*hub, *[b"x" * 255] * 5], address, 1),
        service(b"terminal", [*hub[:5], b"name=\x1b[2J\x1b[31mowned"], address, 1),
        response(record(TYPE, PTR, name([b"nowhere", *TYPE]))),
        response(record(TYPE, PTR, b"\xc0\x0c")),
        response(record(TYPE, PTR, b"\xff" * 40)),
        b"\0" * 12,
    ]
    for number in range(1500):
        device = [b"txtvers=1", b"role=device", b"id=%d" % (number + 1), b"name=d%d" % number]
        packets.append(service(b"flood %d" % number, device, address, number + 1))
    chance = random.Random(1)
    for _ in range(300):
        whole = bytearray(chance.choice(packets[:12]))
        for _ in range(3):
            whole[chance.randrange(len(whole))] = chance.randrange(256)
        packets.append(bytes(whole))
    packets.extend(os.urandom(chance.randrange(1, 1400)) for _ in range(100))
    return packets


def main() -> None:
    address = json.loads(sys.argv[1])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    sock.bind(("", PORT))
    for packet in lies(address):
        sock.sendto(packet, (GROUP, PORT))
    print(json.dumps({"kind": "lied"}), flush=True)
    sys.stdin.read()


main()
