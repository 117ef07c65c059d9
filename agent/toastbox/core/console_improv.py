"""Improv Wi-Fi over a serial line (improv-wifi.com/serial), version 1: packets, and how to find them among typing.

`IMPROV`, version 1, type, length, data, checksum. The checksum is the low byte of the sum of all bytes before it,
header included; the standard's page does not say so, its JavaScript client does. That client
- sends a line feed behind each packet, and takes one for a packet only at the beginning of a line: so is ours sent;
- takes a tenth byte of value 10 for a line feed: it cannot hear a packet of 10 bytes of data. Where that would be a
  result, an empty string is added, which it ignores.
"""

HEADER = b"IMPROV\x01"
STATE = 1
ERROR = 2
RPC = 3
RESULT = 4

READY = 2
PROVISIONING = 3
PROVISIONED = 4

NO_ERROR = 0
BAD_PACKET = 1
UNKNOWN_COMMAND = 2
CANNOT_CONNECT = 3
BAD_HOSTNAME = 5
OTHER_ERROR = 255

WIFI = 1
GET_STATE = 2
GET_INFO = 3
SCAN = 4
HOSTNAME = 5
NAME = 6
MAX_STRING = 120
DEAF_SIZE = 10


def packet(kind: int, data: bytes) -> bytes:
    """A packet on a line of its own."""
    body = HEADER + bytes([kind, len(data)]) + data
    return b"\n" + body + bytes([sum(body) & 255]) + b"\n"


def state(value: int) -> bytes:
    return packet(STATE, bytes([value]))


def error(value: int) -> bytes:
    return packet(ERROR, bytes([value]))


def result(command: int, strings: list[str]) -> bytes:
    """A result. Strings are cut at MAX_STRING bytes, so that a few of them always fit."""
    data = b""
    for text in strings:
        raw = _cut(text.encode())
        data += bytes([len(raw)]) + raw
    if len(data) + 2 == DEAF_SIZE:
        data += b"\x00"
    return packet(RESULT, bytes([command, len(data)]) + data)


def _cut(raw: bytes) -> bytes:
    size = min(len(raw), MAX_STRING)
    while 0 < size < len(raw) and raw[size] & 0xC0 == 0x80:
        size -= 1
    return raw[:size]


def parse_rpc(data: bytes) -> "tuple[int, bytes] | None":
    """(command, its data) of an RPC packet's data; None: malformed."""
    if len(data) < 2 or data[1] != len(data) - 2:
        return None
    return data[0], data[2:]


def parse_wifi(data: bytes) -> "tuple[str, str] | None":
    """(name, password) of command WIFI; None: malformed."""
    size = data[0] if data else 0
    if len(data) < size + 2 or len(data) != size + 2 + data[size + 1]:
        return None
    return text_of(data[1 : 1 + size], data[size + 2 :])


def text_of(*parts: bytes) -> "tuple | None":  # type: ignore[type-arg]
    """UTF-8 as text; None: it is not."""
    try:
        return tuple([part.decode() for part in parts])
    except UnicodeError:
        return None


class ImprovReader:
    """Holds bytes back as long as they may be a packet. held: how many; inside: past the header.

    packet: the packet (kind, data) when one is complete, with kind 0 when its checksum is wrong.
    """

    def __init__(self) -> None:
        self.packet: tuple[int, bytes] | None = None
        self._kept = bytearray()

    @property
    def held(self) -> int:
        return len(self._kept)

    @property
    def inside(self) -> bool:
        return len(self._kept) >= len(HEADER)

    def feed(self, byte: int) -> bytes:
        """Bytes that are no packet's: none while one may be coming."""
        self.packet = None
        self._kept.append(byte)
        size = len(self._kept)
        if size <= len(HEADER):
            if self._kept == HEADER[:size]:
                return b""
            return self._flush(1 if byte == HEADER[0] else 0)
        if size >= 10 and size == 10 + self._kept[8]:
            good = sum(self._kept[:-1]) & 255 == self._kept[-1]
            self.packet = (self._kept[7] if good else 0, bytes(self._kept[9:-1]))
            self._kept = bytearray()
        return b""

    def _flush(self, keep: int) -> bytes:
        size = len(self._kept) - keep
        found, self._kept = bytes(self._kept[:size]), self._kept[size:]
        return found

    def drop(self) -> bytes:
        """Nothing more came: what was held. Of a packet that was begun nothing is given back."""
        inside, found = self.inside, self._flush(0)
        return b"" if inside else found
