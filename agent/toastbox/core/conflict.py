"""Who keeps a path when the journal and this device differ: a pure function of three entries.

The journal's entry always keeps the path: it was committed first, and that is the same for everybody. What decides is
whether this device has something the journal has not seen. No clock is looked at.

    local \\ remote          same content   file or link      folder          deleted
    unchanged since base     ADOPT          TAKE              TAKE            TAKE
    changed, or never known  ADOPT          BOTH              BOTH            KEEP
    nothing                  -              TAKE              TAKE            ADOPT
"""

from toastbox.core.entry import DELETED, Entry

NOTHING, ADOPT, TAKE, KEEP, BOTH = 0, 1, 2, 3, 4


def resolve(base: Entry | None, local: Entry | None, remote: Entry) -> int:
    """NOTHING: equal and known. ADOPT: equal, the revision is new. TAKE: apply the journal's entry.

    KEEP: the local version wins and is to be proposed as the successor of remote. BOTH: the local version is moved
    aside, then the journal's is applied. base: what local and journal last agreed on; None or DELETED: nothing.
    """
    here = None if local is None or local.kind == DELETED else local
    if here is None:
        return ADOPT if remote.kind == DELETED else TAKE
    if here.same_content(remote):
        known = base is not None and base.seq == remote.seq
        return NOTHING if known and here.mtime_ns == remote.mtime_ns else ADOPT
    if base is not None and base.same_content(here):
        return TAKE
    return KEEP if remote.kind == DELETED else BOTH
