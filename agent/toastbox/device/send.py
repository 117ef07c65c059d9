"""From changed files to the hub: read, cut, hash, upload what is missing, commit.

A *window* is a buffer of the arena. Files are read into it, cut and hashed there, and it leaves for the hub
when it is full: which chunks are missing, those chunks, then the commit of every complete file. Windows take turns:
while one is filled, the others are on the wire, each on a connection of its own (a *lane*), so that nothing waits for
the hub's answer. They are done with in the order in which they left: a window commits after the one before it. Each
commit is a flush of the hub's disk, so a window that has few entries leaves them to the next, if that has left already.

    this thread   fill 1 | fill 2 ......... | fill 3 ......... | fill 1 .........
    lane 1               | missing, chunks 1 |                 | missing, chunks 3 ...
    lane 2                                  | missing, chunks 2, commit 1 and 2 |

A file larger than the window passes through it piece by piece; what was uploaded stays on the hub, so an interrupted
upload goes on where it stopped. Of a large one the hub is told where the chunks belong that have left, if most were
new: other devices may fetch them already (core/ahead.py).

Asking what is missing costs a request for each window. While several in a row were all new, the next is sent without;
the hub's answer says whether they were, so that at most one window in six is sent for nothing.

A file that changes while it is read is not committed: no version is ever a mixture.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import accumulate
from typing import Protocol, TypeVar

from toastbox.core import wire
from toastbox.core.ahead import MAX_ITEMS, Run, encode_run, token_of
from toastbox.core.bundle import chunk_head
from toastbox.core.content import ITEM_SIZE, content_id, items
from toastbox.core.entry import FILE, Entry
from toastbox.core.errors import WireError
from toastbox.core.splice import make_splice
from toastbox.device.folder import Folder
from toastbox.device.interfaces import Remote
from toastbox.device.places import Places
from toastbox.device.row import Row
from toastbox.device.seen import Seen
from toastbox.errors import HostilePeer, HubRefused, HubUnreachable
from toastbox.native.chunker import Chunker
from toastbox.native.digest import chunk_list

T = TypeVar("T")

BATCH_ENTRIES = 512  # of a window; a commit has less than that besides, of windows before it
BATCH_LISTS = 4 << 20  # bytes of chunk lists in one commit
BATCH_PATHS = 128 << 10  # bytes of paths in one commit: few are long, but there may be folders a thousand deep
UNASKED_BYTES = 64 << 10  # so little is sent without asking first what is missing: one round trip less
ALL_NEW = 5  # windows in a row, after which the next is not asked for either
AHEAD_BYTES = 16 << 20  # size from which a file's chunks are told of before it is committed
RUN_BYTES = 4 << 20  # told of at a time, or more
CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX = 16 << 10, 64 << 10, 256 << 10
SMALL = CHUNK_AVERAGE  # files up to it are read many at a time


class FileChanged(Exception):
    """The file changed while it was read; it is to be looked at again."""


class Proposal:
    """A change on its way into the journal.

    entry: what is proposed; its seq is the revision it replaces. seen: how the file looked when it was read.
    row: what the index has at the path. base_chunks: chunk list of the replaced revision, for a splice.
    """

    __slots__ = ("base_chunks", "entry", "row", "seen", "seq", "status")

    def __init__(self, entry: Entry, seen: Seen | None, row: Row | None = None, base_chunks: bytes = b"") -> None:
        self.entry = entry
        self.seen = seen
        self.row = row
        self.base_chunks = base_chunks
        self.status = -1
        self.seq = 0

    def encode(self) -> bytes:
        """The record: a splice against the replaced revision where that is shorter than the list."""
        entry = self.entry
        if entry.kind == FILE and entry.chunks and self.base_chunks and entry.seq:
            splice = make_splice(self.base_chunks, entry.chunks)
            if len(splice) < len(entry.chunks):
                return wire.encode_entry(entry, wire.SPLICE, entry.seq, splice)
        return wire.encode_entry(entry, wire.default_form(entry))


Wanted = Callable[[Proposal], bool]
Failed = Callable[[Proposal, Exception], None]


class Background(Protocol):
    """Begins calls in order, beside the caller (an executor with a thread for each lane) or at once (tests)."""

    def submit(self, function: Callable[[], T]) -> "Future[T]": ...


class Window:
    """Chunks in a buffer, and the proposals that are complete with them."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.used = 0
        self.listed = self.named = 0
        self.parts: list[tuple[bytes, int, int]] = []
        self.proposals: list[Proposal] = []
        self.run: Run | None = None
        self.sent: Future[list[Proposal]] | None = None  # those it leaves to the next one

    def clear(self) -> None:
        self.used = self.listed = self.named = 0
        self.parts.clear()
        self.proposals.clear()
        self.run = None

    def propose(self, proposal: Proposal) -> None:
        self.proposals.append(proposal)
        self.listed += len(proposal.entry.chunks)
        self.named += len(proposal.entry.path)

    @property
    def room(self) -> int:
        return len(self.buffer) - self.used


