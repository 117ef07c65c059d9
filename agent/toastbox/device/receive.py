"""From entries of the journal to complete files in the stage.

Chunks are taken from files that are already here, then from peers on the LAN, then from the hub, and every one is
hashed before it is written. A file of some size is staged under the name of its content: when the transfer is cut off,
what is there is verified and kept, and only the rest is asked for again. Memory stays flat: what is to be fetched is
listed a segment at a time, and what arrives is written at once.
"""

import errno
import hashlib
from collections import OrderedDict

from toastbox.core.content import content_id, is_list_of, list_of
from toastbox.core.entry import FILE, LINK, Entry
from toastbox.device.ahead import Ahead
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import PeerSource, Remote
from toastbox.device.places import Places
from toastbox.device.seen import Seen, with_executable
from toastbox.device.send import CHUNK_MAX
from toastbox.device.storage import NO_ROOM
from toastbox.errors import DamagedData, HostilePeer, HubRefused

SEGMENT_CHUNKS = 2048
SEGMENT_BYTES = 32 << 20
RESUMABLE_BYTES = 1 << 20
WRITE_BACK_BYTES = 4 << 20  # of a large file so much is begun to be written out at a time: its flush finds little left
PARTIAL = "part"
OPEN_TARGETS = 8
LIST_PAGE = 16384
BESIDE_BYTES = 8 << 10  # what a write may take besides: the rest of its block, an inode, a name
MAX_LISTED = 1 << 20  # chunks of one file
SMALL_BYTES = 16 << 10  # files up to this size are made together
TOGETHER_BYTES = 64 << 10
NOT_THERE = "its content is missing on the hub"
BAD_LIST = "the hub's list of its chunks is damaged"
ZERO_CHUNK = hashlib.sha256(bytes(CHUNK_MAX)).digest()  # what a hole of a sparse file is made of


class Target:
    """One entry being staged. replaces: what is at its path now. failed: why it cannot be staged, or ""."""

    __slots__ = ("complete", "dirty", "entry", "failed", "left", "mode", "name", "replaces", "seen")

    def __init__(self, entry: Entry, name: str, replaces: Seen | None, mode: int) -> None:
        self.entry = entry
        self.name = name
        self.replaces = replaces
        self.mode = mode
        self.left = 0
        self.dirty = 0  # bytes written since the disk was last asked to begin
        self.seen: Seen | None = None
        self.complete = False
        self.failed = ""


