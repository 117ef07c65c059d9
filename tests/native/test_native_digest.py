"""Chunk lists by libcrypto are those by hashlib, wherever the chunks end."""

import hashlib
import random
from pathlib import Path

import pytest

from toastbox.core.content import chunk_item
from toastbox.native import digest
from toastbox.native.digest import chunk_list, hashed_one_by_one, open_digesters

DATA = memoryview(random.Random(7).randbytes(300_000))


def expected(ends: list[int]) -> bytes:
    starts = [0, *ends]
    spans = zip(starts, ends, strict=False)
    return b"".join(chunk_item(hashlib.sha256(DATA[start:end]).digest(), end - start) for start, end in spans)


@pytest.mark.parametrize("ends", [[], [1], [300_000], [63, 64, 65, 128, 16_384], list(range(1, 300_000, 999))])
def test_a_chunk_list_has_hash_and_length_of_each(ends: list[int]) -> None:
    assert chunk_list(DATA, ends) == expected(ends)


def test_python_without_a_libcrypto_of_the_systems_hashes_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_digesters", [])
    assert chunk_list(DATA, [5, 70_000]) == expected([5, 70_000]) == hashed_one_by_one(DATA, [5, 70_000])


def test_a_library_that_is_not_loaded_or_another_is_not_used() -> None:
    assert open_digesters([b"libnothing.so.0", b"libc.so.6"]) == []


def test_the_libcrypto_that_hashlib_has_loaded_is_used() -> None:
    mapped = Path("/proc/self/maps").read_text()
    assert bool(open_digesters([b"libcrypto.so.3", b"libcrypto.so.1.1"])) == ("/libcrypto.so" in mapped)
