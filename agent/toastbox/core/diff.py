"""What changed in a folder since it was last equal to the journal.

Both sides come in order of key and are gone through once, so that neither has to be in memory.
"""

from toastbox.core.entry import FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:  # MicroPython has no typing
    from collections.abc import Iterator
    from typing import Protocol, TypeVar

    from toastbox.core.entry import Entry

    class Keyed(Protocol):
        """Something at a path."""

        @property
        def key(self) -> bytes: ...

    class Known(Protocol):
        """A row of the index: what the path was last agreed to hold, and how the file looked then."""

        @property
        def entry(self) -> "Entry": ...
        @property
        def signature(self) -> "Signature": ...

    class Found(Protocol):
        """A look at the path."""

        @property
        def kind(self) -> int: ...
        @property
        def signature(self) -> "Signature": ...

    AnyRow = TypeVar("AnyRow", bound=Keyed)
    AnyRecord = TypeVar("AnyRecord", bound=Keyed)

UNCHANGED, NEW, CHANGED, GONE, KIND_CHANGED = 0, 1, 2, 3, 4


class Signature:
    """What a look at a file shows: while it stays the same, so does the content. inode 0 proves nothing."""

    __slots__ = ("ctime_ns", "inode", "mtime_ns", "size")

    def __init__(self, inode: int, size: int, mtime_ns: int, ctime_ns: int) -> None:
        self.inode = inode
        self.size = size
        self.mtime_ns = mtime_ns
        self.ctime_ns = ctime_ns

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Signature)
            and self.inode == other.inode
            and self.ctime_ns == other.ctime_ns
            and self.mtime_ns == other.mtime_ns
            and self.size == other.size
        )

    def __hash__(self) -> int:
        return self.inode

    def __repr__(self) -> str:
        return f"Signature({self.inode}, {self.size}, {self.mtime_ns}, {self.ctime_ns})"


def merge(
    rows: "Iterator[AnyRow]", records: "Iterator[AnyRecord]"
) -> "Iterator[tuple[AnyRow | None, AnyRecord | None]]":
    """(row, record) for every key of two iterators sorted by `.key`; None where one side has nothing."""
    row, record = next(rows, None), next(records, None)
    while row is not None and record is not None:
        if row.key < record.key:
            yield row, None
            row = next(rows, None)
        elif record.key < row.key:
            yield None, record
            record = next(records, None)
        else:
            yield row, record
            row, record = next(rows, None), next(records, None)
    if row is not None:
        yield row, None
        for row in rows:
            yield row, None
    if record is not None:
        yield None, record
        for record in records:
            yield None, record


def classify(row: "Known | None", record: "Found | None") -> int:
    """What happened to a path. A row without a revision (seq 0 or less) has yet to be proposed: CHANGED."""
    if row is None:
        return UNCHANGED if record is None else NEW
    if record is None:
        return GONE
    if row.entry.kind != record.kind:
        return KIND_CHANGED
    if row.entry.seq <= 0:
        return CHANGED
    if record.kind == FOLDER:
        return UNCHANGED
    if row.signature.inode == 0 or row.signature != record.signature:
        return CHANGED
    return UNCHANGED
