"""A file system in memory that forgets in a power cut what a real one may forget.

Names are journalled as ext4 does it: changes of names reach stable storage in order, each as a whole, some time after
they were made or at the next fsync of anything. So what a power cut leaves is the last synced tree and a prefix of the
changes of names since. Content is different: a file that was not synced since it was last written holds, after the
cut, what it held at its last sync, or what was written, or a part of it, or nothing.

Time stamps have the granularity of the file system (`tick_ns`); numbers of inodes are given out again.
"""

import random
from collections.abc import Callable, Iterator

FILE, FOLDER, LINK, PIPE = 0o100000, 0o040000, 0o120000, 0o010000
Attributes = tuple[bytes, int, int, int]  # data, mode, mtime_ns, ctime_ns


class Inode:
    """A file, folder, link or pipe. uid: never given out again; by_user: whoever made its content.

    shown: it has had a name outside the stage. What has not is on its way: nobody's copy yet.
    """

    __slots__ = (
        "by_user", "children", "ctime_ns", "data", "dirty", "kind", "links", "mode", "mtime_ns", "number", "shown",
        "synced", "target", "uid",
    )  # fmt: skip

    def __init__(self, uid: int, number: int, kind: int, mode: int, now_ns: int, by_user: bool) -> None:
        self.uid = uid
        self.number = number
        self.kind = kind
        self.mode = mode
        self.mtime_ns = self.ctime_ns = now_ns
        self.by_user = by_user
        self.shown = False
        self.data = b""
        self.target = b""
        self.children: dict[bytes, Inode] = {}
        self.links = 0
        self.dirty = True
        self.synced: Attributes | None = None

    @property
    def size(self) -> int:
        return len(self.target) if self.kind == LINK else 4096 if self.kind == FOLDER else len(self.data)

    @property
    def held(self) -> bytes:
        """What a person would call its content, with links told from files; b"" for nothing worth keeping."""
        return b"-> " + self.target if self.kind == LINK else self.data

    def sync(self) -> None:
        self.synced = (self.data, self.mode, self.mtime_ns, self.ctime_ns)
        self.dirty = False


