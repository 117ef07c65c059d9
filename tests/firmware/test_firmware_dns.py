"""What a board makes of packets of the LAN: right ones, conflicts, and whatever else may come."""

import contextlib
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from zeroconf import DNSIncoming, DNSService

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "firmware" / part) for part in (".", "fixed")]

from toaster import dns
from toaster.announce import Announcer
from toaster.search import ports_in

ID = "ab" * 16
SETTINGS = {"device": 7, "name": "kit.chen\x1b", "folder": "cd" * 16, "port_here": 8270}
PEER = ("10.0.0.2", 5353)


class Wire:
    """In the place of the socket. sent: [(data, to)]."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.coming = (b"", PEER)

    def recvfrom(self, most: int) -> tuple[bytes, tuple[str, int]]:
        return self.coming

    def sendto(self, data: bytes, to: tuple[str, int]) -> None:
        self.sent.append((bytes(data), to))

    def close(self) -> None:
        pass


class Poller:
    def register(self, stream: object, events: int) -> None: ...

    def unregister(self, stream: object) -> None: ...


class Lan:
    """An announcer on a wire of its own. now: in ms."""

    def __init__(self, **settings: Any) -> None:
        self.wire = Wire()
        self.now = 0
        made = type("Made", (Announcer,), {"_open": lambda _, address: self.wire})
        self.announcer: Announcer = made({**SETTINGS, **settings}, "10.0.0.1", Poller(), 0, lambda: 0.5)

    def hear(self, data: bytes, peer: tuple[str, int] = PEER) -> list[tuple[bytes, tuple[str, int]]]:
        """What is sent in answer."""
        before = len(self.wire.sent)
        self.wire.coming = (data, peer)
        self.announcer.ready(self.now)
        return self.wire.sent[before:]

    def until(self, now: int) -> list[dns.Packet]:
        before = len(self.wire.sent)
        while self.now < now:
            self.now += 10
            self.announcer.turn(self.now)
        return [dns.Packet(data) for data, _ in self.wire.sent[before:]]


def asking(kind: int = dns.PTR, labels: Any = dns.SERVICE, number: int = 9) -> bytes:
    return bytes(dns.packet(number, 0, [dns.question(labels, kind)], []))


def test_it_asks_three_times_tells_twice_and_is_silent_then() -> None:
    lan = Lan()
    sent = lan.until(10_000)
    assert [packet.answer for packet in sent] == [False] * 3 + [True] * 2
    assert [packet.probe for packet in sent] == [True] * 3 + [False] * 2
    assert lan.announcer.name == "kit chen (device 7)" and lan.announcer.wait_ms(lan.now) > 1 << 50


def test_another_implementation_reads_what_it_tells() -> None:
    lan = Lan()
    lan.until(3000)
    told = DNSIncoming(lan.wire.sent[-1][0])
    assert told.valid and told.is_response()
    (service,) = [each for each in told.answers() if isinstance(each, DNSService)]
    assert service.name == "kit chen (device 7)._toastbox._tcp.local." and service.port == 8270 and service.unique
    assert len(told.answers()) == 5


def test_who_has_the_name_keeps_it() -> None:
    other, lan = Lan(folder="ef" * 16), Lan()
    other.until(3000)
    lan.until(200)
    lan.hear(other.wire.sent[-1][0])
    lan.until(10_000)
    assert lan.announcer.name == "kit chen 2 (device 7)"
    lan.hear(lan.wire.sent[-1][0])  # its own voice
    other.hear(lan.wire.sent[-1][0])
    assert (lan.announcer.name, other.announcer.name) == ("kit chen 2 (device 7)", "kit chen (device 7)")


def test_of_two_who_ask_at_once_one_gives_way() -> None:
    one, two = Lan(), Lan(folder="ef" * 16)
    one.until(140)
    two.hear(one.wire.sent[-1][0])
    one.until(3000)
    two.hear(one.wire.sent[-1][0])
    two.until(9000)
    assert {one.announcer.name, two.announcer.name} == {"kit chen (device 7)", "kit chen 2 (device 7)"}


def test_it_answers_what_it_knows_and_never_loudly() -> None:
    lan = Lan()
    assert lan.hear(asking()) == [], "the name is not its own yet"
    lan.until(5000)
    ((data, to),) = lan.hear(asking())
    assert to == (dns.GROUP, dns.PORT) and dns.Packet(data).answer
    assert lan.hear(asking()) == [], "it was told a moment ago"
    ((data, to),) = lan.hear(asking(), ("10.0.0.3", 40000))
    assert to == ("10.0.0.3", 40000) and dns.Packet(data).number == 9 and len(dns.Packet(data).questions) == 1
    assert max(ttl for _, _, ttl, _, _ in dns.Packet(data).records) == 10
    assert lan.hear(asking(), ("10.0.0.3", 40000)) == []
    lan.now += 2000
    assert lan.hear(asking(dns.A, (b"other", b"local"))) == []
    assert len(lan.hear(asking(dns.PTR, (b"_TOASTBOX", b"_TCP", b"Local")))) == 1, "names compare without case"
    lan.now += 2000
    instance = (lan.announcer.name.encode(), *dns.SERVICE)
    known = dns.record(dns.SERVICE, dns.PTR, 4000, dns.name(instance), False)
    assert lan.hear(bytes(dns.packet(0, 0, [dns.question(dns.SERVICE, dns.PTR)], [known]))) == []
    lan.announcer.close()
    assert {ttl for _, _, ttl, _, _ in dns.Packet(lan.wire.sent[-1][0]).records} == {0}


def told(name: bytes = b"hub", said: bytes = b"role=hub", ident: str = ID, port: int = 8269) -> bytes:
    """What a hub answers."""
    instance = (name, *dns.SERVICE)
    text = b"".join(bytes([len(each)]) + each for each in (b"txtvers=1", said, b"id=" + ident.encode()))
    place = bytes([0, 0, 0, 0, port >> 8, port & 255]) + dns.name((b"host", b"local"))
    records = [dns.record(instance, dns.SRV, 120, place), dns.record(instance, dns.TXT, 4500, text)]
    return bytes(dns.packet(0, dns.ANSWER, [], records))


def test_only_the_hub_that_is_wanted_is_found() -> None:
    assert ports_in(told(), ID) == [8269]
    for other in (told(said=b"role=device"), told(ident="cd" * 16), told(port=0), asking()):
        assert ports_in(other, ID) == []


LOOPS = [
    b"\xc0\x0c",  # a pointer to itself
    b"\x01a\xc0\x0c",  # to the beginning of the same name
    b"\xc0\x0e\xc0\x0c",  # two that lead to each other
    b"\xc0\xff",
    b"\x3fabc",
    b"\x80a\0",
    (b"\x3f" + b"a" * 63) * 5 + b"\0",
]


@pytest.mark.parametrize("name", LOOPS)
def test_names_that_lead_nowhere_are_refused(name: bytes) -> None:
    for head in (b"\0\0\x84\0\0\1\0\0\0\0\0\0", b"\0\0\x84\0\0\0\0\1\0\0\0\0"):
        with pytest.raises(dns.BadPacket):
            dns.Packet(head + name + b"\0\x0c\0\1\0\0\0\0\0\0")


def test_no_packet_raises_or_makes_it_loud() -> None:
    chance = random.Random(5)
    lan = Lan()
    lan.until(5000)
    good = [told(), asking(), lan.wire.sent[0][0], lan.wire.sent[-1][0], told(name=lan.announcer.name.encode())]
    before, start = len(lan.wire.sent), lan.now
    for turn in range(20_000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randint(0, 6)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 12, 33, 0x80, 0xC0, 0xFF, chance.randrange(256)))
        data = data[: chance.randint(0, len(data))] if turn % 3 == 0 else data
        lan.now = start + turn
        lan.hear(bytes(data), ("10.0.0.3", chance.choice((5353, 40000))))
        lan.announcer.turn(lan.now)
        with contextlib.suppress(dns.BadPacket):
            ports_in(bytes(data), ID)
    assert len(lan.wire.sent) - before < 20_000 // 90
