"""From entries of the journal and what is here to steps, in an order that is right whatever the mixture.

    1 aside      local versions that lost are renamed to their conflict name
    2 stage      content is fetched and flushed (all before anything visible changes)
    3 clear      files and links that a folder takes the place of are removed
    4 folders    made, outermost first
    5 renames    files that only have another path now
    6 removals   files and links, 7 rmdirs: folders, content before folder
    8 publish    staged files and links get their names
    9 meta       only time or executable bit differ; adopt: equal already; keep: the local version is to be proposed

A rename is taken as one when the journal says so (PAIR: the next entry deletes the old path), the file is still what
the journal thinks it is, and nothing is at the new path. Otherwise content is found by its hash, as always.
"""

from toastbox.core.conflict import ADOPT, BOTH, KEEP, NOTHING, resolve
from toastbox.core.entry import DELETED, FILE, FOLDER, PAIR, Entry
from toastbox.core.names import conflict_path, key_of


class Item:
    """One entry of the journal (remote), what it was last agreed to be (base), and what is here (local)."""

    __slots__ = ("base", "local", "remote")

    def __init__(self, remote: Entry, base: Entry | None, local: Entry | None) -> None:
        self.remote = remote
        self.base = base
        self.local = local


class Plan:
    """Steps by phase; see above. rmdirs: (path, a file takes its place); renames: (old, new, entry)."""

    def __init__(self) -> None:
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
    """Steps for a batch of entries, in any order, each path at most once."""
    steps = Plan()
    renamed = _renames(items, steps)
    for item in items:
        if item.remote.path not in renamed:
            _decide(item, steps, device_name)
    _sort(steps)
    return steps


def _renames(items: list[Item], steps: Plan) -> set[bytes]:
    done: set[bytes] = set()
    for item, partner in zip(items, items[1:]):
        if item.remote.flags & PAIR and _is_rename(item, partner):
            steps.renames.append((partner.remote.path, item.remote.path, item.remote))
            done.add(item.remote.path)
            done.add(partner.remote.path)
    return done


def _is_rename(item: Item, partner: Item) -> bool:
    old = partner.local
    return (
        partner.remote.kind == DELETED
        and item.local is None
        and old is not None
        and old.kind == FILE
        and old.content == item.remote.content
        and item.remote.kind == FILE
        and partner.base is not None
        and partner.base.same_content(old)
    )


def _decide(item: Item, steps: Plan, device_name: str) -> None:
    remote, local = item.remote, item.local
    outcome = resolve(item.base, local, remote)
    if outcome == KEEP:
        steps.keep.append(remote)
    elif outcome == NOTHING:
        steps.adopt.append(remote)
    elif outcome == ADOPT:
        timeless = local is None or remote.kind in (DELETED, FOLDER) or local.mtime_ns == remote.mtime_ns
        (steps.adopt if timeless else steps.meta).append(remote)
        if local is not None and local.chunks and not remote.chunks:
            remote.chunks = local.chunks
    else:
        if outcome == BOTH:
            steps.aside.append((remote.path, conflict_path(remote.path, device_name, remote.seq)))
            local = None
        _take(remote, local, steps)


def _take(remote: Entry, local: Entry | None, steps: Plan) -> None:
    is_folder = local is not None and local.kind == FOLDER
    if remote.kind == DELETED:
        if is_folder:
            steps.rmdirs.append((remote.path, False))
        else:
            steps.removals.append(remote.path)
    elif remote.kind == FOLDER:
        if local is not None and not is_folder:
            steps.clear.append(remote.path)
        steps.folders.append(remote.path)
    elif local is not None and local.kind == FILE and remote.kind == FILE and local.content == remote.content:
        steps.meta.append(remote)
    else:
        if is_folder:
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
