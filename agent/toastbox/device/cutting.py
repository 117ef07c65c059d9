"""A file's chunk list: read, cut and hashed in parts of one buffer, by as many threads as there are parts.

Reading and cutting are in order and take a fifth of the time; hashing is in any order. So each thread in turn fills its
part and cuts it, and while it hashes what it found, the next one fills its own:

    part 1   fill, cut | hash ................ | fill, cut | hash ...
    part 2             | fill, cut | hash ................ | fill, cut | ...

The bytes behind a part's last cut begin the next part. Nothing waits but for the turn to fill, and no thread outlives
the file. Reading, cutting and hashing all release the interpreter's lock.
"""

import threading
from collections.abc import Callable, Sequence

from toastbox.native.chunker import Chunker
from toastbox.native.digest import chunk_list


class Cutting:
    """The work on one stream. parts: buffers of at least the largest chunk each. read: as readinto, 0 at the end."""

    def __init__(self, chunker: Chunker, parts: Sequence[memoryview], read: Callable[[memoryview], int]) -> None:
        chunker.reset()
        self._chunker = chunker
        self._parts = parts
        self._read = read
        self._filling = threading.Lock()
        self._open = parts[0][:0]  # of the chunk that no cut has ended yet, in the part that was filled last
        self._ended = False
        self._lists: list[bytes] = []  # for each filling its part of the chunk list, when it is hashed
        self._failure: BaseException | None = None

    def run(self) -> bytes:
        """The chunk list. Raises what `read` raised; on return no other thread is at work."""
        helpers = [threading.Thread(target=self._help, args=(part,), name="toastbox-hash") for part in self._parts[1:]]
        for helper in helpers:
            helper.start()
        try:
            self._work(self._parts[0])
        finally:
            self._ended = True
            for helper in helpers:
                helper.join()
        if self._failure is not None:
            raise self._failure
        return b"".join(self._lists)

    def _help(self, part: memoryview) -> None:
        try:
            self._work(part)
        except Exception as failure:
            self._failure = failure
            self._ended = True

    def _work(self, part: memoryview) -> None:
        while True:
            with self._filling:
                if self._ended:
                    return
                place = len(self._lists)
                self._lists.append(b"")
                ends = self._fill(part)
            self._lists[place] = chunk_list(part, ends)

    def _fill(self, part: memoryview) -> list[int]:
        """Fill a part behind the bytes of the open chunk; where the chunks end that are complete in it."""
        at = len(self._open)
        part[:at] = self._open
        got = self._read(part[at:])
        if got == 0:
            self._ended = True
            return [at] if at else []
        ends = [at + end for end in self._chunker.cuts(part[at : at + got])]
        self._open = part[ends[-1] if ends else 0 : at + got]
        return ends
