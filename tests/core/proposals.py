"""The order in which the model of a device proposes changes. The agent comes to one like it while it walks."""

from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, PAIR, Entry
from toastbox.core.names import key_of


class Change:
    """One path to be proposed. entry: as it shall be; before: kind it has in the journal, DELETED for none.

    moved_from: the path the file was renamed from, if the list has a deletion of it, or b"".
    """

    __slots__ = ("before", "entry", "moved_from")

    def __init__(self, entry: Entry, before: int = DELETED, moved_from: bytes = b"") -> None:
        self.entry = entry
        self.before = before
        self.moved_from = moved_from

    @property
    def key(self) -> bytes:
        return key_of(self.entry.path)


def order_changes(changes: list[Change]) -> list[Change]:
    """Changes in an order in which a journal accepts each: folders exist before, and are empty after, their content.

    First what lies below paths that stop being folders, content before folder. Then creations and changes in
    order of key, each rename followed by its deletion (and marked PAIR). Then all other deletions, content
    before folder. A rename out of a folder that becomes a file is taken apart: its deletion has to go first.
    """
    deletions = {change.key: change for change in changes if change.entry.kind == DELETED}
    others = sorted([change for change in changes if change.entry.kind != DELETED], key=_key)
    below: list[Change] = []
    for change in others:
        if change.before == FOLDER and change.entry.kind in (FILE, LINK):
            below += _take_below(deletions, change.key)
    below.sort(key=_key, reverse=True)
    middle: list[Change] = []
    for change in others:
        middle.append(change)
        partner = deletions.pop(key_of(change.moved_from), None) if change.moved_from else None
        change.entry.flags &= ~PAIR
        if partner is not None:
            change.entry.flags |= PAIR
            middle.append(partner)
    return below + middle + sorted(deletions.values(), key=_key, reverse=True)


def _take_below(deletions: dict[bytes, Change], folder: bytes) -> list[Change]:
    taken = [key for key in deletions if key.startswith(folder + b"\0")]
    return [deletions.pop(key) for key in taken]


def _key(change: Change) -> bytes:
    return change.key
