"""Short ways to make entries and to expect refusals. Imports core only: runs under MicroPython too."""

import hashlib

from toastbox.core.entry import DELETED, EMPTY_CONTENT, EXECUTABLE, FILE, FOLDER, LINK, Entry
from toastbox.core.errors import WireError


def digest(text):
    return hashlib.sha256(text).digest()


def file(path, text=b"old", seq=1, mtime_ns=0, executable=False):
    content = digest(text) if text else EMPTY_CONTENT
    return Entry(path, FILE, EXECUTABLE if executable else 0, seq, mtime_ns, len(text), content)


def folder(path, seq=1):
    return Entry(path, FOLDER, 0, seq)


def link(path, target=b"target", seq=1):
    return Entry(path, LINK, 0, seq, 0, 0, target)


def deleted(path, seq=1):
    return Entry(path, DELETED, 0, seq)


def chunk_list(*sizes):
    """A chunk list of different chunks with these sizes."""
    return b"".join([digest(str(at).encode()) + sizes[at].to_bytes(4, "little") for at in range(len(sizes))])


def refusal(function, *arguments):
    """What the WireError says that the call raises."""
    try:
        function(*arguments)
    except WireError as error:
        return str(error)
    raise AssertionError("not refused")
