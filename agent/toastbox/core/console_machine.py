"""Machine mode of the console (docs/SPEC.md, section 12): one JSON object a line, with a checksum and a number.

A frame is RS (0x1E, as RFC 7464 has it), one JSON object whose last member is `crc`, LF. RS is no key that anybody
types and stands in no kernel message, so a frame is found whatever lies in front of it. The checksum covers all bytes
of the object before the comma of `,"crc":`, as they were sent: nobody has to agree on a canonical form.
"""

import binascii
import json

from toastbox.core.errors import WireError

RS = 0x1E
LF = 0x0A
TAIL = b',"crc":"'
TAIL_SIZE = len(TAIL) + 8 + 2
MAX_REQUEST = 2048
MAX_ANSWER = 65536
MAX_SEQ = 0x7FFFFFFF


def encode(fields: dict) -> bytes:  # type: ignore[type-arg]
    """A frame of these fields, of which there is at least one."""
    body = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    return bytes([RS]) + body + TAIL + (b"%08x" % checksum(body)) + b'"}\n'


def checksum(body: bytes) -> int:
    """CRC-32 as zlib, PNG and Ethernet have it."""
    return binascii.crc32(body) & 0xFFFFFFFF


def decode(line: bytes) -> dict:  # type: ignore[type-arg]
    """The fields of a line without its RS and LF, `crc` not among them. Raises WireError: damaged."""
    body, tail = line[:-TAIL_SIZE], line[-TAIL_SIZE:]
    if not body or tail[: len(TAIL)] != TAIL or tail[-2:] != b'"}':
        raise WireError("this is no frame")
    if tail[len(TAIL) : -2] != b"%08x" % checksum(body):
        raise WireError("the checksum does not fit")
    try:
        fields = json.loads(body.decode() + "}")
    except (ValueError, RuntimeError):  # RuntimeError: nested too deeply
        raise WireError("a frame must be a JSON object")
    if not isinstance(fields, dict):
        raise WireError("a frame must be a JSON object")
    return fields


def check_seq(value: object) -> int:
    """A request's number. Raises WireError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_SEQ:
        raise WireError("seq must be a number from 1 to 2147483647")
    return value


class FrameReader:
    """Finds frames in a stream. open: inside one; what comes while it is not open is somebody else's."""

    def __init__(self, limit: int) -> None:
        self.open = False
        self._limit = limit
        self._line = bytearray()

    def feed(self, byte: int) -> "bytes | None":
        """The frame's line, when this byte ends it; None else. If it is not open afterwards, it was no frame."""
        if byte == RS:
            self.drop()
            self.open = True
        elif not self.open:
            return None
        elif byte == LF:
            line = bytes(self._line)
            self.drop()
            return line[:-1] if line[-1:] == b"\r" else line
        elif (not self._line and byte != 0x7B) or len(self._line) >= self._limit:
            self.drop()
        else:
            self._line.append(byte)
        return None

    def drop(self) -> None:
        """What was begun will not be finished."""
        self.open = False
        self._line = bytearray()
