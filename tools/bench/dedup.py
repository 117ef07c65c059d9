"""What chunking saves on real data: `python -m tools.bench.dedup` prints one table for each kind of it.

Versions of each data set come one after the other, and a chunk counts when no version before had it. Ours stands beside
FastCDC (`pyfastcdc`), fixed blocks and whole files, with the sizes used and with others, and with one threshold in
place of two. `sent`: share of the bytes of all versions but the first that would go over the wire. `packed`: the same,
deflated in runs of 256 KiB as on the wire, and 40 bytes a chunk for list and index. Mean: of all chunks but the last of
a file.

Data: source archives from the package index, as unpacked trees and as tars; from their text also an SQLite file, a
mailbox, and a log, each of which grows from version to version.
"""

import hashlib
import io
import random
import sqlite3
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from pyfastcdc import FastCDC

from toastbox.native.chunker import Chunker
from tools.bench.releases import unpacked
from tools.bench.workload import SEED

KIB = 1 << 10
RECORD_BYTES = 40  # a chunk in a list and in an index
TREES = {
    "Django 5.0.3 to 5.0.6": ("Django==5.0.3", "Django==5.0.4", "Django==5.0.5", "Django==5.0.6"),
    "SymPy 1.11.1 to 1.12.1": ("sympy==1.11.1", "sympy==1.12", "sympy==1.12.1"),
}
Files = dict[str, bytes]
Cut = Callable[[bytes], list[int]]


# --- ways to cut: the ends of all chunks


def whole(data: bytes) -> list[int]:
    return [len(data)] if data else []


def fixed(size: int) -> Cut:
    return lambda data: [*range(size, len(data), size), *whole(data)]


def ours(low: int, average: int, high: int) -> Cut:
    chunker = Chunker(low, average, high)
    return lambda data: _closed(data, _cuts(chunker, data))


def thresholds(low: int, high: int, strict_every: float, loose_every: float, average: int) -> Cut:
    """The rule with other thresholds: once in so many bytes below `average`, and from it on."""
    chunker = Chunker(low, average, high)
    chunker._state.strict = int(2**40 / strict_every)
    chunker._state.loose = min(int(2**40 / loose_every), 2**32 - 1)
    return lambda data: _closed(data, _cuts(chunker, data))


def fastcdc(low: int, average: int, high: int, normalized: int = 1) -> Cut:
    chunker = FastCDC(average, min_size=low, max_size=high, normalized_chunking=normalized)  # type: ignore[arg-type]
    return lambda data: [chunk.offset + chunk.length for chunk in chunker.cut_buf(data)]


def _cuts(chunker: Chunker, data: bytes) -> list[int]:
    chunker.reset()
    return chunker.cuts(data)


def _closed(data: bytes, ends: list[int]) -> list[int]:
    return ends if not data or (ends and ends[-1] == len(data)) else [*ends, len(data)]


WAYS: dict[str, Cut] = {
    "whole files": whole,
    "fixed 64K": fixed(64 * KIB),
    "FastCDC 16/64/256": fastcdc(16 * KIB, 64 * KIB, 256 * KIB),
    "FastCDC 16/64/256, normalized 2": fastcdc(16 * KIB, 64 * KIB, 256 * KIB, 2),
    "one threshold, 32K + 32K, max 512K": thresholds(32 * KIB, 512 * KIB, 32 * KIB, 32 * KIB, 64 * KIB),
    "one threshold, 16K + 48K, max 512K": thresholds(16 * KIB, 512 * KIB, 48 * KIB, 48 * KIB, 64 * KIB),
    "ours 16/64/256": ours(16 * KIB, 64 * KIB, 256 * KIB),
    "ours 8/64/256": ours(8 * KIB, 64 * KIB, 256 * KIB),
    "ours 8/32/128": ours(8 * KIB, 32 * KIB, 128 * KIB),
    "FastCDC 8/32/128": fastcdc(8 * KIB, 32 * KIB, 128 * KIB),
    "one threshold, 16K + 16K, max 256K": thresholds(16 * KIB, 256 * KIB, 16 * KIB, 16 * KIB, 32 * KIB),
    "ours 4/16/64": ours(4 * KIB, 16 * KIB, 64 * KIB),
    "one threshold, 8K + 8K, max 128K": thresholds(8 * KIB, 128 * KIB, 8 * KIB, 8 * KIB, 16 * KIB),
    "ours 2/8/64": ours(2 * KIB, 8 * KIB, 64 * KIB),
}


# --- data


