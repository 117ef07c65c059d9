"""Which chunks the index knows in files that are here."""

import random
import tracemalloc

from toastbox.core.content import content_id
from toastbox.core.diff import Signature
from toastbox.core.entry import FILE, Entry
from toastbox.device.index import Index
from toastbox.device.lookup import LOOKUP

SEEN = Signature(1, 2, 3, 4)


def test_chunks_that_no_file_has_are_told_apart_and_the_rest_is_found() -> None:
    index, chance = Index(":memory:"), random.Random(1)
    digests = [chance.randbytes(32) for _ in range(3 * LOOKUP)]
    alone, parts = digests[:LOOKUP], digests[LOOKUP : LOOKUP + 7]
    for number, digest in enumerate(alone):
        index.put(Entry(b"%d" % number, FILE, seq=1, size=9, content=digest), SEEN)
    chunks = b"".join(digest + (9).to_bytes(4, "little") for digest in parts)
    index.put(Entry(b"large", FILE, seq=1, size=63, content=content_id(chunks, 63), chunks=chunks), SEEN)
    assert index.unknown(digests) == set(digests[LOOKUP + 7 :])
    for digest in digests[: LOOKUP + 7]:
        assert len(list(index.holders(digest))) == 1
    assert index.unknown([]) == set()


def test_empty_files_hold_no_chunk() -> None:
    index = Index(":memory:")
    index.put(Entry(b"empty", FILE, seq=1, content=bytes(32)), SEEN)
    assert index.unknown([bytes(32)]) == {bytes(32)}


def test_pieces_follow_every_change_of_a_list() -> None:
    """With few chunks, so that what goes in one place is often still there in another."""
    index, chance = Index(":memory:"), random.Random(2)
    pool = [chance.randbytes(32) for _ in range(5)]
    for seq in range(1, 300):
        parts = chance.choices(pool, k=chance.randrange(2, 9))
        chunks = b"".join(digest + (9).to_bytes(4, "little") for digest in parts)
        size = 9 * len(parts)
        index.put(Entry(b"f", FILE, seq=seq, size=size, content=content_id(chunks, size), chunks=chunks), SEEN)
        assert index.unknown(pool) == set(pool) - set(parts)
    index.delete(b"f")
    assert index.unknown(pool) == set(pool)


def test_long_list_takes_no_memory_beside_itself() -> None:
    index, chance = Index(":memory:"), random.Random(3)
    chunks = chance.randbytes(36 * 20_000)
    entry = Entry(b"f", FILE, seq=1, size=1 << 40, content=content_id(chunks, 1 << 40), chunks=chunks)
    tracemalloc.start()
    try:
        index.put(entry, SEEN)
        assert tracemalloc.get_traced_memory()[1] < 100_000
        other = chunks[:36] + chance.randbytes(36) + chunks[36:]
        tracemalloc.reset_peak()
        index.put(Entry(b"f", FILE, seq=2, size=1 << 40, content=content_id(other, 1 << 40), chunks=other), SEEN)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(chunks)
    finally:
        tracemalloc.stop()
