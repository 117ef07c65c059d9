"""What a path holds: the record every decision is made of (docs/SPEC.md, sections 1 and 2)."""

DELETED = 0
FILE = 1
FOLDER = 2
LINK = 3

EXECUTABLE = 1
PAIR = 2

HASH_SIZE = 32
EMPTY_CONTENT = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


class Entry:
    """One path at one revision.

    path: bytes, relative. kind: DELETED, FILE, FOLDER or LINK. flags: EXECUTABLE, PAIR.
    seq: the journal's number of this entry, or in a proposal the revision it replaces; 0 is none.
    content: content id of a file (32 bytes), target of a link, else b"".
    chunks: chunk list (36 bytes a chunk) of a file of several chunks; b"" when there is at most one chunk, or
    when the list is elsewhere: then listed is False. device: number of the author.
    """

    __slots__ = ("chunks", "content", "device", "flags", "kind", "listed", "mtime_ns", "path", "seq", "size")

    def __init__(
        self,
        path: bytes,
        kind: int,
        flags: int = 0,
        seq: int = 0,
        mtime_ns: int = 0,
        size: int = 0,
        content: bytes = b"",
        chunks: bytes = b"",
        device: int = 0,
    ) -> None:
        self.path = path
        self.kind = kind
        self.flags = flags
        self.seq = seq
        self.mtime_ns = mtime_ns
        self.size = size
        self.content = content
        self.chunks = chunks
        self.device = device
        self.listed = True

    def same_content(self, other: "Entry") -> bool:
        """Whether a person would see no difference: kind, content and the executable bit; not the time."""
        return (
            self.kind == other.kind and self.content == other.content and (self.flags ^ other.flags) & EXECUTABLE == 0
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((self.path, self.seq))

    def __repr__(self) -> str:
        kind = ("deleted", "file", "folder", "link")[self.kind]
        return f"<{kind} {self.path!r} seq={self.seq} size={self.size} content={self.content.hex()[:12]}>"

    def _fields(self) -> tuple[object, ...]:
        travels = (self.path, self.kind, self.flags, self.seq, self.mtime_ns, self.size)
        return travels + (self.content, self.chunks)
