"""What a power cut left is told from what its owner did."""

from toastbox.core.aftermath import LOST, OTHER, SAME, judge
from toastbox.core.entry import EMPTY_CONTENT, EXECUTABLE, FILE, FOLDER, LINK, Entry


def file(content: bytes, size: int = 9, flags: int = 0) -> Entry:
    return Entry(b"p", FILE, flags, 3, 0, size, content * 32)


OLD, NEW, EDIT = file(b"o"), file(b"n"), file(b"e")
TORN, EMPTY = file(b"t", 4), Entry(b"p", FILE, content=EMPTY_CONTENT)
DIRECTORY, SYMLINK = Entry(b"p", FOLDER), Entry(b"p", LINK, content=b"x")
CASES = [
    # agreed, before, found, untouched, verdict
    (NEW, OLD, NEW, False, SAME),
    (NEW, OLD, NEW, True, SAME),
    (NEW, OLD, OLD, False, LOST),  # a rename forgotten
    (NEW, None, None, False, LOST),  # a new name forgotten
    (NEW, OLD, None, False, LOST),
    (NEW, OLD, EMPTY, False, LOST),
    (NEW, None, TORN, True, LOST),
    (NEW, None, TORN, False, OTHER),
    (NEW, OLD, EDIT, False, OTHER),  # its owner was at it after the start
    (NEW, NEW, EDIT, False, OTHER),
    (NEW, NEW, EMPTY, False, LOST),  # saved again with the same content
    (EMPTY, OLD, EMPTY, False, SAME),  # emptied on purpose
    (file(b"n", 9, EXECUTABLE), NEW, NEW, False, LOST),
    (None, OLD, None, False, SAME),
    (None, OLD, OLD, False, LOST),  # a deletion forgotten
    (None, OLD, EDIT, False, OTHER),  # a new file of that name
    (None, None, EMPTY, False, LOST),
    (DIRECTORY, None, None, False, LOST),
    (DIRECTORY, None, DIRECTORY, False, SAME),
    (DIRECTORY, OLD, OLD, False, LOST),
    (NEW, DIRECTORY, DIRECTORY, False, LOST),
    (SYMLINK, OLD, SYMLINK, False, SAME),
    (SYMLINK, NEW, OLD, False, OTHER),
    (NEW, None, DIRECTORY, True, OTHER),
]


def test_what_the_cut_did_is_told_from_what_a_person_did():
    for agreed, prior, found, untouched, verdict in CASES:
        assert judge(agreed, prior, found, untouched) == verdict, (agreed, prior, found, untouched)


def test_a_version_that_is_nowhere_else_is_never_lost():
    for agreed in (None, OLD, NEW, EMPTY, DIRECTORY, SYMLINK):
        for prior in (None, OLD, NEW, DIRECTORY):
            assert judge(agreed, prior, EDIT, False) == OTHER, (agreed, prior)
