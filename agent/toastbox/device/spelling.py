"""File systems to which names that differ in case are one name (FAT, exFAT, ext4 with casefold).

To the journal they are two. So what the disk keeps under another spelling is not there under this one: else an entry
would be compared with the file of another entry, replace it, or delete it. The new one is then refused by the disk
itself, as the name is taken, and held back. `.TOASTBOX` is not there either: nothing of a peer gets into our state.

How a name is spelled only a listing tells. One folder's names are remembered, and listed anew before anything is
called another's.
"""

import os
from collections.abc import Callable

TAKEN = "a name here differs from it in case only, which this file system does not tell apart"


class Spelling:
    """Names as the disk has them. state: inode of our own folder. list_names(descriptor): what is in a folder."""

    def __init__(self, state: int, list_names: Callable[[int], list[str]]) -> None:
        self._state = state
        self._list_names = list_names
        self._folder: bytes | None = None
        self._names: set[bytes] = set()

    def is_another(self, path: bytes, parent: int, inode: int) -> bool:
        """Whether what was found at a path has another name. parent: descriptor of the folder it is in."""
        folder, _, leaf = path.rpartition(b"/")
        if inode == self._state:
            return True
        if folder == self._folder and leaf in self._names:
            return False
        self._folder, self._names = folder, {os.fsencode(name) for name in self._list_names(parent)}
        return leaf not in self._names and folded(leaf) in map(folded, self._names)

    def made(self, path: bytes) -> None:
        """It has this name now."""
        folder, _, leaf = path.rpartition(b"/")
        if folder == self._folder:
            self._names.add(leaf)

    def forget(self) -> None:
        """Others may have been at it."""
        self._folder = None
        self._names = set()


def folded(name: bytes) -> str:
    """What is the same for names that may be one to such a file system."""
    return name.decode("utf-8", "replace").casefold()
