"""Small files: read many at a time into a window, each one whole and unchanged or not at all."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from toastbox.core import wire
from toastbox.core.content import content_id, items, list_of
from toastbox.core.entry import EMPTY_CONTENT, FILE, Entry
from toastbox.device import folder as folder_module
from toastbox.device.folder import Folder
from toastbox.device.send import BATCH_ENTRIES, CHUNK_MAX, SMALL, FileChanged, Proposal, Sender
from toastbox.native import scan

WINDOW = 2 * CHUNK_MAX


class Hub:
    """A lane that keeps all it is given: chunks by their hash as they were announced, and committed entries."""

    def __init__(self) -> None:
        self.chunks: dict[bytes, bytes] = {}
        self.entries: dict[bytes, Entry] = {}
        self.commits: list[int] = []

    def missing(self, hashes: bytes) -> bytes:
        return b"\xff" * ((len(hashes) // 32 + 7) // 8)

    def upload(self, parts: Sequence[Any], total: int) -> int:
        for head, data in zip(parts[::2], parts[1::2], strict=True):
            self.chunks[bytes(head[4:])] = bytes(data)
        return len(parts) // 2

    def commit(self, body: bytes) -> bytes:
        entries = [record.entry for record in wire.decode_commit(bytes(body)).records()]
        self.entries |= {entry.path: entry for entry in entries}
        self.commits.append(len(entries))
        return wire.encode_answer(1, 1, [(wire.COMMITTED, 1) for _ in entries])

    def rest(self) -> None:
        pass


class Run:
    """A sender on a folder."""

    def __init__(self, root: Path, background: ThreadPoolExecutor) -> None:
        arena: Any = None
        self.root = root
        self.folder = Folder(str(root), arena)
        self.hub = Hub()
        lanes: list[Any] = [self.hub]
        buffers = [memoryview(bytearray(WINDOW)) for _ in range(2)]
        self.sender = Sender(self.folder, lanes, buffers, background, lambda done: None)
        self.failures: dict[bytes, Exception] = {}

    def write(self, contents: dict[str, bytes]) -> list[Proposal]:
        """Files, and proposals of them as they look then."""
        for name, content in contents.items():
            (self.root / name).write_bytes(content)
        paths = [os.fsencode(name) for name in contents]
        return [Proposal(Entry(path, FILE), self.folder.lstat(path)) for path in paths]

    def send(self, proposals: list[Proposal], wanted: Callable[[Proposal], bool] = lambda proposal: True) -> None:
        def failed(proposal: Proposal, error: Exception) -> None:
            self.failures[proposal.entry.path] = error

        self.sender.add_small(proposals, wanted, failed)
        self.sender.finish()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with ThreadPoolExecutor(1) as background:
        found = Run(tmp_path, background)
        yield found
        found.folder.close()


def content_of(number: int, size: int) -> bytes:
    return (b"%d " % number * size)[:size]


def check(run: Run, contents: dict[str, bytes]) -> None:
    """All that was committed is what the files hold, and the hub has the chunks."""
    assert {os.fsdecode(path) for path in run.hub.entries} == set(contents)
    for name, content in contents.items():
        entry = run.hub.entries[os.fsencode(name)]
        chunks = entry.chunks or list_of(entry)
        assert (entry.size, entry.content) == (len(content), content_id(chunks, len(content)))
        assert b"".join(run.hub.chunks[digest] for digest, _ in items(chunks)) == content
        assert all(hashlib.sha256(run.hub.chunks[digest]).digest() == digest for digest, _ in items(chunks))


def test_more_small_files_than_windows_hold_all_arrive(run: Run) -> None:
    contents = {f"{n:04}": random.Random(n).randbytes(n * 997 % (SMALL + 1)) for n in range(200)}
    run.send(run.write(contents))
    check(run, contents)
    assert sum(map(len, contents.values())) > 2 * WINDOW and run.failures == {}
    assert {bool(entry.chunks) for entry in run.hub.entries.values()} == {False, True}


def test_files_are_cut_as_if_each_were_read_by_itself(run: Run) -> None:
    contents = {f"{n:04}": random.Random(n).randbytes(n * 1997 % (SMALL + 1)) for n in range(100)}
    proposals = run.write(contents)
    run.send(proposals)
    together = {path: (entry.content, entry.chunks) for path, entry in run.hub.entries.items()}
    for proposal in proposals:
        run.sender.add_file(proposal, lambda each: True)
    run.sender.finish()
    assert together == {path: (entry.content, entry.chunks) for path, entry in run.hub.entries.items()}


def test_commits_hold_no_more_entries_than_they_may(run: Run) -> None:
    contents = {f"{n:04}": b"%d" % n for n in range(BATCH_ENTRIES + 88)}
    run.send(run.write(contents))
    check(run, contents)
    assert run.hub.commits == [BATCH_ENTRIES, 88]


def test_what_is_not_wanted_is_not_sent_and_takes_no_lasting_room(run: Run) -> None:
    contents = {f"{n:04}": content_of(n, 5000) for n in range(1000)}
    run.send(run.write(contents), lambda proposal: proposal.entry.path in (b"0500", b"0999"))
    check(run, {name: contents[name] for name in ("0500", "0999")})
    assert len(run.hub.chunks) == 2 and run.hub.commits == [2]


def test_what_changed_meanwhile_is_told_of_and_the_others_are_sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {name: content_of(n, 3000) for n, name in enumerate("abcdefg")}
    proposals = run.write(contents)
    (run.root / "b").unlink()
    (run.root / "c").unlink()
    (run.root / "c").symlink_to("a")
    (run.root / "d").write_bytes(bytes(SMALL + 1))  # no more a small one
    (run.root / "e").unlink()
    (run.root / "e").mkdir()

    def take_files(*arguments: Any) -> list[scan.Taken]:
        return [t._replace(seen=None) if t.seen and t.seen.name == b"f" else t for t in scan.take_files(*arguments)]

    monkeypatch.setattr(folder_module, "take_files", take_files)
    run.send(proposals)
    check(run, {name: contents[name] for name in "ag"})
    assert {path: type(error) for path, error in run.failures.items()} == {
        b"b": FileNotFoundError,
        b"c": OSError,
        b"d": FileChanged,
        b"e": FileChanged,
        b"f": FileChanged,
    }


def test_chunk_of_the_version_before_is_not_sent_again(run: Run) -> None:
    (touched,) = run.write({"x": b"content"})
    digest = hashlib.sha256(b"content").digest()
    touched.base_chunks = digest + (7).to_bytes(4, "little")
    run.send([touched])
    assert run.hub.chunks == {} and run.hub.entries[b"x"].content == digest


def test_empty_file_has_no_chunk(run: Run) -> None:
    run.send(run.write({"x": b""}))
    assert run.hub.chunks == {} and run.hub.entries[b"x"].content == EMPTY_CONTENT
