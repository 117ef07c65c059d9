"""What must hold in every history (the blueprint's promises), checked while it runs and at its end.

A *version* is the content of a file or the target of a link that a user saved. It must be found again as a file
somewhere or as a version of the journal with all its chunks, for ever, with three excuses: the user who saved it
destroyed it before the hub had it; a power cut took it before it was on stable storage and before the hub had it; the
hub's owner put an old journal back and no device has it any more.

While it runs: nothing that a device drops is the last of its version; what a device shows is whole; nobody replaces or
deletes in the journal what was never in his folder; what a power cut made of a path (nothing, an older version, an
empty or torn file) never replaces the version that the journal has of it; a number of the journal never means two
things; what was called committed stays. At the end: all folders and the journal are equal, nothing is left over, and
one more round does nothing.
"""

from collections.abc import Iterable

from toastbox.core.entry import DELETED, FILE
from toastbox.core.names import path_of
from toastbox.hub.journal.base import Row

from .disk import FILE as INODE_FILE
from .disk import FOLDER as INODE_FOLDER
from .disk import LINK as INODE_LINK
from .disk import Disk, Inode
from .hub import Hub

KINDS = {INODE_FILE: 1, INODE_FOLDER: 2, INODE_LINK: 3}
Version = tuple[int, bytes]  # kind of an entry, held
NOTHING: Version = (0, b"")


class Broken(AssertionError):
    """A promise is broken."""