def tree(root: Path) -> Files:
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def tarred(files: Files, seconds: int) -> Files:
    """One tar of the tree; members get a time that differs from version to version, as real ones do."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), seconds
            archive.addfile(member, io.BytesIO(data))
    return {"tree.tar": buffer.getvalue()}


def paragraphs(files: Files) -> list[str]:
    """Real text in real order."""
    text = [data.decode(errors="ignore") for name, data in files.items() if name.endswith((".txt", ".rst", ".py"))]
    return [part for part in "\n\n".join(text).split("\n\n") if len(part) > 80]


def mailbox(parts: list[str], versions: int) -> Iterator[Files]:
    """Messages are appended; between versions some old ones are removed, as when a folder is tidied up."""
    source = random.Random(SEED)
    messages = []
    for number, part in enumerate(parts):
        name = source.randrange(10**15)
        head = f"From sender{number % 40}@example.org\nMessage-ID: <{name}@example.org>\nSubject: {part[:40]!r}"
        messages.append(f"{head}\n\n{part}\n\n")
    kept, step = messages[: len(messages) // 2], len(messages) // (2 * versions)
    for version in range(versions):
        at = len(messages) // 2 + version * step
        kept += messages[at : at + step]
        for _ in range(10):
            del kept[source.randrange(len(kept))]
        yield {"mail.mbox": "".join(kept).encode()}


def log(parts: list[str], versions: int) -> Iterator[Files]:
    """Lines are appended; once the head is cut off."""
    source = random.Random(SEED + 1)
    lines = []
    for number, part in enumerate(parts):
        second, process = 10**9 + number * 37 + source.randrange(30), source.randrange(5000)
        lines.append(f"{second} host service[{process}]: {' '.join(part.split())[:160]}\n")
    for version in range(versions):
        start = 0 if version < versions - 2 else len(lines) // 5
        yield {"service.log": "".join(lines[start : len(lines) * (versions + version) // (2 * versions)]).encode()}


def database(parts: list[str], versions: int, place: Path) -> Iterator[Files]:
    """Rows are added, some are changed, some removed; an index in random order."""
    source = random.Random(SEED + 2)
    path = place / "data.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, token INTEGER, body TEXT)")
    connection.execute("CREATE INDEX note_token ON note (token)")
    for version in range(versions):
        low, high = (
            len(parts) * (versions + version + k) // (2 * versions) if version else k * len(parts) // 2 for k in (0, 1)
        )
        rows = [(source.randrange(2**40), part) for part in parts[low:high]]
        connection.executemany("INSERT INTO note (token, body) VALUES (?, ?)", rows)
        for _ in range(50):
            connection.execute("UPDATE note SET body = body || ' (edited)' WHERE id = ?", (source.randrange(high),))
            connection.execute("DELETE FROM note WHERE id = ?", (source.randrange(high),))
        connection.commit()
        yield {"data.db": path.read_bytes()}
    connection.close()


# --- the figures


def measure(versions: list[Files], cut: Cut) -> tuple[float, float, float, int]:
    """(mean KiB, share sent, share packed, chunks of the last version)."""
    known: set[bytes] = set()
    sizes: list[int] = []
    sent = packed = given = last = 0
    for number, files in enumerate(versions):
        new: list[bytes] = []
        last = 0
        for data in files.values():
            ends = cut(data)
            last += len(ends)
            sizes += [end - start for start, end in pairwise([0, *ends[:-1]])]
            for start, end in pairwise([0, *ends]):
                name = hashlib.sha256(memoryview(data)[start:end]).digest()
                if name not in known:
                    known.add(name)
                    new.append(data[start:end])
        if number:
            given += sum(map(len, files.values()))
            sent += sum(map(len, new))
            packed += _deflated(new) + RECORD_BYTES * len(new)
    return sum(sizes) / max(1, len(sizes)) / KIB, sent / given, packed / given, last


def _deflated(chunks: list[bytes]) -> int:
    data = b"".join(chunks)
    return sum(len(zlib.compress(data[at : at + 256 * KIB], 6)) for at in range(0, len(data), 256 * KIB))


def data_sets(place: Path) -> Iterator[tuple[str, list[Files]]]:
    text: list[str] = []
    for name, releases in TREES.items():
        trees = [tree(unpacked(release, place)) for release in releases]
        trees = [{path.partition("/")[2]: data for path, data in files.items()} for files in trees]
        text += paragraphs(trees[0])
        yield f"{name}, trees", trees
        yield f"{name}, tars", [tarred(files, 1_700_000_000 + 10**6 * n) for n, files in enumerate(trees)]
    yield "mailbox", list(mailbox(text, 6))
    yield "log", list(log(text, 6))
    yield "SQLite", list(database(text, 6, place))


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        for title, versions in data_sets(Path(name)):
            total = sum(sum(map(len, files.values())) for files in versions[1:])
            print(f"\n{title}: {len(versions)} versions, {total / 1e6:.0f} MB after the first")
            print(f"{'':36}{'mean KiB':>10}{'sent':>9}{'packed':>9}{'chunks':>9}")
            for way, cut in WAYS.items():
                mean, sent, packed, chunks = measure(versions, cut)
                print(f"{way:36}{mean:10.1f}{sent:9.2%}{packed:9.2%}{chunks:9}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
