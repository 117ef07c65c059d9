"""A file's chunk list is the same whoever hashes which part of it, and however it is read."""

import functools
import hashlib
import random
import threading

import pytest

from toastbox.config import AgentSettings
from toastbox.core.chunker import Chunker as ReferenceChunker
from toastbox.device.cutting import Cutting
from toastbox.device.folder import Folder
from toastbox.device.parts import make_arena, processors, reading_size, take_buffers
from toastbox.device.reading import SHARED_BYTES, Reader
from toastbox.native.chunker import Chunker

SIZES = 64, 512, 2048


def parts_of(count: int, size: int = 2 * SIZES[2]) -> list[memoryview]:
    return [memoryview(bytearray(size)) for _ in range(count)]


def reading(data: bytes, most: int, seed: int = 0):
    """A file that gives from 1 to `most` bytes at a time."""
    at, chance = 0, random.Random(seed)

    def read(view: memoryview) -> int:
        nonlocal at
        piece = data[at : at + min(len(view), chance.randint(1, most))]
        view[: len(piece)] = piece
        at += len(piece)
        return len(piece)

    return read


@functools.cache
def expected(data: bytes) -> bytes:
    chunker, items, start = ReferenceChunker(*SIZES), b"", 0
    while start < len(data):
        used = chunker.scan(data[start:])
        end = len(data) if used < 0 else start + used
        items += hashlib.sha256(data[start:end]).digest() + (end - start).to_bytes(4, "little")
        start = end
    return items


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("most", [9, 700, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 2047, 2048, 2049, 40_000])
def test_list_is_that_of_the_reference(count: int, most: int, size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert Cutting(Chunker(*SIZES), parts_of(count), reading(data, most)).run() == expected(data)


def test_parts_of_the_largest_chunk_are_enough() -> None:
    for data in (bytes(10_000), random.Random(1).randbytes(50_000)):
        cutting = Cutting(Chunker(*SIZES), parts_of(3, SIZES[2]), reading(data, 1 << 20))
        assert cutting.run() == expected(data)


@pytest.mark.parametrize("failing", range(1, 40))
def test_error_of_the_disk_is_raised_whoever_read(failing: int) -> None:
    calls, read = [0], reading(random.Random(2).randbytes(40_000), 900)

    def failing_read(view: memoryview) -> int:
        calls[0] += 1
        if calls[0] == failing:
            raise OSError(5, "bad disk")
        return read(view)

    with pytest.raises(OSError, match="bad disk"):
        Cutting(Chunker(*SIZES), parts_of(2), failing_read).run()
    assert not [thread for thread in threading.enumerate() if thread.name == "toastbox-hash"]


def test_large_file_is_hashed_by_several_threads_and_a_small_one_by_none_beside(tmp_path, monkeypatch) -> None:
    settings = AgentSettings()
    arena = make_arena(settings, 2)
    folder = Folder(str(tmp_path), arena.regions["listings"])
    chosen = []
    real = Cutting.__init__

    def noted(cutting, chunker, parts, read) -> None:
        chosen.append([len(part) for part in parts])
        real(cutting, chunker, parts, read)

    monkeypatch.setattr(Cutting, "__init__", noted)
    buffer = arena.buffer(reading_size(settings, 2))
    for name, size in ((b"large", SHARED_BYTES), (b"small", SHARED_BYTES - 1)):
        (tmp_path / name.decode()).write_bytes(random.Random(3).randbytes(size))
        seen = folder.lstat(name)
        assert Reader(folder, buffer, 2).chunks(seen) == Reader(folder, buffer).chunks(seen)
    folder.close()
    assert chosen == [[1 << 20] * 2, [2 << 20], [2 << 20], [2 << 20]]


@pytest.mark.parametrize(
    ("hashers", "arena", "halves"), [(1, "8MiB", 2), (2, "8MiB", 4), (4, "5MiB", 1), (16, "8MiB", 7)]
)
def test_buffer_has_a_large_part_for_each_processor_as_far_as_the_arena_has_room(
    hashers: int, arena: str, halves: int
) -> None:
    settings = AgentSettings(arena=int(arena[0]) << 20)
    assert reading_size(settings, hashers) == halves * (512 << 10)
    assert len(take_buffers(make_arena(settings, processors()), settings)) == 4
