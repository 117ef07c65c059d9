"""Sums of folders: what lstat says of every name, whatever the order, and nothing else."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from toastbox.native import posix, sums
from toastbox.native.scan import FILE, FOLDER, LINK, OTHER
from toastbox.native.sums import folder_sums, name_sum, name_sums, signed

KEY = bytes(range(16))
MASK = (1 << 64) - 1


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4 as its paper has it: the reference."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turn(value: int, by: int) -> int:
        return (value << by | value >> (64 - by)) & MASK

    def mix() -> None:
        for a, b, c, d in ((0, 1, 13, 32), (2, 3, 16, 0), (0, 3, 21, 0), (2, 1, 17, 32)):
            v[a] = (v[a] + v[b]) & MASK
            v[b] = turn(v[b], c) ^ v[a]
            v[a] = turn(v[a], d) if d else v[a]

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        mix()
        mix()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(4):
        mix()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def reference(key: bytes, name: bytes, kind: int, inode: int, size: int, mtime_ns: int, ctime_ns: int) -> int:
    words = (value & MASK for value in (kind, inode, size, mtime_ns, ctime_ns))
    return siphash(key, b"".join(word.to_bytes(8, "little") for word in words) + name)


def test_the_reference_gives_the_paper_s_vector() -> None:
    assert siphash(KEY, bytes(range(15))) == 0xA129CA6149BE45E5


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 100, 255])
def test_a_name_s_hash_is_siphash(size: int) -> None:
    source = random.Random(size)
    key, name = source.randbytes(16), source.randbytes(size)
    values = (source.getrandbits(3), source.getrandbits(63), source.getrandbits(40), -5, source.getrandbits(62))
    assert name_sum(key, name, *values) == reference(key, name, *values)


def expected(path: Path) -> int:
    """The sum of a folder by lstat."""
    total = 0
    for child in path.iterdir():
        found, name = child.lstat(), os.fsencode(child.name)
        ctime_ns = found.st_ctime_ns & ~1
        if child.is_symlink():
            total += reference(KEY, name, LINK, found.st_ino, found.st_size, found.st_mtime_ns, ctime_ns)
        elif child.is_dir():
            total += reference(KEY, name, FOLDER, 0, 0, 0, 0)
        elif child.is_file():
            ctime_ns |= bool(found.st_mode & 0o100)
            total += reference(KEY, name, FILE, found.st_ino, found.st_size, found.st_mtime_ns, ctime_ns)
        else:
            total += reference(KEY, name, OTHER, found.st_ino, 0, 0, 0)
    return signed(total)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    for name in ("", "below", "below/deep", "empty"):
        (tmp_path / name).mkdir(exist_ok=True)
    for number in range(3000):
        (tmp_path / "below" / f"file {number}").write_bytes(bytes(number % 7))
    (tmp_path / "run").touch(0o755)
    (tmp_path / "link").symlink_to("below")
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor, tmp_path
    os.close(descriptor)


def look(tree: tuple[int, Path], paths: list[bytes], skip: bytes = b"") -> list[sums.Sum]:
    return folder_sums(tree[0], os.fstat(tree[0]).st_dev, paths, KEY, skip)


def test_sums_are_what_lstat_says(tree: tuple[int, Path]) -> None:
    paths = [b"", b"below", b"below/deep", b"empty"]
    for path, found in zip(paths, look(tree, paths), strict=True):
        place = tree[1] / os.fsdecode(path)
        assert found == (expected(place), len(list(place.iterdir())), 0, False)


def test_every_change_changes_the_sum(tree: tuple[int, Path]) -> None:
    place = tree[1] / "below"
    seen = {look(tree, [b"below"])[0].total}
    for change in (
        lambda: (place / "file 7").write_bytes(b"other"),
        lambda: (place / "file 8").chmod(0o755),
        lambda: os.utime(place / "file 9", ns=(5, 5)),
        lambda: (place / "file 10").rename(place / "moved"),
        (place / "file 11").unlink,
        (place / "new").mkdir,
        (place / "new").rmdir,
        lambda: (place / "file 11").write_bytes(bytes(11 % 7)),
    ):
        before = look(tree, [b"below"])[0].total
        change()
        after = look(tree, [b"below"])[0].total
        assert after != before and after == expected(place)
        seen.add(after)
    assert len(seen) >= 8


def test_what_is_skipped_is_skipped_at_the_top_only(tree: tuple[int, Path]) -> None:
    top, below = look(tree, [b"", b"below"], b"below")
    assert top.names == len(list(tree[1].iterdir())) - 1
    assert below == look(tree, [b"below"])[0]


def test_a_folder_that_is_none_says_why(tree: tuple[int, Path]) -> None:
    found = look(tree, [b"nowhere", b"run", b"link", b"link/deep", b"empty"])
    assert [os.strerror(each.error) for each in found[:2]] == ["No such file or directory", "Not a directory"]
    assert all(each.error for each in found[2:4]) and not found[4].error


def test_names_on_another_device_count_as_others(tree: tuple[int, Path]) -> None:
    ours = look(tree, [b"empty", b"below/deep", b""])
    theirs = folder_sums(tree[0], 12345, [b"empty", b"below/deep", b""], KEY, b"")
    assert all(each.foreign for each in theirs) and not any(each.foreign for each in ours)
    assert theirs[2].total != ours[2].total


def test_without_openat2_the_answer_is_the_same(tree: tuple[int, Path]) -> None:
    paths = [b"", b"below/deep", b"below", b"nowhere"]
    plain = look(tree, paths, b"run")
    real = sums.lib

    class Older:
        """A kernel without openat2."""

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def tbx_folders_sum(self, out: object, count: int, *_: object) -> None:
            for at in range(count):
                out[at].error = 11  # type: ignore[index]

    with mock.patch.object(sums, "lib", Older()), mock.patch.object(posix, "_NO_OPENAT2", ()):
        assert look(tree, paths, b"run") == plain


def test_many_names_have_the_sums_that_each_has() -> None:
    source = random.Random(1)
    names = [source.randbytes(source.randrange(1, 40)).replace(b"\0", b"x") for _ in range(100)]
    signatures = [(1, *(source.getrandbits(63) for _ in range(2)), *(source.getrandbits(62) for _ in range(2)))] * 50
    signatures += [(128, 0, 0, -1, -(1 << 60))] * 50
    assert name_sums(KEY, names, signatures) == [
        name_sum(KEY, name, *signature) for name, signature in zip(names, signatures, strict=True)
    ]
    assert name_sums(KEY, [], []) == []
