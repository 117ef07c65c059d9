"""Native and reference chunker: golden cuts, any split, edges, and the sizes that the rule promises."""

import hashlib
import random
from itertools import pairwise
from typing import Any

import pytest
from chunker_inputs import take
from hypothesis import given, settings
from hypothesis import strategies as st

from toastbox.core.chunker import Chunker as Reference
from toastbox.native.chunker import Chunker as Native

FORMS = pytest.mark.parametrize("form", [Native, Reference])
SMALL = (64, 512, 2048)


def feed(chunker: Any, pieces: list[bytes]) -> list[int]:
    """Cut offsets in the whole, from a stream of pieces, by scan."""
    ends, base = [], 0
    for piece in pieces:
        view, at = memoryview(piece), 0
        while (used := chunker.scan(view[at:])) >= 0:
            at += used
            ends.append(base + at)
        base += len(piece)
    return ends


@FORMS
def test_golden_cuts(form: Any, vectors: list[dict[str, Any]]) -> None:
    for case in vectors:
        data = take(case["kind"], case["seed"], case["period"], case["size"])
        assert hashlib.sha256(data).hexdigest() == case["sha256"], case["name"]
        assert form(*case["sizes"]).cuts(data) == case["cuts"], case["name"]


def test_vectors_cover_the_extremes(vectors: list[dict[str, Any]]) -> None:
    cuts = {case["name"]: case["cuts"] for case in vectors}
    assert cuts["zeros 2047"] == [] and cuts["zeros 2048"] == [2048]
    assert cuts["always cuts 63"] == [] and cuts["always cuts 64"] == [64]
    assert cuts["cuts at avg 511"] == [] and cuts["cuts at avg 512"] == [512]
    assert Native(*SMALL).cuts(ALWAYS * 2) == [64, 128]
    assert cuts["always cuts, default"] == list(range(16384, 100000, 16384))
    assert cuts["zeros, default"] == [262144, 524288]


@FORMS
def test_every_split_in_two_gives_same_cuts(form: Any) -> None:
    data = take("random", 11, 0, 2500) + bytes(2600)
    expected = form(*SMALL).cuts(data)
    assert len(expected) == 3
    for at in range(len(data) + 1):
        assert feed(form(*SMALL), [data[:at], data[at:]]) == expected, at


@FORMS
@pytest.mark.parametrize("sizes", [SMALL, (32, 512, 512), (100, 1024, 5000), (512, 512, 512)])
def test_byte_by_byte_gives_same_cuts(form: Any, sizes: tuple[int, int, int]) -> None:
    data = take("text", 12, 0, 9000)
    pieces = [data[at : at + 1] for at in range(len(data))]
    assert feed(form(*sizes), pieces) == Native(*sizes).cuts(data)


@FORMS
def test_reset_forgets_the_open_chunk(form: Any) -> None:
    data = take("random", 13, 0, 5000)
    chunker = form(*SMALL)
    expected = chunker.cuts(data)
    chunker.reset()
    assert chunker.cuts(data) == expected


@FORMS
def test_all_kinds_of_buffers_are_read(form: Any) -> None:
    data = take("random", 14, 0, 5000)
    expected = form(*SMALL).cuts(data)
    for view in (bytearray(data), memoryview(data), memoryview(b"x" + data)[1:]):
        assert form(*SMALL).cuts(view) == expected


@FORMS
@pytest.mark.parametrize(
    "sizes",
    [(31, 512, 2048), (64, 500, 2048), (64, 256, 2048), (64, 512, 511), (600, 512, 2048), (-1, 512, 2048)]
    + [(64, 1 << 25, 1 << 26), (64, 512, (1 << 30) + 1), (64, 512, 1 << 40)],
)
def test_sizes_out_of_range_are_refused(form: Any, sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"size|avg"):
        form(*sizes)


# Makes candidates likely, so that stage two decides often: runs, and 32 bytes whose repetition always cuts.
ALWAYS = take("repeat", 587, 32, 64)
parts = st.one_of(st.binary(max_size=300), st.sampled_from([bytes(700), b"\xff" * 90, ALWAYS, ALWAYS[:31], ALWAYS[1:]]))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(parts, max_size=12),
    st.lists(st.integers(0, 4000), max_size=6),
    st.sampled_from([SMALL, (32, 512, 512), (33, 1024, 1500)]),
)
def test_native_reference_and_any_split_agree(
    data_parts: list[bytes], splits: list[int], sizes: tuple[int, int, int]
) -> None:
    data = b"".join(data_parts)
    expected = Reference(*sizes).cuts(data)
    bounds = [0, *sorted(min(split, len(data)) for split in splits), len(data)]
    pieces = [data[start:end] for start, end in pairwise(bounds)]
    assert Native(*sizes).cuts(data) == expected
    assert feed(Native(*sizes), pieces) == expected
    assert feed(Reference(*sizes), pieces) == expected


def chunks(data: bytes | bytearray) -> dict[bytes, int]:
    """Hash and size of every chunk."""
    view = memoryview(data)
    bounds = [0, *Native().cuts(view), len(view)]
    return {hashlib.sha256(view[a:b]).digest(): b - a for a, b in pairwise(bounds)}


def changed_bytes(before: dict[bytes, int], after: dict[bytes, int]) -> int:
    return sum(size for name, size in after.items() if name not in before)


def test_sizes_and_cost_of_edits_are_as_promised() -> None:
    """cnative/CHUNKER.md, "Why so", on 64 MiB: the bars of 256 MiB and 100 overwrites, scaled."""
    source = random.Random(2026)
    data = bytearray(source.randbytes(64 << 20))
    before = chunks(data)
    sizes = list(before.values())
    mean = sum(sizes) / len(sizes) / 1024
    biased = sum(size * size for size in sizes) / sum(sizes) / 1024
    inserted = changed_bytes(before, chunks(data[:1000] + b"x" + data[1000:]))
    for _ in range(25):
        at = source.randrange(len(data) - 4096)
        data[at : at + 4096] = source.randbytes(4096)
    overwritten = changed_bytes(before, chunks(data))
    print(f"mean {mean:.1f} KiB, size-biased {biased:.1f} KiB, insert {inserted}, overwrites {overwritten}")
    assert 60 < mean < 68
    assert biased < 80
    assert inserted < 350_000
    assert overwritten < 11_000_000 / 4
