"""Writes tests/vectors/wire1.json, the golden bytes of version 1 of the wire.

Run once, when version 1 was made. The file is not to be written anew when a test fails: the bytes of a
released format stay readable. A new version gets a new file.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "agent"), str(ROOT / "tests/core/both")]

from entries import chunk_list, deleted, digest, file, folder, link  # noqa: E402
from test_wire import described  # noqa: E402

from toastbox.core import wire  # noqa: E402
from toastbox.core.content import content_id  # noqa: E402
from toastbox.core.entry import EXECUTABLE, FILE, PAIR, Entry  # noqa: E402
from toastbox.core.splice import make_splice  # noqa: E402

EPOCH = 0xFEDCBA9876543210
OLD_CHUNKS = chunk_list(65536, 70000, 1, 1048576)
NEW_CHUNKS = OLD_CHUNKS[:36] + chunk_list(9, 8) + OLD_CHUNKS[72:]


def big(path: bytes, chunks: bytes, seq: int) -> Entry:
    size = sum(int.from_bytes(chunks[at : at + 4], "little") for at in range(32, len(chunks), 36))
    return Entry(path, FILE, 0, seq, 1_700_000_000_123_456_789, size, content_id(chunks, size), chunks, 3)


def records() -> dict[str, bytes]:
    renamed = Entry("größe/日本.txt".encode(), FILE, EXECUTABLE | PAIR, 12, -5, 3, digest(b"abc"), b"", 2)
    new = big(b"video.mp4", NEW_CHUNKS, 15)
    return {
        "one chunk": wire.encode_entry(file(b"notes.txt", b"hello", 11, 1_700_000_000_000_000_000), wire.CONTENT),
        "renamed, executable, before 1970": wire.encode_entry(renamed, wire.CONTENT),
        "deleted": wire.encode_entry(deleted(b"old.txt", 13), wire.NONE),
        "chunk list": wire.encode_entry(big(b"video.mp4", OLD_CHUNKS, 14), wire.LIST),
        "splice": wire.encode_entry(new, wire.SPLICE, 14, make_splice(OLD_CHUNKS, NEW_CHUNKS)),
        "list elsewhere": wire.encode_entry(new, wire.ELSEWHERE),
        "empty file": wire.encode_entry(file(b"empty", b"", 16), wire.CONTENT),
        "folder": wire.encode_entry(folder(b"a/b", 17), wire.NONE),
        "link": wire.encode_entry(link(b"latest", b"../a/b", 18), wire.TARGET),
        "longest path": wire.encode_entry(file(b"/".join([b"n" * 255] * 16), b"x", 2**64 - 1), wire.CONTENT),
    }


def message(data: bytes, head: list[int], decoded: wire.Pull | wire.Commit) -> dict[str, object]:
    return {"bytes": data.hex(), "head": head, "records": [described(record) for record in decoded.records()]}


def main() -> None:
    made = records()
    named = [
        {"name": name, "bytes": data.hex(), "record": described(wire.decode_entry(data, 0, len(data))[0])}
        for name, data in made.items()
    ]
    order = ["one chunk", "renamed, executable, before 1970", "deleted", "splice", "empty file", "folder", "link"]
    pull = wire.encode_pull(EPOCH, 18, 40, [made[name] for name in order])
    commit = wire.encode_commit(EPOCH, wire.CONFIRMED_DELETES, [made[name] for name in ("chunk list", "deleted")])
    results = [(status, 0 if status > 1 else 41 + status) for status in range(8)]
    document = {
        "records": named,
        "pulls": [message(pull, [EPOCH, 18, 40], wire.decode_pull(pull))],
        "commits": [message(commit, [EPOCH, 1], wire.decode_commit(commit))],
        "answers": [{"bytes": wire.encode_answer(EPOCH, 42, results).hex(), "head": [EPOCH, 42], "results": results}],
    }
    target = ROOT / "tests/vectors/wire1.json"
    target.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
