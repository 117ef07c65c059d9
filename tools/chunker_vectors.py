"""Writes tests/vectors/chunker.json from the reference chunker. Run it only for a new version of the rule.

Run: python tools/chunker_vectors.py
"""

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "agent"), str(ROOT / "tests" / "vectors")]

from chunker_inputs import take  # noqa: E402

from toastbox.core.chunker import Chunker  # noqa: E402

# Name, then as in chunker_inputs: kind, seed, period, size; then the chunker's sizes.
Case = tuple[str, str, int, int, int, tuple[int, int, int]]

SMALL = (64, 512, 2048)
TIGHT = (32, 512, 512)
DEFAULT = (16384, 65536, 262144)


def seed_that_cuts_at(length: int, sizes: tuple[int, int, int]) -> int:
    """A seed whose 32 bytes, repeated, are cut every `length` bytes.

    At min_size: the block ends in a strict candidate. At avg_size: in one that is loose and not strict.
    """
    for seed in range(1, 1 << 24):
        block = take("random", seed, 0, 32)
        if Chunker(*sizes).scan(block * (length // 32)) == length:
            return seed
    raise SystemExit(f"no seed cuts at {length} with {sizes}")


def cases() -> list[Case]:
    always = seed_that_cuts_at(SMALL[0], SMALL)
    average = seed_that_cuts_at(SMALL[1], SMALL)
    rows = [(f"random {n}", "random", 1, 0, n, SMALL) for n in (0, 1, 63, 64, 65, 2047, 2048, 2049, 40000)]
    rows += [(f"zeros {n}", "byte", 0, 0, n, SMALL) for n in (0, 1, 63, 64, 65, 2047, 2048, 2049, 10000)]
    rows += [(f"always cuts {n}", "repeat", always, 32, n, SMALL) for n in (63, 64, 65, 5000)]
    rows += [(f"cuts at avg {n}", "repeat", average, 32, n, SMALL) for n in (511, 512, 513, 5000)]
    rows += [
        ("one byte 255", "byte", 255, 0, 10000, SMALL),
        ("period 2", "repeat", 9, 2, 10000, SMALL),
        ("period 257", "repeat", 9, 257, 20000, SMALL),
        ("text", "text", 3, 0, 40000, SMALL),
        ("tight", "random", 4, 0, 20000, TIGHT),
        ("min is avg is max", "random", 5, 0, 5000, (512, 512, 512)),
        ("always cuts, default", "repeat", seed_that_cuts_at(DEFAULT[0], DEFAULT), 32, 100000, DEFAULT),
        ("zeros, default", "byte", 0, 0, 600000, DEFAULT),
        ("random, default", "random", 6, 0, 1048576, DEFAULT),
        ("text, default", "text", 7, 0, 1048576, DEFAULT),
    ]
    return rows


def vector(case: Case) -> str:
    name, kind, seed, period, size, sizes = case
    data = take(kind, seed, period, size)
    row = {"name": name, "kind": kind, "seed": seed, "period": period, "size": size, "sizes": sizes}
    row["sha256"] = hashlib.sha256(data).hexdigest()
    row["cuts"] = Chunker(*sizes).cuts(data)
    return json.dumps(row)


def main() -> None:
    lines = ",\n".join(vector(case) for case in cases())
    (ROOT / "tests" / "vectors" / "chunker.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
