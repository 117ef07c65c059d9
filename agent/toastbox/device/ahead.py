"""Files that others are still uploading, fetched before their entry is in the journal (docs/SPEC.md, section 15).

    hint "ahead" -> ask the hub for runs -> fetch their chunks into stage/ahead<token>, each at its place, verified
    journal entry of the same path, size and time -> every chunk there is one of its list, at the same place?
        yes: the file goes on as a partial transfer, under the name of its content      no: it is thrown away

A hint changes when bytes are fetched, never what is published. What it costs is bounded: bytes that were fetched and
not used (the upload broke off, or the hint lied) are never more than the limit in the life of the process; chunks that
are here already are left out; a full disk ends it; a file that has not grown for a while is removed, at the next start
at the latest.
"""

import hashlib
import struct
from collections import deque
from collections.abc import Callable

from toastbox.core import ahead
from toastbox.core.content import ITEM_SIZE
from toastbox.core.entry import Entry
from toastbox.core.errors import WireError
from toastbox.device.folder import Folder
from toastbox.device.index import Index
from toastbox.device.interfaces import Remote
from toastbox.errors import DamagedData, HostilePeer

PREFIX = "ahead"
MOST_FILES = 4
MOST_PLACES = 1 << 16  # chunks of a file: 44 bytes each in memory
EXPIRE_S = 600.0
RESERVE_BYTES = 64 << 20  # left free on the disk
WRITE_BACK_BYTES = 4 << 20
SLICE_BYTES = 64 << 10, 4 << 20  # fetched at a time, least and most
SLICE_S = 0.05, 0.2  # what a slice should take: a change that comes meanwhile waits so long
_PLACE = struct.Struct("<Q32sI")


