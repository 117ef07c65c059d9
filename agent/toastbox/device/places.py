"""Where in a file its chunks are."""


class Places:
    """Where the chunks of a list are in its file. Asked for in about the order of the list, it looks at each once."""

    def __init__(self, chunks: bytes) -> None:
        self._chunks = chunks
        self._at = self._offset = 0

    def find(self, digest: bytes) -> tuple[int, int] | None:
        """(offset, size) of a chunk with this hash, or None."""
        if self._chunks[self._at : self._at + 32] != digest and not self._seek(digest):
            return None
        size = int.from_bytes(self._chunks[self._at + 32 : self._at + 36], "little")
        place = self._offset, size
        self._at += 36
        self._offset += size
        return place

    def _seek(self, digest: bytes) -> bool:
        """Go to the first chunk with this hash; stay when there is none."""
        at = self._chunks.find(digest)
        while at >= 0 and at % 36:
            at = self._chunks.find(digest, at + 1)
        if at < 0:
            return False
        sizes = (self._chunks[i + 32 : i + 36] for i in range(0, at, 36))
        self._at, self._offset = at, sum(int.from_bytes(size, "little") for size in sizes)
        return True


def changed_span(old: bytes, new: bytes) -> tuple[int, int, int]:
    """(begin, end in old, end in new) of what differs between two chunk lists, in bytes, whole items."""
    begin, least = 0, min(len(old), len(new))
    while begin < least and old[begin : begin + 36] == new[begin : begin + 36]:
        begin += 36
    same = 0
    while same < least - begin and _item(old, same) == _item(new, same):
        same += 36
    return begin, len(old) - same, len(new) - same


def _item(chunks: bytes, behind: int) -> bytes:
    """The item before the last `behind` bytes."""
    return chunks[len(chunks) - behind - 36 : len(chunks) - behind]
