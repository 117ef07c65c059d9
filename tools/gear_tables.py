"""Searches the chunker's gear tables again, as cnative/CHUNKER.md ("Why so") specifies. Takes some seconds.

Run: python tools/gear_tables.py
"""

import hashlib
import itertools
import string
from collections.abc import Iterable, Iterator

WINDOW = 8
ALPHABETS: list[Iterable[int]] = [
    string.digits.encode(),
    b"0123456789,.-\n",
    b"0123456789abcdef",
    b"0123456789ABCDEF",
    string.ascii_lowercase.encode(),
    string.ascii_lowercase.encode() + b" \n",
    (string.ascii_letters + string.digits + "+/").encode(),
    range(32, 127),
    range(16),
    b"ACGT",
]


def different_bytes(number: int) -> Iterator[int]:
    """The byte values of SHA-256("toastbox gear N i"), i = 0, 1, ..., each at its first appearance."""
    seen = set()
    for count in itertools.count():
        for value in hashlib.sha256(b"toastbox gear %d %d" % (number, count)).digest():
            if value not in seen:
                seen.add(value)
                yield value


def density(table: list[int], alphabet: Iterable[int]) -> float:
    """Candidates per 256 bytes of random text over the alphabet: the exact distribution, by convolution."""
    values = [table[byte] for byte in alphabet]
    now = [1.0] + [0.0] * 255
    for step in range(WINDOW):
        then = [0.0] * 256
        for value in values:
            shift = (value << step) & 255
            for state, chance in enumerate(now):
                then[(state + shift) & 255] += chance / len(values)
        now = then
    return now[0] * 256


def fits(table: list[int]) -> bool:
    if 0 in table or abs(density(table, range(256)) - 1) > 0.01:
        return False
    return all(0.9 <= density(table, alphabet) <= 1.11 for alphabet in ALPHABETS)


def main() -> None:
    for number in itertools.count():
        values = list(itertools.islice(different_bytes(number), 32))
        low, high = bytes(values[:16]), bytes(values[16:])
        if fits([low[byte & 15] ^ high[byte >> 4] for byte in range(256)]):
            print(f"N {number}\nLOW  {low.hex(' ')}\nHIGH {high.hex(' ')}")
            return


if __name__ == "__main__":
    main()