class _File:
    """One upload. places: (offset, hash, size) of what is staged, ascending; end: where the last one ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places = bytearray()
        self.end = self.size = self.dirty = 0
        self.grown_s = 0.0

    def there(self, chunks: bytes) -> bytearray | None:
        """For each chunk of a list, whether it is staged at its place; None if anything else is staged."""
        flags = bytearray(len(chunks) // ITEM_SIZE)
        places = _PLACE.iter_unpack(self.places)
        place = next(places, None)
        offset = 0
        for number in range(len(flags)):
            item = chunks[number * ITEM_SIZE : (number + 1) * ITEM_SIZE]
            size = int.from_bytes(item[32:], "little")
            if place is not None and place == (offset, item[:32], size):
                flags[number] = 1
                place = next(places, None)
            offset += size
        return flags if place is None else None


class Ahead:
    """Fetches ahead. now: monotonic seconds; limit_bytes: of what may turn out to be useless."""

    def __init__(
        self, folder: Folder, index: Index, remote: Remote, now: Callable[[], float], limit_bytes: int
    ) -> None:
        self._folder = folder
        self._index = index
        self._remote = remote
        self._now = now
        self._credit = limit_bytes
        self._slice = SLICE_BYTES[0]
        self._position = 0
        self._waiting: deque[ahead.Run] = deque()
        self._files: dict[bytes, _File] = {}

    def fetch(self) -> bool:
        """Fetch for a moment, after asking for news if need be; whether there may be more.

        Raises what the hub makes it.
        """
        if self._credit <= 0:
            return False
        if not self._waiting:
            self._ask()
        if not self._waiting:
            return False
        run, rest = self._next().split(self._slice)
        if rest is not None:
            self._waiting.appendleft(rest)
        started_s = self._now()
        self._stage(run)
        self._pace(self._now() - started_s)
        return True

    def _next(self) -> ahead.Run:
        """The next run, and those that follow it in the file, as far as one request may fetch them."""
        run = self._waiting.popleft()
        while self._waiting and run.end - run.offset < self._slice:
            following = self._waiting[0]
            if following.token != run.token or following.offset != run.end:
                break
            run = ahead.Run(run.token, run.offset, run.chunks + self._waiting.popleft().chunks)
        return run

    def _ask(self) -> None:
        try:
            self._position, runs = ahead.decode_ahead(self._remote.ahead(self._position))
        except WireError as error:
            raise HostilePeer(f"the hub's runs cannot be read: {error}") from error
        self._waiting.extend(runs)

    def _pace(self, took_s: float) -> None:
        if took_s < SLICE_S[0]:
            self._slice = min(2 * self._slice, SLICE_BYTES[1])
        elif took_s > SLICE_S[1]:
            self._slice = max(self._slice // 2, SLICE_BYTES[0])

    def take(self, entry: Entry, chunks: bytes, name: str) -> bytearray | None:
        """Hand over what is staged of an entry, under that staged name: whether each chunk of its list is there.

        None: nothing is, and no file of that name was made.
        """
        file = self._files.pop(ahead.token_of(entry.path, entry.size, entry.mtime_ns), None)
        if file is None:
            return None
        there = file.there(chunks)
        if there is None or not self._rename(file.name, name):
            self._folder.stage.remove(file.name)
            return None
        self._credit += file.size
        return there

    def _rename(self, name: str, new_name: str) -> bool:
        """False where a transfer of that name was begun before, or somebody has removed ours."""
        if self._folder.stage.look(new_name) is not None:
            return False
        try:
            self._folder.stage.rename(name, new_name)
        except FileNotFoundError:
            return False
        return True

    def expire(self) -> None:
        """Remove what nobody has added to for a while."""
        for token, file in list(self._files.items()):
            if self._now() - file.grown_s > EXPIRE_S:
                self._drop(token)

    def _drop(self, token: bytes) -> None:
        self._folder.stage.remove(self._files.pop(token).name)

    def _stage(self, run: ahead.Run) -> None:
        file = self._files.get(run.token)
        end = file.end if file is not None else 0
        wanted = [place for place in run.places() if place[0] >= end and not self._is_here(place[1])]
        size = sum(size for _, _, size in wanted)
        if not wanted or size > self._credit or size + RESERVE_BYTES > self._folder.stage.free_bytes():
            return
        if file is None:
            file = self._begin(run.token)
        if len(file.places) // _PLACE.size + len(wanted) <= MOST_PLACES:
            self._fetch(run.token, file, wanted)

    def _begin(self, token: bytes) -> _File:
        if len(self._files) >= MOST_FILES:
            self._drop(min(self._files, key=lambda token: self._files[token].grown_s))
        file = self._files[token] = _File(PREFIX + token.hex())
        return file

    def _is_here(self, digest: bytes) -> bool:
        """Whether some file of the folder has the chunk: it will be copied from there."""
        return next(self._index.holders(digest), None) is not None

    def _fetch(self, token: bytes, file: _File, wanted: list[tuple[int, bytes, int]]) -> None:
        file.grown_s = self._now()
        try:
            descriptor = self._folder.stage.open(file.name, 0o600)
            try:
                found = self._remote.fetch(b"".join(digest for _, digest, _ in wanted))
                for place, (_, data) in zip(wanted, found, strict=True):
                    if data is not None:
                        self._write(descriptor, file, place, data)
            finally:
                self._folder.close_file(descriptor)
        except OSError:  # no room, most likely: it will be fetched in its turn, or refused then
            self._drop(token)

    def _write(self, descriptor: int, file: _File, place: tuple[int, bytes, int], data: bytes | memoryview) -> None:
        offset, digest, size = place
        found = hashlib.sha256(data).digest()
        if found != digest or len(data) != size:
            raise DamagedData(digest, found, "what the hub sent")
        done = 0
        while done < size:
            done += self._folder.write_at(descriptor, data[done:], offset + done)
        file.places += _PLACE.pack(*place)
        file.end = offset + size
        file.size += size
        file.dirty += size
        self._credit -= size
        if file.dirty >= WRITE_BACK_BYTES:
            self._folder.write_back(descriptor)
            file.dirty = 0
