"""Who wins when a path has changed here and in the journal.

A pure function of three versions: base, what both sides last agreed on; local, what is here now; remote, what
the journal says. The journal's entry always keeps the path: all devices come to the same tree because each of
them moves its own version out of the way. No time is compared.

    local \\ remote    deleted                        live
    nothing           ADOPT                          TAKE (KEEP if the journal has not moved on: our deletion)
    as base           TAKE                           TAKE
    edited, new       KEEP: an edit beats a delete   ADOPT if equal; KEEP if the remote is as base; else BOTH

A base with a negative seq was agreed with a journal that has since been put back to an older state: whether this one
has that version is not known, so it is never taken for old. Where the remote is older, what is here is its successor:
KEEP. Where it is newer it may have been made without knowledge of ours: BOTH.
"""

from toastbox.core.entry import DELETED, EXECUTABLE, FOLDER, Entry

NOTHING = 0  # equal and known, or older than what is known
ADOPT = 1  # equal: take note of the revision (and its time)
TAKE = 2  # apply the remote
KEEP = 3  # the local version wins: propose it as the successor of the remote
BOTH = 4  # move the local version to conflict_path, then apply the remote


def resolve(base: Entry | None, local: Entry | None, remote: Entry) -> int:
    """What to do about a remote entry. base, local: None or DELETED: there is (was) nothing at the path."""
    base = _live(base)
    local = _live(local)
    if base is not None and base.seq > remote.seq:
        return NOTHING
    known = base is not None and base.seq == remote.seq and base.kind == remote.kind
    if local is None:
        if remote.kind == DELETED:
            return ADOPT
        return KEEP if known else TAKE
    if remote.kind == DELETED:
        return TAKE if base is not None and base.seq >= 0 and base.same_content(local) else KEEP
    if local.kind == remote.kind and local.content == remote.content:
        return _resolve_equal(base, local, remote, known)
    if known:
        return KEEP
    return _resolve_different(base, local, remote)


def _live(entry: Entry | None) -> Entry | None:
    return None if entry is None or entry.kind == DELETED else entry


def _resolve_equal(base: Entry | None, local: Entry, remote: Entry, known: bool) -> int:
    """Same kind and content: at most the executable bit and the time differ."""
    if (local.flags ^ remote.flags) & EXECUTABLE == 0:
        return NOTHING if known and local.mtime_ns == remote.mtime_ns else ADOPT
    changed_here = base is not None and base.kind == local.kind and (base.flags ^ local.flags) & EXECUTABLE
    return KEEP if changed_here else ADOPT


def _resolve_different(base: Entry | None, local: Entry, remote: Entry) -> int:
    if base is None:
        return BOTH
    if base.seq < 0:
        return KEEP if remote.seq < -base.seq and local.kind == remote.kind != FOLDER else BOTH
    if base.same_content(local):
        return TAKE
    # A remote that differs from base in its time only is no edit. When kinds differ both are kept all the
    # same: what is below a folder may be unknown here.
    if base.same_content(remote) and local.kind == remote.kind != FOLDER:
        return KEEP
    return BOTH
