"""Chunks of a file whose upload is not over, told to the other devices (docs/SPEC.md, section 12).

A *run* says that chunks which the hub has by now follow each other in a file, from an offset on. Like a push it is a
hint: it may be lost, doubled, old or a lie. What was fetched because of it is used only where the journal's own chunk
list has the same chunk at the same place.
"""

import hashlib
import struct

from toastbox.core.content import ITEM_SIZE, MAX_CHUNK, items
from toastbox.core.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN_SIZE = 16
MAX_ITEMS = 2048  # of a run
MAX_RUN = TOKEN_SIZE + 8 + MAX_ITEMS * ITEM_SIZE
MAX_OFFSET = 1 << 62
_MARK = b"toastbox ahead 1\n"
_HEAD = struct.Struct if False else None


def token_of(path: bytes, size: int, mtime_ns: int) -> bytes:
    """What names the upload of this version of a file; an entry of the journal gives the same."""
    digest = hashlib.sha256(_MARK)
    digest.update(struct.pack("<Qq", size, mtime_ns))
    digest.update(path)
    return digest.digest()[:TOKEN_SIZE]
