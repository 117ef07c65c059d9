"""Chunker, the reference: where a stream of bytes is cut into chunks (rule: cnative/CHUNKER.md).

Slow, plain, and right by definition: the C forms must give the same cuts. It runs on MicroPython as it is,
where a board without the native module uses it or sends fixed pieces.

Stage one rolls a hash of one byte, h = 2h + T[b] mod 256, which depends on the last 8 bytes. Where it is 0
stands a candidate, one position in 256. Stage two hashes the last 32 bytes there and compares with a
threshold: strict below avg_size, loose from it on. Both windows lie inside the present chunk, as min_size is
at least 32.
"""

WINDOW = 32
GEAR_WINDOW = 8
AVG_LEAST = 512
AVG_MOST = 1 << 24
MAX_MOST = 1 << 30

# T[b] = LOW[b & 15] ^ HIGH[b >> 4]: tables of 16, so that vector units look them up by shuffles.
LOW = b"\x7f\xf2\x68\x88\xe9\x05\x1d\xab\x3e\x7a\x5d\x7c\x27\xd4\xeb\xb3"
HIGH = b"\xf5\xe1\x4e\xd8\x5b\x3d\x24\x1f\xe2\xbb\x3b\x4b\x26\x7e\xce\x96"
GEAR = bytes(LOW[value & 15] ^ HIGH[value >> 4] for value in range(256))


def window_hash(window: bytes) -> int:
    """Stage two: 32 bits from 32 bytes."""
    hashed = 0x9E3779B9
    for at in range(0, WINDOW, 4):
        word = int.from_bytes(window[at : at + 4], "little")
        hashed = ((hashed ^ word) * 0x85EBCA6B) & 0xFFFFFFFF
        hashed ^= hashed >> 15
    return hashed


class Chunker:
    """Finds where chunks end in a stream, given in pieces of any size.

    min_size, avg_size, max_size: bytes; avg_size is a power of two from 512 to 16 MiB, min_size 32 to
    avg_size, max_size avg_size to 1 GiB. ValueError otherwise.
    """

    def __init__(self, min_size: int = 16384, avg_size: int = 65536, max_size: int = 262144) -> None:
        if not AVG_LEAST <= avg_size <= AVG_MOST or avg_size & (avg_size - 1):
            raise ValueError("avg_size is not a power of two in range")
        if not WINDOW <= min_size <= avg_size <= max_size <= MAX_MOST:
            raise ValueError("size out of range")
        self._min_size = min_size
        self._avg_size = avg_size
        self._max_size = max_size
        base = (1 << 40) // avg_size
        self._strict = base // 2 + base // 8
        self._loose = min(base * 4, 0xFFFFFFFF)
        self.reset()

    def reset(self) -> None:
        """Starts anew, as after a cut."""
        self._position = 0  # bytes of the present chunk consumed
        self._gear = 0
        self._tail = b""  # the last bytes consumed, up to WINDOW

    def scan(self, view: bytes | bytearray | memoryview) -> int:
        """Bytes of view through the next cut; -1: all of it was consumed and the chunk goes on."""
        end = min(len(view), self._max_size - self._position)
        at = min(end, max(0, self._min_size - GEAR_WINDOW - self._position))
        gear = self._gear
        table = GEAR
        least = self._min_size - self._position
        while at < end:
            gear = (gear * 2 + table[view[at]]) & 255
            at += 1
            if gear == 0 and at >= least and self._cuts_at(view, at):
                self.reset()
                return at
        if self._position + end == self._max_size:
            self.reset()
            return end
        self._gear = gear
        self._position += end
        self._tail = self._before(view, end)
        return -1

    def cuts(self, view: bytes | bytearray | memoryview) -> list[int]:
        """Consumes view; the offsets in it where chunks end. What follows the last one is an open chunk."""
        ends = []
        at = 0
        whole = memoryview(view)
        while at < len(view):
            used = self.scan(whole[at:])
            if used < 0:
                break
            at += used
            ends.append(at)
        return ends

    def _cuts_at(self, view: bytes | bytearray | memoryview, at: int) -> bool:
        """Stage two at the candidate that ends at view[at - 1]."""
        threshold = self._strict if self._position + at < self._avg_size else self._loose
        return window_hash(self._before(view, at)) < threshold

    def _before(self, view: bytes | bytearray | memoryview, end: int) -> bytes:
        """The last WINDOW bytes consumed when view[:end] is, or fewer at a chunk's beginning."""
        if end >= WINDOW:
            return bytes(view[end - WINDOW : end])
        return (self._tail + bytes(view[:end]))[-WINDOW:]
