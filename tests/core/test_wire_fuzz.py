"""Messages as hostile as chance makes them: a WireError or a valid thing, never another exception."""

from collections.abc import Callable, Iterator

from entries import chunk_list
from hypothesis import given, settings
from hypothesis import strategies as st

from toastbox.compression import inflate, pack
from toastbox.core import wire
from toastbox.core.bundle import BundleReader, chunk_head, missing_head
from toastbox.core.content import content_id
from toastbox.core.entry import DELETED, EMPTY_CONTENT, EXECUTABLE, FILE, FOLDER, LINK, PAIR, Entry
from toastbox.core.errors import WireError
from toastbox.core.names import why_bad
from toastbox.core.pairing import CodeError, decode_code
from toastbox.core.splice import make_splice
from toastbox.core.sse import EventParser

CHUNKS = chunk_list(65536, 70000, 12)
SEQS = st.integers(0, 2**64 - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)
HASHES = st.binary(min_size=32, max_size=32)
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: "/".join(names).encode())
GOOD_PATHS = PATHS.filter(lambda path: not why_bad(path))


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """An encoded record of any kind."""
    path, seq, device = draw(GOOD_PATHS), draw(SEQS), draw(st.integers(0, 2**32 - 1))
    kind = draw(st.sampled_from([DELETED, FILE, FOLDER, LINK]))
    entry = Entry(path, kind, 0, seq, device=device)
    if kind == LINK:
        entry.content = draw(st.binary(min_size=1, max_size=40).filter(lambda target: b"\0" not in target))
    if kind in (LINK, FILE):
        entry.mtime_ns = draw(TIMES)
    if kind != FILE:
        return wire.encode_entry(entry, wire.default_form(entry))
    entry.flags = draw(st.sampled_from([0, EXECUTABLE, PAIR, EXECUTABLE | PAIR]))
    return draw(st.sampled_from([_one_chunk, _several_chunks]))(draw, entry)


def _one_chunk(draw: st.DrawFn, entry: Entry) -> bytes:
    entry.size = draw(st.integers(0, wire.MAX_CHUNK))
    entry.content = draw(HASHES) if entry.size else EMPTY_CONTENT
    return wire.encode_entry(entry, wire.CONTENT)


def _several_chunks(draw: st.DrawFn, entry: Entry) -> bytes:
    form = draw(st.sampled_from([wire.LIST, wire.SPLICE]))
    entry.chunks = CHUNKS
    entry.size = 65536 + 70000 + 12
    entry.content = content_id(CHUNKS, entry.size)
    return wire.encode_entry(entry, form, draw(SEQS), make_splice(CHUNKS[:36], CHUNKS))


def read_commit(data: bytes) -> None:
    for record in wire.decode_commit(data).records():
        assert_valid(record)


def read_pull(data: bytes) -> None:
    for record in wire.decode_pull(data).records():
        assert_valid(record)


def read_answer(data: bytes) -> None:
    for status, _ in wire.decode_answer(data).results:
        assert wire.COMMITTED <= status <= wire.BAD_SPLICE


READERS = [read_commit, read_pull, read_answer]


def assert_valid(record: wire.Record) -> None:
    """What is decoded can be encoded again, and says the same."""
    entry = record.entry
    assert not why_bad(entry.path)
    assert (entry.kind == FILE) == (len(entry.content) == 32 and record.form != wire.TARGET)
    again = wire.encode_entry(entry, record.form, record.base_seq, record.splice)
    found = wire.decode_entry(again, 0, len(again))[0]
    assert found.entry == entry and found.splice == record.splice


def never_another_exception(read: Callable[[bytes], None], data: bytes) -> None:
    try:
        read(data)
    except WireError:
        return


@given(records())
def test_every_record_comes_back(record: bytes) -> None:
    found, end = wire.decode_entry(record, 0, len(record))
    assert end == len(record)
    assert wire.encode_entry(found.entry, found.form, found.base_seq, found.splice) == record


