"""What a look at one path showed, without reading it."""

from toastbox.core.diff import Signature
from toastbox.core.entry import EXECUTABLE, FILE, FOLDER, LINK
from toastbox.core.names import key_of

OTHER = 9  # FIFO, socket, device, a folder of another file system, an unreadable folder: left alone
KINDS = {0o100000: FILE, 0o040000: FOLDER, 0o120000: LINK}


class Seen:
    """One path as lstat shows it. kind: FILE, FOLDER, LINK or OTHER; mode: permission bits.

    reason: why a path of kind OTHER is left alone, "" for the rest.
    """

    __slots__ = ("ctime_ns", "device", "inode", "key", "kind", "mode", "mtime_ns", "path", "reason", "size")

    def __init__(
        self, path: bytes, mode: int, size: int, mtime_ns: int, ctime_ns: int, inode: int, device: int = 0
    ) -> None:
        self.path = path
        self.key = key_of(path)
        self.kind = KINDS.get(mode & 0o170000, OTHER)
        self.mode = mode & 0o7777
        self.size = size
        self.mtime_ns = mtime_ns
        self.ctime_ns = ctime_ns
        self.inode = inode
        self.device = device
        self.reason = "" if self.kind != OTHER else "neither file, folder nor link"

    def leave_alone(self, reason: str) -> "Seen":
        """Mark as not to be synced, nor anything below it."""
        self.kind = OTHER
        self.reason = reason
        return self

    @property
    def flags(self) -> int:
        """Entry flags: executable by its owner (files only)."""
        return EXECUTABLE if self.kind == FILE and self.mode & 0o100 else 0

    @property
    def signature(self) -> Signature:
        """What must stay the same for the content to be taken as unchanged."""
        if self.kind == FOLDER:
            return Signature(self.inode, 0, 0, 0)
        return Signature(self.inode, self.size, self.mtime_ns, self.ctime_ns)

    def same_file(self, other: "Seen") -> bool:
        """Same inode, unchanged but for its name: a rename alters the ctime."""
        return (self.inode, self.size, self.mtime_ns, self.kind) == (
            other.inode,
            other.size,
            other.mtime_ns,
            other.kind,
        )
