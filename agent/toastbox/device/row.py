"""A row of the index: an entry of the journal, and how its file looked when the two were last known to be equal."""

from toastbox.core.diff import Signature
from toastbox.core.entry import FILE, Entry
from toastbox.core.names import path_of

COLUMNS = "key, kind, flags, seq, mtime_ns, size, content, inode, sig_size, sig_mtime, sig_ctime, id"
INSERT = (
    "INSERT INTO entry(kind, flags, seq, mtime_ns, size, content, inode, sig_size, sig_mtime, sig_ctime, prefix, key)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(key) DO NOTHING"
)
UPDATE = (
    "UPDATE entry SET kind=?, flags=?, seq=?, mtime_ns=?, size=?, content=?, inode=?, sig_size=?, sig_mtime=?,"
    " sig_ctime=?, prefix=? WHERE key=?"
)
NO_SIGNATURE = Signature(0, 0, 0, 0)
UNSEEN = Signature(0, -1, 0, 0)  # as none; and what the row says was never here: it may be replaced, not deleted


def prefix_of(digest: bytes) -> int:
    """First 8 bytes of a hash as SQLite's signed integer; never 0, which marks rows without content."""
    return int.from_bytes(digest[:8], "big", signed=True) or 1


def values_of(key: bytes, entry: Entry, signature: Signature) -> tuple[object, ...]:
    """A row for INSERT and UPDATE."""
    prefix = prefix_of(entry.content) if entry.kind == FILE and entry.size else 0
    return (
        entry.kind, entry.flags & 1, entry.seq, entry.mtime_ns, entry.size, entry.content,
        signature.inode, signature.size, signature.mtime_ns, signature.ctime_ns, prefix, key,
    )  # fmt: skip


class Row:
    """One entry of the index with the signature of the file it was equal to."""

    __slots__ = ("entry", "id", "key", "signature")

    def __init__(self, columns: tuple[bytes, int, int, int, int, int, bytes, int, int, int, int, int]) -> None:
        key, kind, flags, seq, mtime_ns, size, content, inode, sig_size, sig_mtime, sig_ctime, row_id = columns
        self.key = key
        self.id = row_id
        self.entry = Entry(path_of(key), kind, flags, seq, mtime_ns, size, content)
        self.signature = Signature(inode, sig_size, sig_mtime, sig_ctime)

    @property
    def racy(self) -> bool:
        """Whether the signature proves nothing: the file must be read to know what it holds."""
        return self.signature.inode == 0