class Sender:
    """Sends proposals in windows. done(proposals): called in the caller's thread with statuses and seqs set.

    buffers: two (or more) writable buffers, each at least twice the largest chunk. lanes: the hub, once for each
    window that may be on the wire: one less than buffers, and as many as the background runs at once, or fewer.
    """

    def __init__(
        self,
        folder: Folder,
        lanes: Sequence[Remote],
        buffers: list[memoryview],
        background: Background,
        done: Callable[[list[Proposal]], None],
    ) -> None:
        self._folder = folder
        self._lanes = lanes
        self._turn_of = 0  # the lane that was taken last
        self._background = background
        self._done = done
        self._windows = [Window(buffer) for buffer in buffers]
        self._chunker = Chunker(CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX)
        self._known = Places(b"")  # chunks of the replaced revision: the hub has them
        self._token = b""  # of the file in hand, if others are told of it before it is whole
        self._told = 0, 0  # bytes of its list, and of itself, that others are told of
        self._all_new = 0  # windows in a row of which the hub had nothing
        self._left = 0  # windows so far
        self._answered: deque[list[Proposal]] = deque()
        self.epoch = 0
        self.flags = 0

    @property
    def _window(self) -> Window:
        return self._windows[0]

    def add(self, proposal: Proposal) -> None:
        """Propose a change that needs no content (folder, link, deletion, rename)."""
        self._window.propose(proposal)
        self._turn_when_full()

    def _turn_when_full(self) -> None:
        window = self._window
        if len(window.proposals) >= BATCH_ENTRIES or window.listed >= BATCH_LISTS or window.named >= BATCH_PATHS:
            self._turn()

    def add_file(self, proposal: Proposal, wanted: Wanted) -> None:
        """Read a file, fill in its content and propose it if it is wanted then. Raises FileChanged, OSError."""
        window, kept = self._window, len(self._window.parts)
        descriptor = self._folder.open(proposal.entry.path)
        propose = False
        try:
            self._read_whole(descriptor, proposal)
            propose = wanted(proposal)
        finally:
            self._folder.close_file(descriptor)
            if not propose and window is self._window:
                del window.parts[kept:]
        if propose:
            self.add(proposal)

    def add_small(self, proposals: list[Proposal], wanted: Wanted, failed: Failed) -> None:
        """The same for files of one folder that were all seen, of at most SMALL bytes then. failed(proposal, error):
        of those that cannot be read.
        """
        done = 0
        while done < len(proposals):
            done += self._take_some(proposals[done:], wanted, failed)
            self._turn_when_full()

    def _take_some(self, proposals: list[Proposal], wanted: Wanted, failed: Failed) -> int:
        """As many as fit in the window, by one call; how many that were."""
        if self._window.room < SMALL:
            self._turn()
        window = self._window
        few = proposals[: BATCH_ENTRIES - len(window.proposals)]
        looked = [each.seen for each in few if each.seen is not None]
        start, data = window.used, window.buffer[window.used :]
        found = self._folder.take_files(looked, data, SMALL)
        lists = self._lists_of(data, [size for size, _, _ in found])
        for proposal, (size, seen, error), chunks in zip(few, found, lists, strict=False):
            if error:
                failed(proposal, OSError(error, os.strerror(error)))
            elif seen is None or seen.kind != FILE or seen.size != size:
                failed(proposal, FileChanged())
            else:
                self._take_one(window, start, proposal, seen, chunks, wanted)
            start += size
        return len(found)

    def _lists_of(self, data: memoryview, sizes: list[int]) -> list[bytes]:
        """The chunk list of each of some files that lie one behind the other."""
        ends: list[int] = []
        counts, at = [], 0
        for size in sizes:
            before = len(ends)
            if size >= CHUNK_MIN:
                self._chunker.reset()
                ends += [at + end for end in self._chunker.cuts(data[at : at + size])]
            at += size
            if size and (not ends or ends[-1] < at):
                ends.append(at)
            counts.append(ITEM_SIZE * (len(ends) - before))
        chunks = chunk_list(data[:at], ends)
        return [chunks[end - count : end] for count, end in zip(counts, accumulate(counts), strict=True)]

    def _take_one(
        self, window: Window, start: int, proposal: Proposal, seen: Seen, chunks: bytes, wanted: Wanted
    ) -> None:
        """A file that is in the window from start on; the next one may take its place if it is not wanted."""
        self._fill_in(proposal, seen, chunks)
        if not wanted(proposal):
            return
        window.used = end = start + seen.size
        if len(chunks) == ITEM_SIZE and not proposal.base_chunks:
            window.parts.append((proposal.entry.content, start, end))
        else:
            self._take_chunks(window, start, chunks, Places(proposal.base_chunks))
        window.propose(proposal)

    def _take_chunks(self, window: Window, start: int, chunks: bytes, known: Places) -> None:
        for digest, size in items(chunks):
            if known.find(digest) is None:
                window.parts.append((digest, start, start + size))
            start += size

    def _read_whole(self, descriptor: int, proposal: Proposal) -> None:
        before = self._folder.fstat(descriptor, proposal.entry.path)
        if before.kind != FILE or self._is_younger(before, proposal.seen):
            raise FileChanged
        self._known = Places(proposal.base_chunks)
        large = before.size >= AHEAD_BYTES
        self._token = token_of(before.path, before.size, before.mtime_ns) if large else b""
        self._told = 0, 0
        chunks = self._read(descriptor, before.size)
        after = self._folder.fstat(descriptor, proposal.entry.path)
        size = sum(int.from_bytes(chunks[at : at + 4], "little") for at in range(32, len(chunks), 36))
        if after.signature != before.signature or size != before.size:
            raise FileChanged
        self._fill_in(proposal, after, chunks)

    def _is_younger(self, found: Seen, waited_for: Seen | None) -> bool:
        """Whether a file of several pieces is another than the one whose time was let pass before it is read: two more
        edits within one tick of the clock would look like none, and what is read be a mixture.
        """
        return found.size > 2 * CHUNK_MAX and waited_for is not None and found.signature != waited_for.signature

    def _fill_in(self, proposal: Proposal, after: Seen, chunks: bytes) -> None:
        entry = proposal.entry
        entry.flags = after.flags
        entry.size, entry.mtime_ns = after.size, after.mtime_ns
        entry.content = content_id(chunks, after.size)
        entry.chunks = chunks if len(chunks) > 36 else b""
        proposal.seen = after

    def _read(self, descriptor: int, size: int) -> bytes:
        """Pass a file through the windows; its chunk list."""
        chunks = bytearray()
        self._chunker.reset()
        if self._window.room < min(size, 2 * CHUNK_MAX):
            self._turn()
        window = self._window
        start = scanned = window.used
        left = size
        while True:
            if scanned == len(window.buffer):
                self._tell(window, chunks)
                start, scanned = 0, self._carry(start)
                window = self._window
            got = self._folder.read_into(descriptor, window.buffer[scanned:])
            end = scanned + got
            start = self._cut(window, start, scanned, end, chunks)
            scanned = end
            left -= got
            if got == 0 or left <= 0:
                break
        if scanned > start:
            self._take(window, start, scanned, chunks)
        window.used = scanned
        return bytes(chunks)

    def _cut(self, window: Window, start: int, scanned: int, end: int, chunks: bytearray) -> int:
        """Take every chunk that ends within the bytes just read; the start of the unfinished one."""
        for cut in self._chunker.cuts(window.buffer[scanned:end]):
            self._take(window, start, scanned + cut, chunks)
            start = scanned + cut
        return start

    def _take(self, window: Window, start: int, end: int, chunks: bytearray) -> None:
        digest = hashlib.sha256(window.buffer[start:end]).digest()
        if self._known.find(digest) is None:
            window.parts.append((digest, start, end))
        chunks += digest + (end - start).to_bytes(4, "little")

    def _carry(self, start: int) -> int:
        """The window is full in mid-file: send it, go on in the next with the unfinished chunk; its length."""
        full = self._window
        tail = len(full.buffer) - start
        following = self._windows[1]
        self._settle(following)
        following.buffer[:tail] = full.buffer[start:]
        self._turn()
        return tail

    def _tell(self, window: Window, chunks: bytearray) -> None:
        """Note for a full window which part of the file's list is with the hub when it has left."""
        if not self._token:
            return
        at, offset = self._told
        run = Run(self._token, offset, bytes(chunks[at : at + MAX_ITEMS * ITEM_SIZE]))
        if run.end - offset >= RUN_BYTES:
            window.run = run
            self._told = at + len(run.chunks), run.end

    def _turn(self) -> None:
        """Let the current window leave for the hub, and go on with the one that left longest ago."""
        before = self._windows[-1].sent
        window = self._windows.pop(0)
        self._windows.append(window)
        busy = before is not None and not before.done()
        self._turn_of = (self._turn_of + 1) % len(self._lanes) if busy else 0
        lane = self._lanes[self._turn_of]
        self._left = number = self._left + 1
        window.sent = self._background.submit(lambda: self._send(window, lane, before, number))
        self._settle(self._window)

    def _settle(self, window: Window) -> None:
        """Wait until a window is done with, make it empty; report what the hub has answered so far."""
        if window.sent is not None:
            sent, window.sent = window.sent, None
            sent.result()
        window.clear()
        while self._answered:
            self._done(self._answered.popleft())

    def finish(self) -> None:
        """Send what is left and wait for every answer. Raises what sending raised."""
        if self._window.parts or self._window.proposals:
            self._turn()
        for window in self._windows:
            self._settle(window)
        for lane in self._lanes[1:]:
            lane.rest()
        self._all_new = 0

    def abandon(self) -> None:
        """After a failure: wait for what is on the wire and forget it; the next scan finds it again."""
        for window in self._windows:
            if window.sent is not None:
                window.sent.exception()
                window.sent = None
            window.clear()
        self._answered.clear()
        self._all_new = 0

    # --- beside the caller

    def _send(
        self, window: Window, lane: Remote, before: "Future[list[Proposal]] | None", number: int
    ) -> list[Proposal]:
        """before: the window that left last. As each ends after it, a lane is free when its turn comes again.

        A window that nobody is in front of takes the first lane: what is small needs no second connection.
        """
        new_bytes = self._upload(window, lane)
        proposals = (before.result() if before is not None else []) + window.proposals
        if window.run is not None and 2 * new_bytes > len(window.buffer):
            with suppress(HubRefused, HubUnreachable):  # a hint; and an older hub knows none
                lane.tell_ahead(encode_run(window.run))
        if number < self._left and _are_few(proposals):
            return proposals
        if proposals:
            self._commit(proposals, lane)
            self._answered.append(proposals)
        return []

    def _upload(self, window: Window, lane: Remote) -> int:
        """Send what the hub lacks; how many bytes that were."""
        unique = {digest: (start, end) for digest, start, end in window.parts}
        if not unique:
            return 0
        large = sum(end - start for start, end in unique.values()) > UNASKED_BYTES
        if large and self._all_new < ALL_NEW:
            bitmap = lane.missing(b"".join(unique))
            wanted = [d for i, d in enumerate(unique) if bitmap[i >> 3] >> (i & 7) & 1]
        else:
            wanted = list(unique)
        parts: list[bytes | memoryview] = []
        total = 0
        for digest in wanted:
            start, end = unique[digest]
            parts += [chunk_head(digest, end - start), window.buffer[start:end]]
            total += 36 + end - start
        stored = lane.upload(parts, total) if parts else 0
        if large:
            self._all_new = self._all_new + 1 if stored == len(unique) else 0
        return total

    def _commit(self, proposals: list[Proposal], lane: Remote) -> None:
        records = [proposal.encode() for proposal in proposals]
        try:
            answer = wire.decode_answer(lane.commit(wire.encode_commit(self.epoch, self.flags, records)))
        except WireError as error:
            raise HostilePeer(f"the hub's answer cannot be read: {error}") from error
        if len(answer.results) != len(proposals):
            raise HostilePeer("the hub answered for other entries than were sent")
        for proposal, (status, seq) in zip(proposals, answer.results, strict=True):
            proposal.status, proposal.seq = status, seq


def _are_few(proposals: list[Proposal]) -> bool:
    """Whether they may go with those of another window."""
    return (
        len(proposals) < BATCH_ENTRIES
        and sum(len(each.entry.chunks) for each in proposals) < BATCH_LISTS // 2
        and sum(len(each.entry.path) for each in proposals) < BATCH_PATHS // 2
    )
