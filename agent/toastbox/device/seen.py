"""What a look at one path showed, without reading it."""

import errno

from toastbox.core.diff import Signature
from toastbox.core.entry import EXECUTABLE, FILE, FOLDER, LINK
from toastbox.core.names import key_of
from toastbox.native.scan import Record

OTHER = 9  # FIFO, socket, device, a folder of another file system, an unreadable folder: left alone
KINDS = {0o100000: FILE, 0o040000: FOLDER, 0o120000: LINK}
RACY_NS = 20_000_000  # a change within one tick of the kernel's clock may leave no trace in the times
COARSE_NS = 2_000_000_000  # FAT keeps times to two seconds
SECOND_NS = 1_000_000_000


def freshness_ns(stamp_ns: int, now_ns: int) -> int:
    """For how long yet a change may leave the same stamp; 0: no more. now_ns: the wall clock, before the look."""
    tick_ns = COARSE_NS if stamp_ns % SECOND_NS == 0 else RACY_NS
    age_ns = now_ns - stamp_ns
    return tick_ns - age_ns if -COARSE_NS < age_ns < tick_ns else 0


class Seen:
    """One path as lstat shows it. kind: FILE, FOLDER, LINK or OTHER; mode: permission bits. flags: the entry's,
    executable by its owner (files only).

    reason: why a path of kind OTHER is left alone, "" for the rest. doubtful: a change since then may not show.
    """

    __slots__ = (
        "ctime_ns", "device", "doubtful", "flags", "inode", "key", "kind", "mode", "mtime_ns", "path", "reason", "size",
    )  # fmt: skip

    def __init__(
        self, path: bytes, mode: int, size: int, mtime_ns: int, ctime_ns: int, inode: int, device: int = 0
    ) -> None:
        self.path = path
        self.key = key_of(path)
        self.kind = kind = KINDS.get(mode & 0o170000, OTHER)
        self.mode = mode & 0o7777
        self.flags = EXECUTABLE if mode & 0o100 and kind == FILE else 0
        self.size = size
        self.mtime_ns = mtime_ns
        self.ctime_ns = ctime_ns
        self.inode = inode
        self.device = device
        self.doubtful = False
        self.reason = "" if kind != OTHER else "neither file, folder nor link"

    def leave_alone(self, reason: str) -> "Seen":
        """Mark as not to be synced, nor anything below it."""
        self.kind = OTHER
        self.flags = 0
        self.reason = reason
        return self

    @property
    def signature(self) -> Signature:
        """What must stay the same for the path to be taken as unchanged.

        The executable bit takes the place of the ctime's last one: it may change within a tick of the clock.
        """
        if self.kind == FOLDER:
            return Signature(self.inode, 0, 0, 0)
        return Signature(self.inode, self.size, self.mtime_ns, self.ctime_ns & ~1 | self.flags)

    @property
    def proof(self) -> Signature:
        """The signature to be remembered: one that proves nothing when in doubt."""
        if not self.doubtful:
            return self.signature
        return Signature(0, self.size, self.mtime_ns, 0)

    def shows(self, r: Record) -> bool:
        """Whether a later look showed the same to the last bit."""
        _, _, mode, size, mtime_ns, ctime_ns, inode, device = r
        return (
            self.ctime_ns == ctime_ns
            and self.inode == inode
            and self.size == size
            and self.mtime_ns == mtime_ns
            and self.mode == mode & 0o7777
            and self.kind == KINDS.get(mode & 0o170000)
            and self.device == device
        )

    def moved(self, path: bytes, r: Record) -> bool:
        """Take over the new path and the ctime, if a later look there showed the same file; whether it did."""
        _, _, mode, size, mtime_ns, ctime_ns, inode, device = r
        if (inode, size, mtime_ns, device) != (self.inode, self.size, self.mtime_ns, self.device):
            return False
        if mode & 0o7777 != self.mode or KINDS.get(mode & 0o170000) != self.kind:
            return False
        self.path, self.key, self.ctime_ns = path, key_of(path), ctime_ns
        return True

    def same_file(self, other: "Seen") -> bool:
        """Same inode, unchanged but for its name: a rename alters the ctime."""
        return (self.inode, self.size, self.mtime_ns, self.kind, self.flags) == (
            other.inode,
            other.size,
            other.mtime_ns,
            other.kind,
            other.flags,
        )


def seen_of(path: bytes, r: Record) -> Seen:
    """A path by the record of it."""
    _, _, mode, size, mtime_ns, ctime_ns, inode, device = r
    return Seen(path, mode, size, mtime_ns, ctime_ns, inode, device)


def unreadable(path: bytes, error: OSError) -> Seen:
    """A folder of which nothing can be said. What is mounted there, or above, may be gone at any time."""
    reason = "something is mounted there" if error.errno == errno.EXDEV else f"cannot be listed: {error.strerror}"
    return Seen(path, 0o040000, 0, 0, 0, 0).leave_alone(reason)


def with_executable(mode: int, executable: bool) -> int:
    """Permission bits with execution allowed to whoever may read, or to nobody."""
    return mode | (mode & 0o444) >> 2 if executable else mode & ~0o111


def gone_name(inode: int) -> str:
    """The staged name of a file on its way out."""
    return f"gone{inode:x}"
