"""Which chunks the index knows in files that are here."""

import random

from toastbox.core.content import content_id
from toastbox.core.diff import Signature
from toastbox.core.entry import FILE, Entry
from toastbox.device.index import LOOKUP, Index

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
