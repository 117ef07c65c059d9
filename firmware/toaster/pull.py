"""What the journal brings, page by page, and what is known of a file's content. batch.py does what a page says."""

import gc
import hashlib

from toastbox.core.content import ITEM_SIZE, LIST_MARK, list_of
from toaster.http import BadPeer
from toaster.modules import forget


class Puller:
    """engine: what it belongs to. batch: what does pages, None while it is not loaded.

    first: of the names in the stage; never those of the batch before, which may be unfinished.
    """

    def __init__(self, engine):
        self.engine = engine
        self.disk, self.state, self.remote = engine.disk, engine.state, engine.remote
        self.batch = None
        self.first = 1
        self.load().recover()

    def load(self):
        """What does pages: a fifth of the program, needed only when something comes."""
        if self.batch is None:
            gc.collect()
            from toaster.batch import Batch

            self.batch = Batch(self)
        return self.batch

    def rest(self):
        """Nothing has come for a while."""
        if self.batch is not None:
            self.batch = None
            forget("batch")

    def pull(self):
        """Take everything up to the head; whether anything came."""
        state, came = self.state, False
        while True:
            page = self.remote.pull(state.cursor, state.epoch, self.engine.entries)
            if state.epoch and page.epoch != state.epoch:
                self.remote.close()
                state.forget_revisions(page.epoch)
                continue
            first = state.epoch == 0
            state.epoch = page.epoch
            entries = [record.entry for record in page.records()]
            if entries:
                came = True
                self.load().apply(entries, page.cursor)
            elif first or page.cursor != state.cursor:
                state.cursor = page.cursor
                state.commit()
            gc.collect()
            if page.cursor >= page.head:
                return came

    def retry_held(self):
        """Ask again for what was held back."""
        state = self.state
        if state.low:
            state.cursor, state.low = min(state.cursor, state.low - 1), 0
            self.engine.held.clear()

    def matches(self, path, entry):
        """Whether the file has an entry's content, by the entry's own cuts."""
        with open(self.disk.where(path), "rb") as file:
            for items in self.lists(entry):
                for at in range(0, len(items), ITEM_SIZE):
                    if self.hash_piece(file, int.from_bytes(items[at + 32 : at + 36], "little")) != items[at : at + 32]:
                        return False
            return not file.read(1)

    def lists(self, entry):
        """The chunk list of a file, some items at a time, verified at the end. Raises BadPeer."""
        if entry.listed:
            if entry.size:
                yield list_of(entry)
            return
        digest, first, total = hashlib.sha256(LIST_MARK), 0, 1
        while first < total:
            items, total = self.remote.chunk_list(entry.content, first)
            digest.update(items)
            first += len(items) // ITEM_SIZE
            yield items
        if digest.digest() != entry.content:
            raise BadPeer("a chunk list does not have its content id")

    def hash_piece(self, file, size):
        digest, view = hashlib.sha256(), memoryview(self.remote.buffer)
        while size:
            count = file.readinto(view[: min(size, len(view))])
            if not count:
                return b""
            digest.update(view[:count])
            size -= count
        return digest.digest()
