"""Inputs of the chunker's golden vectors, made from a seed. Runs on CPython and MicroPython.

`pieces` yields them in parts, so that a board with little memory can follow:

    random   xorshift32 (Marsaglia 2003) from the seed, each number as four bytes, least significant first
    repeat   the first `period` bytes of `random`, again and again
    byte     the low byte of the seed
    text     words of WORDS chosen by xorshift32, number modulo 16, a space behind each
"""

WORDS = b"arena chunk journal cursor tombstone folder device hub push pull stage publish".split()
WORDS += b"board flash seed toast".split()


def numbers(seed: int):  # a generator of int
    while True:
        seed ^= (seed << 13) & 0xFFFFFFFF
        seed ^= seed >> 17
        seed ^= (seed << 5) & 0xFFFFFFFF
        yield seed


def endless(kind: str, seed: int, period: int):  # a generator of bytes
    if kind == "byte":
        while True:
            yield bytes([seed & 255]) * 256
    if kind == "repeat":
        block = take("random", seed, 0, period)
        while True:
            yield block
    for number in numbers(seed):
        yield number.to_bytes(4, "little") if kind == "random" else WORDS[number % 16] + b" "


def pieces(kind: str, seed: int, period: int, size: int, most: int = 4096):  # a generator of bytes
    """The input in pieces of at most `most` bytes."""
    held = bytearray()
    for part in endless(kind, seed, period):
        held += part
        while len(held) >= most or len(held) >= size > 0:
            piece = bytes(held[: min(most, size)])
            held = held[len(piece) :]
            size -= len(piece)
            yield piece
        if size == 0:
            return


def take(kind: str, seed: int, period: int, size: int) -> bytes:
    """The whole input."""
    return b"".join(pieces(kind, seed, period, size))
