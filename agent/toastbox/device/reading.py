"""What a local path holds, as an entry: read and hashed, nothing sent."""

from toastbox.core.content import content_id
from toastbox.core.entry import FILE, FOLDER, LINK, Entry
from toastbox.device.cutting import Cutting
from toastbox.device.folder import Folder
from toastbox.device.seen import Seen
from toastbox.device.send import CHUNK_AVERAGE, CHUNK_MAX, CHUNK_MIN, FileChanged
from toastbox.native.chunker import Chunker

UNKNOWN_CONTENT = bytes(32)
SHARED_BYTES = 4 << 20  # size from which a file is hashed by several threads


class Reader:
    """Reads files through one buffer of at least twice the largest chunk. hashers: threads for a large file."""

    def __init__(self, folder: Folder, buffer: memoryview, hashers: int = 1) -> None:
        self._folder = folder
        self._buffer = buffer
        self._hashers = hashers
        self._chunker = Chunker(CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX)

    def entry(self, seen: Seen, sizes: tuple[int, ...]) -> Entry:
        """The path as an entry with seq 0.

        A file whose size is none of `sizes` is known to differ and not read; what changes meanwhile differs too, and
        what cannot be read: a bad sector ends nothing.
        """
        entry = Entry(seen.path, seen.kind, seen.flags, 0, seen.mtime_ns, seen.size)
        if seen.kind == FOLDER:
            entry.mtime_ns = entry.size = 0
        elif seen.kind == LINK:
            entry.size = 0
            entry.content = self._target(seen)
        elif seen.kind == FILE:
            self._fill(entry, seen, sizes)
        return entry

    def _target(self, seen: Seen) -> bytes:
        try:
            return self._folder.readlink(seen.path)
        except OSError:
            return UNKNOWN_CONTENT

    def _fill(self, entry: Entry, seen: Seen, sizes: tuple[int, ...]) -> None:
        entry.content = UNKNOWN_CONTENT
        if seen.size not in sizes:
            return
        try:
            chunks = self.chunks(seen)
        except (FileChanged, OSError):
            return
        entry.content = content_id(chunks, seen.size)
        entry.chunks = chunks if len(chunks) > 36 else b""

    def chunks(self, seen: Seen) -> bytes:
        """The chunk list of a file. Raises FileChanged when it is not what was seen, OSError."""
        descriptor = self._folder.open(seen.path)
        try:
            parts = self._parts(seen.size)
            chunks = Cutting(self._chunker, parts, lambda view: self._folder.read_into(descriptor, view)).run()
            if self._folder.fstat(descriptor, seen.path).signature != seen.signature:
                raise FileChanged
        finally:
            self._folder.close_file(descriptor)
        return chunks

    def _parts(self, size: int) -> list[memoryview]:
        """The buffer in equal parts, one for each thread that is to hash; all of it for a file not worth a thread."""
        count = min(self._hashers, len(self._buffer) // CHUNK_MAX) if size >= SHARED_BYTES else 1
        length = len(self._buffer) // count
        return [self._buffer[at * length : (at + 1) * length] for at in range(count)]