class Need:
    """A chunk to be fetched, and where it goes."""

    __slots__ = ("places", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.places: list[tuple[Target, int]] = []


class Receiver:
    """Stages files. peers: asked before the hub when given. ahead: what was fetched before its entry came."""

    def __init__(self, folder: Folder, index: Index, remote: Remote, peers: PeerSource | None, ahead: Ahead) -> None:
        self._folder = folder
        self._index = index
        self._remote = remote
        self._peers = peers
        self._ahead = ahead
        self._count = 0
        self._open: OrderedDict[str, int] = OrderedDict()
        self._source: tuple[bytes, int] = (b"", -1)
        self._near: tuple[bytes, Places] = (b"", Places(b""))
        self._unknown: set[bytes] = set()  # chunks of this batch that no file here has
        self._needs: dict[bytes, Need] = {}
        self._needed_bytes = 0
        self._small: list[Target] = []  # whose content has come, one behind the other, and is to be written
        self._content = bytearray()
        self._room = 0  # bytes that may be written before the disk is asked again

    def begin(self, wanted: list[tuple[Entry, Seen | None]]) -> list[Target]:
        """Begin to stage (entry, what is at its path): copy what is here, list what is to be fetched.

        Targets in the same order; complete, or marked as failed, after `finish`.
        """
        targets: list[Target] = []
        try:
            single = [entry.content for entry, _ in wanted if entry.kind == FILE and 0 < entry.size <= CHUNK_MAX]
            self._unknown = self._index.unknown(single)
            for entry, seen in wanted:
                target = self._target(entry, seen)
                targets.append(target)
                self._begin(target)
        except BaseException:
            self._reset()
            self.discard(targets)
            raise
        return targets

    def finish(self) -> None:
        """Fetch what is missing; may run beside the caller. Raises HubUnreachable, HostilePeer, the hub's refusals."""
        try:
            self._fetch()
        finally:
            self._reset()

    def discard(self, targets: list[Target]) -> None:
        """These will not be published, but begun anew under other names. Large files go on from where they are."""
        for target in targets:
            if not target.name.startswith(PARTIAL):
                self._folder.stage.remove(target.name)

    def _target(self, entry: Entry, seen: Seen | None) -> Target:
        self._count += 1
        resumable = entry.kind != LINK and entry.size > RESUMABLE_BYTES
        name = partial_name(entry) if resumable else f"new{self._count}"
        mode = seen.mode if seen is not None and seen.kind == 1 else self._folder.new_mode
        return Target(entry, name, seen, with_executable(mode, bool(entry.flags & 1)))

    def _begin(self, target: Target) -> None:
        entry = target.entry
        try:
            if entry.kind == LINK:
                target.seen = self._folder.stage.link(target.name, entry.content, entry.mtime_ns)
                target.complete = True
            elif self._is_nowhere(entry):
                target.left = 1
                self._ask(target, 0, entry.content, entry.size)
            else:
                self._begin_file(target)
        except OSError as error:
            self._fail(target, error)
        except HubRefused as refused:
            if refused.code != "not-found":
                raise
            target.failed = NOT_THERE

    def _is_nowhere(self, entry: Entry) -> bool:
        """Whether this is a file of one chunk that no file here has. Large enough to be of zeros, it may be a hole."""
        return entry.content in self._unknown and entry.listed and not entry.chunks and entry.size < CHUNK_MAX

    def _begin_file(self, target: Target) -> None:
        entry = target.entry
        resumable = target.name.startswith(PARTIAL)
        try:
            chunks = self._list(entry)
        except DamagedData:
            target.failed = BAD_LIST
            return
        target.left = 1 + len(chunks) // 36
        there = self._ahead.take(entry, chunks, target.name) if resumable else None
        kept = self._resume(target, chunks) if resumable and there is None else 0
        if resumable and there is None and not self._folder.stage.has_room(entry.size - kept):
            raise OSError(errno.ENOSPC, "no room")
        base = Places(self._base(entry, target.replaces) if resumable else b"")
        offset = 0
        for at in range(0, len(chunks), 36):
            digest = chunks[at : at + 32]
            size = int.from_bytes(chunks[at + 32 : at + 36], "little")
            if offset < kept or (there and there[at // 36]) or (digest == ZERO_CHUNK and size == CHUNK_MAX):
                self._arrived(target)
            elif not self._copy(target, offset, digest, size, base):
                self._ask(target, offset, digest, size)
            offset += size
        self._arrived(target)

    def _list(self, entry: Entry) -> bytes:
        """The entry's chunk list, from the entry, the index or the hub."""
        if entry.listed:
            return list_of(entry)
        chunks = self._index.chunks_of(entry.content)
        if not chunks:
            chunks = entry.chunks = self._ask_list(entry)
            entry.listed = True
        return chunks

    def _ask_list(self, entry: Entry) -> bytes:
        """The entry's chunk list from the hub, page by page. DamagedData: it is not this content's."""
        parts = bytearray()
        total = 1
        while len(parts) < total * 36:
            part, total = self._remote.chunk_list(entry.content, len(parts) // 36, LIST_PAGE)
            if not part or total > MAX_LISTED:
                raise HostilePeer("the hub sent a chunk list that ends early, or never")
            parts += part
        chunks = bytes(parts)
        if not is_list_of(entry, chunks):
            raise DamagedData(entry.content, content_id(chunks, entry.size), "a chunk list of the hub")
        return chunks

    def _base(self, entry: Entry, seen: Seen | None) -> bytes:
        row = self._index.get(entry.path.replace(b"/", b"\0")) if seen is not None else None
        return self._index.list_of(row) if row is not None else b""

    def _resume(self, target: Target, chunks: bytes) -> int:
        """Bytes at the start of a partial file that are right already."""
        descriptor = self._descriptor(target)
        if self._folder.size_of(descriptor) == 0:
            return 0
        offset = 0
        for at in range(0, len(chunks), 36):
            size = int.from_bytes(chunks[at + 32 : at + 36], "little")
            data = self._folder.read_at(descriptor, size, offset)
            if hashlib.sha256(data).digest() != chunks[at : at + 32]:
                break
            offset += size
        return offset

    # --- chunks that are here already

    def _copy(self, target: Target, offset: int, digest: bytes, size: int, base: Places) -> bool:
        """Write a chunk from a local file, verified; whether one had it.

        The file that had the last chunk is asked before the index: a copy, or a renamed and edited file, has them all.
        """
        for path, places in ((target.entry.path, base), self._near):
            place = places.find(digest)
            if place and self._copy_from(path, place[0], target, offset, digest, size):
                return True
        if digest in self._unknown:
            return False
        for row, at, _ in self._index.holders(digest):
            if self._copy_from(row.entry.path, at, target, offset, digest, size):
                self._near = row.entry.path, Places(self._index.list_of(row))
                return True
        return False

    def _copy_from(self, path: bytes, at: int, target: Target, offset: int, digest: bytes, size: int) -> bool:
        try:
            data = self._folder.read_at(self._open_source(path), size, at)
        except OSError:
            return False
        if hashlib.sha256(data).digest() != digest:
            return False
        self._write(target, offset, data)
        return True

    def _open_source(self, path: bytes) -> int:
        known, descriptor = self._source
        if known != path:
            self._close_source()
            descriptor = self._folder.open(path)
            self._source = (path, descriptor)
        return descriptor

    def _close_source(self) -> None:
        if self._source[1] >= 0:
            self._folder.close_file(self._source[1])
        self._source = (b"", -1)

    # --- chunks from others

    def _ask(self, target: Target, offset: int, digest: bytes, size: int) -> None:
        need = self._needs.get(digest)
        if need is None:
            need = self._needs[digest] = Need(size)
            self._needed_bytes += size
        need.places.append((target, offset))
        if len(self._needs) >= SEGMENT_CHUNKS or self._needed_bytes >= SEGMENT_BYTES:
            self._fetch()

    def _fetch(self) -> None:
        """Fetch what is asked for: from peers, the rest from the hub."""
        if self._peers is not None and self._needs:
            for digest, data in self._peers.fetch(b"".join(self._needs)):
                self._deliver(digest, data)
        if self._needs:
            for digest, given in self._remote.fetch(b"".join(self._needs)):
                if given is None:
                    self._not_there(digest)
                else:
                    self._deliver(digest, given)
        if self._needs:
            raise HostilePeer("the hub left out chunks that it was asked for")
        self._make_small()
        self._needed_bytes = 0

    def _deliver(self, digest: bytes, data: bytes | memoryview) -> None:
        need = self._needs.get(digest)
        if need is None:
            return
        found = hashlib.sha256(data).digest()
        if found != digest or len(data) != need.size:
            raise DamagedData(digest, found, "what a peer sent")
        del self._needs[digest]
        for target, offset in need.places:
            self._write(target, offset, data)

    def _not_there(self, digest: bytes) -> None:
        need = self._needs.pop(digest, None)
        for target, _ in need.places if need else ():
            target.failed = NOT_THERE

    # --- writing

    def _write(self, target: Target, offset: int, data: bytes | memoryview) -> None:
        if target.failed:
            return
        if not self._takes(len(data)):
            self._fail(target, OSError(errno.ENOSPC, "no room"))
            return
        if len(data) == target.entry.size and not target.name.startswith(PARTIAL):
            self._write_whole(target, data)
            return
        try:
            descriptor = self._descriptor(target)
            done = 0
            while done < len(data):
                done += self._folder.write_at(descriptor, data[done:], offset + done)
            target.dirty += done
            if target.dirty >= WRITE_BACK_BYTES:
                self._folder.write_back(descriptor)
                target.dirty = 0
        except OSError as error:
            self._fail(target, error)
            return
        self._arrived(target)

    def _takes(self, size: int) -> bool:
        """Whether the disk has room, asked when what was free is used up, and for each batch anew.

        The last of it is for the index: without, no deletion could be noted.
        """
        if size > self._room:
            self._room = self._folder.stage.room()
        takes = size <= self._room
        self._room -= size + BESIDE_BYTES
        return takes

    def _write_whole(self, target: Target, data: bytes | memoryview) -> None:
        """A file of one chunk, in one call; if it is small, with others."""
        if len(data) > SMALL_BYTES:
            self._make(target, data)
            return
        self._small.append(target)
        self._content += data
        if len(self._content) >= TOGETHER_BYTES:
            self._make_small()

    def _make_small(self) -> None:
        """Write the files that have gathered. One that cannot be made together with others says why by itself."""
        files = [(t.name.encode(), t.entry.size, t.entry.mtime_ns, t.mode) for t in self._small]
        at = 0
        for target, seen in zip(self._small, self._folder.stage.make_all(files, self._content), strict=True):
            if seen is not None:
                target.seen, target.complete = seen, True
            else:
                self._make(target, bytes(self._content[at : at + target.entry.size]))
            at += target.entry.size
        self._let_go_of_small()

    def _let_go_of_small(self) -> None:
        self._small.clear()
        self._content.clear()

    def _make(self, target: Target, data: bytes | memoryview) -> None:
        try:
            target.seen = self._folder.stage.make(target.name, data, target.entry.mtime_ns, target.mode)
            target.complete = True
        except OSError as error:
            self._fail(target, error)

    def _arrived(self, target: Target) -> None:
        target.left -= 1
        if target.left == 0 and not target.failed:
            self._complete(target)

    def _complete(self, target: Target) -> None:
        entry = target.entry
        descriptor = self._descriptor(target)
        try:
            target.seen = self._folder.stage.finish(descriptor, entry.mtime_ns, target.mode)
            if target.seen.size != entry.size:
                self._folder.truncate(descriptor, entry.size)
                target.seen = self._folder.stage.finish(descriptor, entry.mtime_ns, target.mode)
            target.complete = True
        except OSError as error:
            self._fail(target, error)
        self._close(target.name)

    def _fail(self, target: Target, error: OSError) -> None:
        if error.errno == errno.EIO:
            raise error
        no_room = error.errno in NO_ROOM
        target.failed = "no room on this device" if no_room else error.strerror or "refused"
        self._close(target.name)
        if no_room or not target.name.startswith(PARTIAL):
            self._folder.stage.remove(target.name)

    def _descriptor(self, target: Target) -> int:
        descriptor = self._open.get(target.name)
        if descriptor is None:
            if len(self._open) >= OPEN_TARGETS:
                self._folder.close_file(self._open.popitem(last=False)[1])
            descriptor = self._open[target.name] = self._folder.stage.open(target.name, target.mode)
        return descriptor

    def _close(self, name: str) -> None:
        descriptor = self._open.pop(name, -1)
        if descriptor >= 0:
            self._folder.close_file(descriptor)

    def _reset(self) -> None:
        for descriptor in self._open.values():
            self._folder.close_file(descriptor)
        self._open.clear()
        self._close_source()
        self._near = (b"", Places(b""))
        self._unknown = set()
        self._needs.clear()
        self._let_go_of_small()
        self._needed_bytes = self._room = 0


def partial_name(entry: Entry) -> str:
    """Where a file of some size is staged: the same place after a restart."""
    return PARTIAL + hashlib.sha256(entry.content + entry.path).hexdigest()[:32]
