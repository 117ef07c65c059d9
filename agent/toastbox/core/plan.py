"""From entries of the journal and what is here to steps, in an order that is right whatever the mixture.

    0 unblock    what took a folder's place here is renamed, too: elsewhere something was put into that folder;
                 rows of the index stay as they are
    1 aside      local versions that lost are renamed to their conflict name; their rows are dropped, and for a
                 folder those below it (below anything else, rows are deletions still to be proposed)
    2 stage      content is fetched and flushed (all before anything visible changes)
    3 clear      files and links that a folder takes the place of are removed
    4 folders    made, outermost first
    5 renames    files that only have another path now
    6 removals   files and links, 7 rmdirs: folders, content before folder
    8 publish    staged files and links get their names
    9 meta       only time or executable bit differ; adopt: equal already; keep: the local one is to be proposed

A rename is taken as one when the journal says so (PAIR: the next entry deletes the old path), the file is still
what the journal thinks it is, and nothing is at the new path. Otherwise content is found by its hash, as always.
"""

from toastbox.core.conflict import ADOPT, BOTH, KEEP, NOTHING, TAKE, resolve
from toastbox.core.entry import DELETED, FOLDER, PAIR, Entry
from toastbox.core.names import conflict_path, key_of, parent_of


class Item:
    """One entry of the journal (remote), what it was last agreed to be (base), and what is here (local).

    blocked_by: when nothing can be here because something above is no folder: the path of that, else b"".
    """

    __slots__ = ("base", "blocked_by", "local", "remote")

    def __init__(self, remote: Entry, base: Entry | None, local: Entry | None, blocked_by: bytes = b"") -> None:
        self.remote = remote
        self.base = base
        self.local = local
        self.blocked_by = blocked_by


class Plan:
    """Steps by phase; see above. unblock, aside: (path, new path); renames: (old, new, entry).

    rmdirs: (path, whether a file takes its place).
    """

    def __init__(self) -> None:
        self.unblock: list[tuple[bytes, bytes]] = []
        self.aside: list[tuple[bytes, bytes]] = []
        self.stage: list[Entry] = []
        self.clear: list[bytes] = []
        self.folders: list[bytes] = []
        self.renames: list[tuple[bytes, bytes, Entry]] = []
        self.removals: list[bytes] = []
        self.rmdirs: list[tuple[bytes, bool]] = []
        self.publish: list[Entry] = []
        self.meta: list[Entry] = []
        self.adopt: list[Entry] = []
        self.keep: list[Entry] = []


def plan(items: list[Item], device_name: str) -> Plan:
    """Steps for a batch of entries in the order of the journal, each path at most once.

    device_name: of this device, for the names of conflict copies.
    """
    steps = Plan()
    outcomes = [resolve(item.base, item.local, item.remote) for item in items]
    moved = {items[at].remote.path for at in range(len(items)) if outcomes[at] == BOTH and _is_folder(items[at].local)}
    if moved:
        items = [_moved_away(item) if _is_below(item.remote.path, moved) else item for item in items]
        outcomes = [resolve(item.base, item.local, item.remote) for item in items]
    _clear_way(items, outcomes, steps, device_name)
    skip = -1
    for at, item in enumerate(items):
        partner = items[at + 1] if at + 1 < len(items) else None
        if partner is not None and outcomes[at] == outcomes[at + 1] == TAKE and _is_rename(item, partner):
            steps.renames.append((partner.remote.path, item.remote.path, item.remote))
            skip = at + 1
        elif at != skip:
            _decide(item, outcomes[at], steps, device_name)
    _sort(steps)
    return steps


def _clear_way(items: list[Item], outcomes: list[int], steps: Plan, device_name: str) -> None:
    """Move aside what took the place of a folder here while something was put into that folder elsewhere.

    Unless the folder itself is in the batch: then its own entry decides.
    """
    settled = {items[at].remote.path for at in range(len(items)) if outcomes[at] in (TAKE, BOTH)}
    for at, item in enumerate(items):
        path = item.blocked_by
        if path and path not in settled and outcomes[at] == TAKE:
            settled.add(path)
            steps.unblock.append((path, conflict_path(path, device_name, item.remote.seq)))


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == FOLDER


def _is_below(path: bytes, folders: set[bytes]) -> bool:
    while path:
        path = parent_of(path)
        if path in folders:
            return True
    return False


def _moved_away(item: Item) -> Item:
    """A folder above is moved aside with all that is in it: nothing is here any more."""
    return Item(item.remote, None, None)


def _is_rename(item: Item, partner: Item) -> bool:
    """Both would be taken; whether they come to the same as a rename."""
    old, new = partner.local, item.remote
    return (
        new.flags & PAIR != 0
        and item.local is None
        and partner.remote.kind == DELETED
        and old is not None
        and old.kind == new.kind != FOLDER
        and old.content == new.content
    )


def _decide(item: Item, outcome: int, steps: Plan, device_name: str) -> None:
    remote, local = item.remote, item.local
    if outcome == KEEP:
        steps.keep.append(remote)
    elif outcome == ADOPT:
        _adopt(remote, local, steps)
    elif outcome != NOTHING:
        if outcome == BOTH:
            steps.aside.append((remote.path, conflict_path(remote.path, device_name, remote.seq)))
            local = None
        _take(remote, local, steps)


def _adopt(remote: Entry, local: Entry | None, steps: Plan) -> None:
    """Equal in kind and content. The list of chunks is known here when the journal's entry came without."""
    if local is None or remote.kind in (DELETED, FOLDER):
        steps.adopt.append(remote)
        return
    if local.chunks and not remote.chunks:
        remote.chunks = local.chunks
    equal = local.mtime_ns == remote.mtime_ns and local.same_content(remote)
    (steps.adopt if equal else steps.meta).append(remote)


def _take(remote: Entry, local: Entry | None, steps: Plan) -> None:
    """local: what is at the path, None for nothing. It differs from remote."""
    if remote.kind == DELETED:
        if _is_folder(local):
            steps.rmdirs.append((remote.path, False))
        else:
            steps.removals.append(remote.path)
    elif remote.kind == FOLDER:
        if local is not None:
            steps.clear.append(remote.path)
        steps.folders.append(remote.path)
    else:
        if _is_folder(local):
            steps.rmdirs.append((remote.path, True))
        steps.stage.append(remote)
        steps.publish.append(remote)


def _sort(steps: Plan) -> None:
    steps.folders.sort(key=key_of)
    steps.removals.sort(key=key_of, reverse=True)
    steps.rmdirs.sort(key=_rmdir_key, reverse=True)
    steps.publish.sort(key=_entry_key)


def _rmdir_key(step: tuple[bytes, bool]) -> bytes:
    return key_of(step[0])


def _entry_key(entry: Entry) -> bytes:
    return key_of(entry.path)
