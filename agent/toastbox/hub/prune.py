"""Giving room back: old versions by the retention setting, then chunks nobody names, then half-empty packs.

An old version goes when it was replaced more than `days` ago and more than `versions` newer old ones of its path
are there. Current entries stay, deletions too: they are what tells a device that was away.

Chunks are marked and swept while the hub works, in slices that run on the writing thread between commits. Three
rules make that safe:

    a chunk that no entry names is kept for GRACE_S: an interrupted upload finds it when it goes on
    each slice of the sweep first marks what the journal got since the marking: nothing just named is swept
    after a rollback no mark is believed
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from toastbox.core.content import items
from toastbox.hub.chunks.base import PruneStore
from toastbox.hub.history import chain
from toastbox.hub.journal.base import Row
from toastbox.hub.service import HubService

GRACE_S = 86400
_PATHS = 512
_ROWS = 2048
_MARKS = 8192
_SWEEP = 4096
_COMPACT_BYTES = 4 << 20

Run = Callable[[Callable[[], Any]], Any]


class Pruned(NamedTuple):
    """What went: old versions, chunks, and bytes of packs."""

    versions: int
    chunks: int
    bytes: int


class Pruner:
    """Prunes a hub. chunks: the service's. run: has a job done on the writing thread and flushed, gives its result."""

    def __init__(
        self, service: HubService, chunks: PruneStore, run: Run, days: int, versions: int, grace_s: int = GRACE_S
    ) -> None:
        self._service = service
        self._journal = service.journal
        self._chunks = chunks
        self._run = run
        self._days = days
        self._versions = versions
        self._grace_s = grace_s
        self._marked: dict[int, int] = {}

    def prune(self) -> Pruned:
        """All of it, once. Takes its time; the hub goes on meanwhile. Raises DeviceFull, DeviceFailing.

        One at a time: there is one set of marks.
        """
        with self._service.pruning:
            return Pruned(self._drop_versions(), self._drop_chunks(), self._compact())

    def _drop_versions(self) -> int:
        cutoff_s = self._service.clock.now_s() - self._days * 86400
        dropped = 0
        for folder in self._journal.folders():
            for rows in self._pages(folder.number):
                old = [seq for row in rows for seq in self._old_versions(folder.number, row, cutoff_s)]
                if old:
                    dropped += self._run(partial(self._journal.drop_versions, folder.number, old))
        return dropped

    def _pages(self, folder: int) -> Iterator[list[Row]]:
        """Current rows of a folder in order of path, some at a time."""
        rows = self._journal.read_paths(folder, b"", _PATHS)
        while rows:
            yield rows
            rows = self._journal.read_paths(folder, rows[-1].key, _PATHS)

    def _old_versions(self, folder: int, row: Row, cutoff_s: int) -> Iterator[int]:
        """Seqs of versions of a path that are too old. row: the current one."""
        replaced_s, too_old = row.time_s, False
        for count, old in enumerate(chain(self._journal, folder, row)):
            if count == 0:
                continue
            too_old = too_old or (count > self._versions and replaced_s < cutoff_s)
            if too_old:
                yield old.seq
            replaced_s = old.time_s

    def _drop_chunks(self) -> int:
        before_s = self._service.clock.now_s() - self._grace_s
        self._marked = {}
        self._run(self._chunks.mark_start)
        for folder in self._journal.folders():
            for hashes in _slices(self._named(folder.number)):
                self._run(partial(self._chunks.mark, folder.number, hashes))
        dropped, swept = 0, self._run(lambda: self._sweep(before_s))
        while swept is not None:
            dropped += swept
            swept = self._run(lambda: self._sweep(before_s))
        return dropped

    def _sweep(self, before_s: int) -> int | None:
        """On the writing thread: mark what is new, then sweep a slice. The flush lets the reader see all."""
        self._service.flush()
        for folder in self._journal.folders():
            self._chunks.mark(folder.number, self._named(folder.number))
        return self._chunks.sweep(before_s, _SWEEP)

    def _named(self, folder: int) -> Iterator[bytes]:
        """Hashes named by rows above the last one seen here, which then is the last one."""
        rows = self._journal.read_contents(folder, self._marked.get(folder, 0), _ROWS)
        while rows:
            for row in rows:
                yield from self._hashes(folder, row)
            self._marked[folder] = rows[-1].seq
            rows = self._journal.read_contents(folder, rows[-1].seq, _ROWS)

    def _hashes(self, folder: int, row: Row) -> Iterable[bytes]:
        if row.pieces == 1:
            return (row.content,)
        return (digest for digest, _ in items(self._journal.read_list(folder, row.content) or b""))

    def _compact(self) -> int:
        freed, step = 0, self._run(lambda: self._chunks.compact(_COMPACT_BYTES))
        while step is not None:
            freed += step
            step = self._run(lambda: self._chunks.compact(_COMPACT_BYTES))
        return freed


def _slices(hashes: Iterator[bytes]) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    for digest in hashes:
        some.append(digest)
        if len(some) == _MARKS:
            yield some
            some = []
    if some:
        yield some
