"""After a crash: what an intent says is still to be done.

A batch is applied in this order, and every line is a place where the power may go:

    1  files are staged under names of their own
    2  an intent for each path is written: staged name, inode, entry, and what it is to replace (`expected`)
    3  one flush: staged bytes and intents are on stable storage
    4  each path is renamed into place: a new one if nothing is there, an old one by exchange, so that what was
       replaced is now under the staged name; it is removed if it is what was expected
    5  rows and cursor are written

The intent stays until a later flush has made its rename durable. So for each intent the disk shows one of these:

    under the staged name      at the path           then
    nothing                    anything              published (and perhaps changed since by its owner): NOTHING
    the staged file            nothing, or expected  not published, or the rename was lost: PUBLISH
    the staged file            anything else         its owner was at it: SET_ASIDE, then publish
    another file, as expected  anything              exchanged, the old version is left: DISCARD
    another file               anything              exchanged with an edit nobody has seen: KEEP_COPY

Files are compared by what a rename does not alter (inode, size, time of modification, kind), packed into bytes by
the caller; b"" is nothing.
"""

NOTHING = 0
PUBLISH = 1  # rename the staged file into place, replacing what is expected there
SET_ASIDE = 2  # move what is at the path to its conflict name, then publish
DISCARD = 3  # remove what is under the staged name
KEEP_COPY = 4  # move what is under the staged name to the path's conflict name
REMOVE = 5  # remove what is at the path


def recover(staged_inode: int, found_inode: int | None, found: bytes, present: bytes, expected: bytes) -> int:
    """What to do about the intent to publish.

    staged_inode: of the staged file when the intent was written. found_inode, found: what has the staged name now,
    None and b"" for nothing. present: what is at the path now. expected: what was to be replaced.
    """
    if found_inode is None:
        return NOTHING
    if found_inode == staged_inode:
        return PUBLISH if present in (b"", expected) else SET_ASIDE
    return DISCARD if found == expected else KEEP_COPY


def recover_removal(present: bytes, expected: bytes, known: bool) -> int:
    """What to do about the intent to remove, or to rename away. known: the path still has its row.

    With its row the cursor was not written either: the entry comes again. Without, the removal was told to be done
    but may have been lost with the power.
    """
    return REMOVE if present == expected != b"" and not known else NOTHING