@given(st.lists(records(), min_size=1, max_size=3), st.data())
def test_flipped_bits_are_refused_or_valid(found: list[bytes], data: st.DataObject) -> None:
    for message, read in (
        (wire.encode_commit(3, 0, found), read_commit),
        (wire.encode_pull(3, 2**64 - 1, 2**64 - 1, found), read_pull),
        (wire.encode_answer(3, 9, [(0, 1)] * len(found)), read_answer),
    ):
        at = data.draw(st.integers(0, 8 * len(message) - 1))
        flipped = bytearray(message)
        flipped[at // 8] ^= 1 << at % 8
        never_another_exception(read, bytes(flipped))


@settings(max_examples=10, deadline=None)  # a thousand messages an example
@given(records())
def test_each_flipped_bit_is_refused_or_valid(record: bytes) -> None:
    message = wire.encode_commit(3, 0, [record])
    for at in range(8 * len(message)):
        flipped = bytearray(message)
        flipped[at // 8] ^= 1 << at % 8
        never_another_exception(read_commit, bytes(flipped))


@given(st.lists(records(), min_size=1, max_size=3))
def test_every_truncation_is_refused(found: list[bytes]) -> None:
    message = wire.encode_commit(3, 0, found)
    for end in range(len(message)):
        try:
            read_commit(message[:end])
        except WireError:
            continue
        raise AssertionError(f"{end} of {len(message)} bytes were read")


@given(st.sampled_from([b"", b"TBJ1", b"TBC1", b"TBA1"]), st.binary(max_size=200))
def test_noise_is_refused_or_valid(magic: bytes, noise: bytes) -> None:
    for read in READERS:
        never_another_exception(read, magic + noise)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    for start, end in zip([0, *ends], ends, strict=False):
        yield data[start:end]


@given(st.lists(st.binary(max_size=60), max_size=5), st.lists(st.integers(0, 10**6), max_size=12))
def test_bundles_come_back_however_they_are_cut(chunks: list[bytes], cuts: list[int]) -> None:
    name = bytes(range(32))
    stream = b"".join(chunk_head(name, len(data)) + data if data else missing_head(name) for data in chunks)
    reader, found = BundleReader(60), []
    for piece in pieces(stream, cuts):
        found += [b"" if data is None else bytes(data) for _, data in reader.feed(piece)]
    reader.close()
    assert found == chunks


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_noise_in_a_bundle_is_refused_or_a_chunk(noise: bytes, cuts: list[int]) -> None:
    def read(data: bytes) -> None:
        reader = BundleReader(100)
        for piece in pieces(data, cuts):
            for digest, chunk in reader.feed(piece):
                assert len(digest) == 32 and (chunk is None or 0 < len(chunk) <= 100)
        reader.close()

    never_another_exception(read, noise)


LINES = st.integers(1, 40).map(lambda count: b"some text that is like other text\n" * count)
CHUNK = st.one_of(LINES, st.binary(min_size=1, max_size=300))


def packed(chunks: list[bytes]) -> bytes:
    return b"".join(part for run in pack((bytes(32), data) for data in chunks) for part in run)


@given(st.lists(CHUNK, max_size=8), st.lists(st.integers(0, 10**6), max_size=12))
def test_packed_bundles_come_back_however_they_are_cut(chunks: list[bytes], cuts: list[int]) -> None:
    reader, found = BundleReader(2000, inflate), []
    for piece in pieces(packed(chunks), cuts):
        found += [bytes(data or b"") for _, data in reader.feed(piece)]
    reader.close()
    assert found == chunks


@given(st.lists(LINES, min_size=1, max_size=8), st.binary(max_size=9), st.integers(0, 10**6), st.integers(0, 9))
def test_spoiled_segments_are_refused_or_chunks(chunks: list[bytes], noise: bytes, at: int, left_out: int) -> None:
    def read(data: bytes) -> None:
        reader = BundleReader(2000, inflate)
        for digest, chunk in reader.feed(data):
            assert len(digest) in (0, 32) and (chunk is None or 0 < len(chunk) <= 2000)
        reader.close()

    stream = packed(chunks)
    at %= len(stream)
    never_another_exception(read, stream[:at] + noise + stream[at + left_out :])


@given(st.binary(max_size=120), st.lists(st.integers(0, 120), max_size=6))
def test_event_streams_read_alike_however_they_are_cut(stream: bytes, cuts: list[int]) -> None:
    stream = stream.replace(b"d", b"\ndata:").replace(b"i", b"\r\nid:").replace(b"\0", b"\r")
    whole, cut = [], []

    def read(data: bytes) -> None:
        whole.extend(EventParser().feed(data))

    def read_cut(data: bytes) -> None:
        parser = EventParser()
        for piece in pieces(data, cuts):
            cut.extend(parser.feed(piece))

    never_another_exception(read, stream)
    never_another_exception(read_cut, stream)
    assert not whole or whole == cut


@given(st.one_of(st.text(max_size=70), st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=47, max_size=47)))
def test_noise_is_no_pairing_code(text: str) -> None:
    try:
        decode_code("TBX1" + text)
    except CodeError:
        return
    raise AssertionError("a code of 16 bits' chance")
