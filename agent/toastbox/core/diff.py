"""What changed in a folder since it was last equal to the journal, and in which order to propose it.

Both sides come in order of key and are gone through once, so that neither has to be in memory.
"""

from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, PAIR, Entry
from toastbox.core.names import key_of

TYPE_CHECKING = False
if TYPE_CHECKING:  # MicroPython has no typing
    from collections.abc import Iterator
    from typing import Protocol, TypeVar

    class Keyed(Protocol):
        """Something at a path."""

        @property
        def key(self) -> bytes: ...

    class Known(Protocol):
        """A row of the index: what the path was last agreed to hold, and how the file looked then."""

        @property
        def entry(self) -> Entry: ...
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
    while row is not None or record is not None:
        if record is None or (row is not None and row.key < record.key):
            yield row, None
            row = next(rows, None)
        elif row is None or record.key < row.key:
            yield None, record
            record = next(records, None)
        else:
            yield row, record
            row, record = next(rows, None), next(records, None)


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


class Change:
    """One path to be proposed. entry: as it shall be; before: kind it has in the journal, DELETED for none.

    moved_from: the path the file was renamed from, if the list has a deletion of it, or b"".
    """

    __slots__ = ("before", "entry", "moved_from")

    def __init__(self, entry: Entry, before: int = DELETED, moved_from: bytes = b"") -> None:
        self.entry = entry
        self.before = before
        self.moved_from = moved_from

    @property
    def key(self) -> bytes:
        return key_of(self.entry.path)


def order_changes(changes: list[Change]) -> list[Change]:
    """Changes in an order in which a journal accepts each: folders exist before, and are empty after, their content.

    First what lies below paths that stop being folders, content before folder. Then creations and changes in
    order of key, each rename followed by its deletion (and marked PAIR). Then all other deletions, content
    before folder. A rename out of a folder that becomes a file is taken apart: its deletion has to go first.
    """
    deletions = {change.key: change for change in changes if change.entry.kind == DELETED}
    others = sorted([change for change in changes if change.entry.kind != DELETED], key=_key)
    below: list[Change] = []
    for change in others:
        if change.before == FOLDER and change.entry.kind in (FILE, LINK):
            below += _take_below(deletions, change.key)
    below.sort(key=_key, reverse=True)
    middle: list[Change] = []
    for change in others:
        middle.append(change)
        partner = deletions.pop(key_of(change.moved_from), None) if change.moved_from else None
        change.entry.flags &= ~PAIR
        if partner is not None:
            change.entry.flags |= PAIR
            middle.append(partner)
    return below + middle + sorted(deletions.values(), key=_key, reverse=True)


def _take_below(deletions: dict[bytes, Change], folder: bytes) -> list[Change]:
    taken = [key for key in deletions if key.startswith(folder + b"\0")]
    return [deletions.pop(key) for key in taken]


def _key(change: Change) -> bytes:
    return change.key
