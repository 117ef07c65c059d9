"""After a power cut: whether what a path shows is its owner's doing.

A program saves a file and flushes nothing; the device sends it, the journal has it, the index says so. Then the power
goes, and the disk may show an older state of the path than the index: the version before, an empty or torn file, or
nothing. Nobody did that, so it must not travel as an edit, a revert or a deletion. Asked of the paths only that were
recorded and not yet known to be on stable storage; what is agreed of all others the disk cannot have forgotten.

    what the path shows                        then
    what was agreed                            SAME
    nothing                                    LOST: the journal's version is fetched again
    what was there before (a deletion, too)    LOST
    an empty file; or one not written since    LOST: times are as recorded, so it is what the cut left of it
    anything else                              OTHER: nobody knows whose; kept beside the journal's version

Of what is LOST the journal has all: it may be replaced. A time is compared for equality only, as clocks jump back.
"""

from toastbox.core.entry import DELETED, FILE

TYPE_CHECKING = False
if TYPE_CHECKING:  # MicroPython has no typing
    from toastbox.core.entry import Entry

SAME, LOST, OTHER = 0, 1, 2


def judge(agreed: "Entry | None", prior: "Entry | None", found: "Entry | None", untouched: bool) -> int:
    """What became of a path. agreed: its row; prior: what it was before; found: what is there now; None is nothing.

    untouched: the file found has inode and time of modification as they were when the row was written.
    """
    if agreed is not None and agreed.kind == DELETED:
        agreed = None
    if found is None:
        return SAME if agreed is None else LOST
    if agreed is not None and agreed.same_content(found):
        return SAME
    if prior is not None and prior.same_content(found):
        return LOST
    return LOST if found.kind == FILE and (found.size == 0 or untouched) else OTHER