class Ledger:
    """Remembers what users saved and what the hub said."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._disks: dict[str, Disk] = {}
        self._versions: dict[bytes, str] = {}
        self._whole: set[bytes] = {b""}
        self._had: dict[str, set[bytes]] = {}
        self._kept: set[bytes] = set()
        self._restored = False
        self._undone: dict[str, dict[bytes, tuple[Version, Version]]] = {}  # by a power cut: before, after
        self.overrules: set[str] = set()  # devices that only send: their files replace whatever there is
        self._means: dict[tuple[int, int], tuple[bytes, int, bytes]] = {}
        self._committed: dict[tuple[int, int], tuple[bytes, int, bytes]] = {}

    def watch(self, name: str, disk: Disk) -> None:
        self._disks[name] = disk
        self._had[name] = {b""}
        self._undone[name] = {}
        disk.dropped = lambda held, by_user: self.dropped(name, held, by_user)
        disk.shown = lambda inode: self.shown(name, inode)

    # --- on devices

    def saved(self, name: str, held: bytes, what: str) -> None:
        """A user left this content at rest."""
        self._whole.add(held)
        self._had[name].add(held)
        if held:
            self._versions.setdefault(held, f"{what} on {name}")

    def dropped(self, name: str, held: bytes, by_user: bool) -> None:
        """The last name of this content on a device went, or it was written over."""
        if held not in self._versions or self._found(held):
            return
        if not by_user:
            raise Broken(f"{name} dropped the last of a version: {self._versions[held]}: {brief(held)}")
        del self._versions[held]

    def shown(self, name: str, inode: Inode) -> None:
        """A device put something at a path."""
        if inode.held not in self._whole:
            raise Broken(f"{name} shows something that nobody saved: {brief(inode.held)}")
        self._had[name].add(inode.held)

    def power_cut(self, name: str, disk: Disk, durable: set[bytes], torn: Iterable[Inode]) -> None:
        """durable: what was on stable storage at the last sync of everything; torn: files cut short."""
        for inode in torn:
            if not inode.by_user and not any(inode is staged for staged in disk.staged()):
                raise Broken(f"the power cut left {name} half a file: {brief(inode.held)}")
            self._whole.add(inode.data)
            self._had[name].add(inode.data)
        for held in self._missing():
            if held in durable:
                raise Broken(f"the power cut took from {name} what was safe: {self._versions[held]}: {brief(held)}")
            del self._versions[held]

    def undone(self, name: str, before: dict[bytes, Version], after: dict[bytes, Version]) -> None:
        """What the power cut has done to the paths of a device."""
        known = self._undone[name]
        for path in before.keys() | after.keys():
            was, now = before.get(path, NOTHING), after.get(path, NOTHING)
            if was != now:
                known[path] = known[path][0] if path in known else was, now

    def touched(self, name: str, path: bytes) -> None:
        """A user was at a path: what is there, above and below is his doing from now on."""
        for other in list(self._undone[name]):
            if other == path or other.startswith(path + b"/") or path.startswith(other + b"/"):
                del self._undone[name][other]

    def versions_on(self, disk: Disk) -> set[bytes]:
        return {held for held in self._versions if disk.durable(held)}

    # --- in the journal

    def judged(self, name: str, before: int) -> None:
        """The hub has carried out a commit of a device; before: its head until then."""
        for row in self._hub.rows(before) if before else self._hub.rows():
            if row.seq > before:
                self._note(row)
                self._check_author(name, row)
                self._check_cut(name, row)

    def _note(self, row: Row) -> None:
        meaning = (row.key, row.kind, row.content)
        if self._means.setdefault((self._hub.service.epoch, row.seq), meaning) != meaning:
            raise Broken(f"number {row.seq} was given twice")
        held = self._hub.held_by(row)
        if row.kind == FILE and held not in self._whole:
            raise Broken(f"the journal has a version that nobody saved: {describe(row)}")
        if held:
            self._kept.add(held)

    def _check_author(self, name: str, row: Row) -> None:
        """After a restore a device may rightly replace a version older than what it had by its successor."""
        if self._restored or (name in self.overrules and row.kind):
            return
        replaced = self._hub.row(row.parent) if row.parent else None
        if replaced is None or not replaced.kind or not replaced.content or replaced.content == row.content:
            return
        if self._hub.held_by(replaced) not in self._had[name]:
            raise Broken(f"{name} replaced what it never had: {describe(replaced)} by {describe(row)}")

    def _check_cut(self, name: str, row: Row) -> None:
        was, now = self._undone[name].get(path_of(row.key), (NOTHING, NOTHING))
        replaced = self._hub.row(row.parent) if row.parent else None
        if was == now or replaced is None or self._restored or (name in self.overrules and row.kind):
            return
        if replaced.kind == DELETED:
            return  # an index that is older than the disk: what comes back is a version too many, and none is lost
        if self._version(replaced) == was and self._version(row) == now:
            raise Broken(f"a power cut of {name} replaced {describe(replaced)} by {describe(row)}")

    def _version(self, row: Row) -> Version:
        return row.kind, self._hub.held_by(row) or b""

    def acknowledged(self, seq: int, key: bytes, kind: int, content: bytes) -> None:
        self._committed[self._hub.service.epoch, seq] = (key, kind, content)

    def restored(self) -> None:
        """The hub's owner put an old journal back."""
        self._restored = True
        self._committed.clear()
        self._kept = {held for row in self._hub.rows() if (held := self._hub.held_by(row))}
        for held in self._missing():
            del self._versions[held]

    # --- at any time

    def check_hub(self) -> None:
        """Nothing acknowledged is lost, every version is complete."""
        rows = {row.seq: row for row in self._hub.rows()}
        for row in rows.values():
            if row.kind == FILE and self._hub.data_of(row) is None:
                raise Broken(f"a chunk is missing of {describe(row)}")
        for (epoch, seq), meaning in self._committed.items():
            row = rows.get(seq)
            if epoch == self._hub.service.epoch and (row is None or (row.key, row.kind, row.content) != meaning):
                raise Broken(f"entry {seq} was acknowledged as {meaning} and is {row}")

    def check_versions(self) -> None:
        for held in self._missing():
            raise Broken(f"lost: {self._versions[held]}: {brief(held)}")

    def _missing(self) -> list[bytes]:
        return [held for held in self._versions if not self._found(held)]

    def _found(self, held: bytes) -> bool:
        return held in self._kept or any(disk.holds(held) for disk in self._disks.values())


def tree_of(disk: Disk) -> dict[bytes, Version]:
    return {path: (KINDS[inode.kind], inode.held) for path, inode, _ in disk.walk() if inode.kind in KINDS}


def brief(held: bytes) -> str:
    return repr(held[:40]) + (f" and {len(held) - 40} bytes" if len(held) > 40 else "")


def describe(row: Row) -> str:
    kind = ("deletion of", "file", "folder", "link")[row.kind]
    return f"{kind} {path_of(row.key)!r} (entry {row.seq} of device {row.device}, {row.size} bytes)"