class Disk:
    """One device's file system.

    now_ns: its clock. dropped(held, by_user): content lost its last name, or was written over. shown(inode): the
    device (not its user) gave a file a name outside the stage. rename(2) and the like come by kernel.py.
    """

    def __init__(self, now_ns: Callable[[], int], tick_ns: int, reuses: bool) -> None:
        self._clock_ns = now_ns
        self._tick_ns = tick_ns
        self._reuses = reuses
        self._uids = self._numbers = 1
        self._free: list[int] = []
        self.full = False
        self.user_acts = False
        self.changes = 0
        self.dropped: Callable[[bytes, bool], None] = lambda held, by_user: None
        self.shown: Callable[[Inode], None] = lambda inode: None
        self.root = self._new(FOLDER, 0o755)
        self.root.links = 1
        self._nodes = {self.root.uid: self.root}
        self._log: list[list[tuple[int, bytes, int]]] = []
        self._floor = 0
        self.sync_all()

    # --- time and inodes

    def now_ns(self) -> int:
        return self._clock_ns() // self._tick_ns * self._tick_ns

    def _new(self, kind: int, mode: int) -> Inode:
        number = self._free.pop() if self._free and self._reuses else self._numbers
        self._numbers += number == self._numbers
        self._uids += 1
        return Inode(self._uids, number, kind, mode, self.now_ns(), self.user_acts)

    # --- changes of names, each one operation of the journal

    def create(self, folder: Inode, name: bytes, kind: int, mode: int, target: bytes = b"") -> Inode:
        inode = self._new(kind, mode)
        inode.target = target
        self._nodes[inode.uid] = inode
        self._point([(folder, name, inode)])
        return inode

    def link(self, folder: Inode, name: bytes, inode: Inode) -> None:
        inode.ctime_ns = self.now_ns()
        self._point([(folder, name, inode)])

    def unlink(self, folder: Inode, name: bytes) -> None:
        folder.children[name].ctime_ns = self.now_ns()
        self._point([(folder, name, None)])

    def rename(self, source: Inode, old: bytes, target: Inode, new: bytes) -> None:
        inode = source.children[old]
        if (source, old) == (target, new) or target.children.get(new) is inode:
            return
        inode.ctime_ns = self.now_ns()
        self._point([(target, new, inode), (source, old, None)])

    def exchange(self, source: Inode, old: bytes, target: Inode, new: bytes) -> None:
        one, other = source.children[old], target.children[new]
        one.ctime_ns = other.ctime_ns = self.now_ns()
        self._point([(target, new, one), (source, old, other)])

    def _point(self, changes: list[tuple[Inode, bytes, Inode | None]]) -> None:
        self.changes += 1
        before = [folder.children.get(name) for folder, name, _ in changes]
        for folder, name, inode in changes:
            if inode is not None:
                inode.links += 1
                folder.children[name] = inode
                inode.shown = inode.shown or folder is not self.stage
                if not self.user_acts and folder is not self.stage and inode.kind in (FILE, LINK):
                    self.shown(inode)
            else:
                del folder.children[name]
        self._log.append([(folder.uid, name, inode.uid if inode else 0) for folder, name, inode in changes])
        for inode in before:
            if inode is not None:
                self._unnamed(inode)

    def _unnamed(self, inode: Inode) -> None:
        inode.links -= 1
        if self.user_acts:
            self._let_go.add(inode.held)
        if inode.links == 0:
            self._free.append(inode.number)
            if inode.held and inode.shown and inode.kind in (FILE, LINK):
                self.dropped(inode.held, self.user_acts)

    # --- content

    def write(self, inode: Inode, data: bytes, offset: int = 0) -> None:
        old = inode.data
        filled = old + bytes(max(offset - len(old), 0))
        self._change(inode, filled[:offset] + data + filled[offset + len(data) :])

    def truncate(self, inode: Inode, size: int) -> None:
        self._change(inode, inode.data[:size] + bytes(max(size - len(inode.data), 0)))

    def _change(self, inode: Inode, data: bytes) -> None:
        old, inode.data = inode.data, data
        inode.mtime_ns = inode.ctime_ns = self.now_ns()
        inode.dirty = True
        self.changes += 1
        if self.user_acts:
            self._let_go.add(old)
        if old and old != data and (inode.by_user or self.user_acts):
            self.dropped(old, self.user_acts)
        inode.by_user = self.user_acts

    def set_attributes(self, inode: Inode, mode: int | None = None, mtime_ns: int | None = None) -> None:
        inode.mode = inode.mode if mode is None else mode
        inode.mtime_ns = inode.mtime_ns if mtime_ns is None else mtime_ns
        inode.ctime_ns = self.now_ns()
        inode.dirty = True
        self.changes += 1

    # --- looking

    @property
    def state(self) -> Inode | None:
        return self.root.children.get(b".toastbox")

    @property
    def stage(self) -> Inode | None:
        return self.state.children.get(b"stage") if self.state else None

    def walk(self, folder: Inode | None = None, before: bytes = b"") -> Iterator[tuple[bytes, Inode, Inode]]:
        """(path, inode, folder it is in) of all but the device's own state, folders first, in order of names."""
        folder = folder or self.root
        for name, inode in sorted(folder.children.items()):
            if inode is self.state:
                continue
            yield before + name, inode, folder
            if inode.kind == FOLDER:
                yield from self.walk(inode, before + name + b"/")

    def staged(self) -> list[Inode]:
        return list(self.stage.children.values()) if self.stage else []

    def holds(self, held: bytes) -> bool:
        """Whether anything here has this content, files that are staged after they had a name included."""
        return any(inode.shown and inode.held == held for inode in self.staged()) or any(
            inode.held == held for _, inode, _ in self.walk()
        )

    # --- stable storage

    def sync(self, inode: Inode) -> None:
        """fsync: this file, and with it every change of names so far."""
        inode.sync()
        self._floor = len(self._log)

    def sync_all(self) -> None:
        """syncfs, or time: everything is on stable storage."""
        self._nodes = {inode.uid: inode for inode in self._reachable(self.root)}
        for inode in self._nodes.values():
            inode.sync()
        self._base = {
            uid: {name: child.uid for name, child in inode.children.items()} for uid, inode in self._nodes.items()
        }
        self._log.clear()
        self._floor = 0
        self._let_go: set[bytes] = set()  # of which the user has removed a copy since

    def durable(self, held: bytes) -> bool:
        """Whether this content was on stable storage at the last sync of everything, and its user left it there."""
        if held in self._let_go:
            return False
        named = {uid for children in self._base.values() for uid in children.values()}
        return any(self._synced_as(uid) == held for uid in named)

    def _synced_as(self, uid: int) -> bytes:
        inode = self._nodes[uid]
        return inode.held if inode.kind == LINK else inode.synced[0] if inode.synced else b""

    def _reachable(self, inode: Inode) -> Iterator[Inode]:
        yield inode
        for child in inode.children.values():
            yield from self._reachable(child)

    def power_cut(self, chance: random.Random) -> list[Inode]:
        """Forget what was not on stable storage; the files of the user that came out of it damaged."""
        staged = self.staged()
        image = {uid: dict(children) for uid, children in self._base.items()}
        kept = chance.randint(self._floor, len(self._log))
        for changes in self._log[:kept]:
            for folder, name, uid in changes:
                image.setdefault(folder, {}).pop(name, None)
                if uid:
                    image[folder][name] = uid
        for inode in self._nodes.values():
            inode.children, inode.links = {}, 0
        self._attach(self.root, image)
        self.root.links = 1
        named = self._named_outside_stage(kept)
        for inode in self.staged():  # shown no more, if the name it was shown by is forgotten
            inode.shown = inode.shown and (inode in staged or inode.uid in named)
        torn = [inode for inode in self._reachable(self.root) if inode.kind == FILE and _tear(inode, chance)]
        self._free = []
        self._numbers = max(inode.number for inode in self._nodes.values()) + 1
        self.sync_all()
        return torn

    def _named_outside_stage(self, kept: int) -> set[int]:
        """Inodes that have had another name than a staged one, on stable storage."""
        stage = self.stage.uid if self.stage else -1
        named = {uid for folder, names in self._base.items() if folder != stage for uid in names.values()}
        return named | {uid for changes in self._log[:kept] for folder, _, uid in changes if folder != stage and uid}

    def _attach(self, folder: Inode, image: dict[int, dict[bytes, int]]) -> None:
        for name, uid in image.get(folder.uid, {}).items():
            inode = self._nodes[uid]
            inode.links += 1
            folder.children[name] = inode
            if inode.kind == FOLDER:
                self._attach(inode, image)


def _tear(inode: Inode, chance: random.Random) -> bool:
    """What a power cut leaves of a file that was not synced. Whether that is no version it ever had."""
    if not inode.dirty:
        return False
    old = inode.synced
    if chance.random() < 0.5:
        return False
    if old is not None and (old[0] == inode.data or chance.random() < 0.5):
        inode.data, inode.mode, inode.mtime_ns, inode.ctime_ns = old
        return False
    whole = inode.data
    inode.data = whole[: chance.randrange(len(whole) + 1)] if chance.random() < 0.5 else b""
    return inode.data != whole
