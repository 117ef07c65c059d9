"""Bundles: whole, byte by byte, and hostile."""

from entries import digest, refusal

from toastbox.core.bundle import MAX_SEGMENT, BundleReader, chunk_head, missing_head, segment_head

CHUNKS = [b"a", b"hello" * 10, b"\0" * 100, b"x" * 36, b"y" * 300]


def bundle():
    parts = []
    for data in CHUNKS:
        parts += [chunk_head(digest(data), len(data)), data]
    return b"".join(parts) + missing_head(digest(b"nobody has it"))


WANTED = [(digest(data), data) for data in CHUNKS] + [(digest(b"nobody has it"), None)]


def read(stream, size, max_chunk=300):
    reader = BundleReader(max_chunk)
    found = []
    for at in range(0, len(stream), size):
        for name, data in reader.feed(stream[at : at + size]):
            found.append((name, None if data is None else bytes(data)))
    reader.close()
    return found


def test_heads_are_36_bytes():
    assert chunk_head(b"h" * 32, 0x01020304) == b"\4\3\2\1" + b"h" * 32
    assert missing_head(b"h" * 32) == b"\0\0\0\xf0" + b"h" * 32


def test_any_cutting_of_the_stream_gives_the_same_chunks():
    stream = bundle()
    for size in (1, 2, 3, 7, 35, 36, 37, 64, 100, 336, len(stream)):
        assert read(stream, size) == WANTED, size


def test_whole_chunks_are_views_of_what_was_fed():
    stream = bytearray(bundle())
    _, data = next(iter(BundleReader(300).feed(stream)))
    stream[36] = ord("z")
    assert bytes(data) == b"z"


def test_truncated_bundle_is_refused_at_its_end():
    stream = bundle()
    ends = {0}
    at = 0
    for _, data in WANTED:
        at += 36 + len(data or b"")
        ends.add(at)
    for end in range(0, len(stream), 5):
        if end in ends:
            read(stream[:end], 50)
        else:
            assert refusal(read, stream[:end], 50)


def test_hostile_heads_are_refused_before_memory_is_taken():
    for head in (0, 301, 0x0FFFFFFF, 0x10000001, 0xE0000000, 0xF0000001, 0xFFFFFFFF):
        assert refusal(read, head.to_bytes(4, "little") + bytes(32) + bytes(10), 46)
        assert refusal(read, head.to_bytes(4, "little") + bytes(32) + bytes(10), 1)


def test_empty_stream_is_an_empty_bundle():
    assert read(b"", 1) == []


# --- segments. MicroPython has no deflate for bytes in memory: here a packed segment is the key of a table.

PACKED = {}


def segment(packed, plain, size=0):
    PACKED[packed] = plain
    return segment_head(len(packed), size or len(plain)) + packed


def look_up(data, size):
    plain = PACKED.get(bytes(data), b"")
    if len(plain) != size:
        raise ValueError("another size")
    return plain


def run(*chunks):
    return b"".join([len(data).to_bytes(4, "little") + data for data in chunks])


def read_segments(stream, size, max_chunk=300):
    reader = BundleReader(max_chunk, look_up)
    found = []
    for at in range(0, len(stream), size):
        for name, data in reader.feed(stream[at : at + size]):
            found.append((name, None if data is None else bytes(data)))
    reader.close()
    return found


def test_segments_hold_chunks_without_names_however_they_are_cut():
    stream = bundle() + segment(b"packed", run(b"one", b"two" * 90)) + bundle() + segment(b"p", run(b"x"))
    wanted = WANTED + [(b"", b"one"), (b"", b"two" * 90)] + WANTED + [(b"", b"x")]
    for size in (1, 2, 3, 4, 5, 7, 8, 9, 36, 100, len(stream)):
        assert read_segments(stream, size) == wanted, size
    for end in (len(stream) - 1, len(stream) - 5, len(stream) - 8):
        assert refusal(read_segments, stream[:end], 50)


def test_segments_are_refused_by_who_does_not_inflate():
    assert refusal(read, segment(b"p", run(b"x")), 3) == "chunk of an unknown encoding"


def test_segments_of_a_bad_size_are_refused_before_memory_is_taken():
    for packed, size in ((0, 10), (10, 10), (11, 10), (10, MAX_SEGMENT + 1), (0xFFFFFFF, 0xFFFFFFFF)):
        assert refusal(read_segments, segment_head(packed, size), 8) == "segment of a bad size"
    assert segment_head(3, 5) == b"\3\0\0\x10\5\0\0\0"


def test_segments_that_lie_are_refused():
    assert refusal(read_segments, segment(b"p", run(b"x"), 6), 9) == "segment does not inflate to its size"
    for plain in (b"\0\0\0\0", b"\1\0", run(b"x") + b"\1\0\0\0", b"\2\0\0\0x", run(b"y" * 301)):
        assert refusal(read_segments, segment(b"p", plain), 9) == "chunk of a bad size in a segment"
