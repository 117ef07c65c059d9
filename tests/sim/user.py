"""A user at a device: saves, moves and deletes, with few names and few sizes, so that things meet.

Writes straight to the disk, not by the agent's system calls. What is left at rest is told to the ledger; what a watcher
would have heard is told to `tell`.
"""

import random
from collections.abc import Callable

from .disk import FILE, FOLDER, LINK, PIPE, Disk, Inode
from .promises import Ledger

NAMES = (b"a", b"b", b"c.txt", b"d", b"x y.tar.gz", "é".encode(), b".h", b"a (conflict two 3)", b"a (conflict one 5)")
STRANGE = (b"bad\xff", "ﬀ\u0301".encode(), b"back\\slash", b"n" * 255)
IGNORE_FILE = b".toastboxignore"
RULES = (b"", b"b\n", b"d/\n", b"*.txt\n!c.txt\n", b"/a\n.h\n")
SIZES = (12, 12, 12, 40, 600, 2500, 5000)
MOST_PATHS = 24
MOST_DEPTH = 3
Place = tuple[bytes, Inode, bytes]  # path, folder it is in, name
Found = tuple[bytes, Inode, Inode]  # path, inode, folder it is in


class User:
    """Acts at random on one device. tell(path, tree): something changed there."""

    def __init__(
        self, name: str, disk: Disk, chance: random.Random, ledger: Ledger, tell: Callable[[bytes, bool], None]
    ) -> None:
        self._name = name
        self._disk = disk
        self._chance = chance
        self._ledger = ledger
        self._tell = tell
        self._saves = 0
        self._unfinished: list[tuple[bytes, Inode, bytes]] = []
        self.strange = 0.02
        acts = (
            (10, self._write), (6, self._edit), (3, self._append), (1, self._truncate), (7, self._delete),
            (6, self._rename), (3, self._move_folder), (4, self._make_folder), (2, self._remove_tree),
            (3, self._change_kind), (2, self._chmod), (2, self._touch), (1, self._hard_link), (3, self._copy),
            (2, self._symlink), (1, self._ignore), (2, self._write_half), (3, self._finish), (1, self._pipe),
        )  # fmt: skip
        self._acts = [act for _, act in acts]
        self._weights = [weight for weight, _ in acts]

    def act(self) -> str:
        """Do one thing; what it was, "" when it could not be done."""
        act = self._chance.choices(self._acts, self._weights)[0]
        self._disk.user_acts = True
        try:
            return act()
        finally:
            self._disk.user_acts = False

    def finish(self) -> None:
        """Finish what is half written and clear away what is in the way of syncing: the user goes home."""
        self._disk.user_acts = True
        while self._unfinished:
            self._finish()
        for path, _, folder in self._all(PIPE):
            self._disk.unlink(folder, path.rpartition(b"/")[2])
        self._disk.user_acts = False

    # --- choosing

    def _all(self, *kinds: int) -> list[Found]:
        return [found for found in self._disk.walk() if found[1].kind in kinds]

    def _one(self, *kinds: int) -> Found | None:
        found = self._all(*kinds)
        return self._chance.choice(found) if found else None

    def _place(self) -> Place:
        folders = [(b"", self._disk.root)]
        folders += [(path + b"/", inode) for path, inode, _ in self._all(FOLDER) if path.count(b"/") < MOST_DEPTH - 1]
        before, folder = self._chance.choice(folders)
        name = self._chance.choice(STRANGE if self._chance.random() < self.strange else NAMES)
        return before + name, folder, name

    def _free_place(self) -> Place | None:
        path, folder, name = self._place()
        return None if name in folder.children or self._is_crowded() else (path, folder, name)

    def _is_crowded(self) -> bool:
        return sum(1 for _ in self._disk.walk()) >= MOST_PATHS

    def _content(self, size: int = -1) -> bytes:
        """Content that nothing else has."""
        self._saves += 1
        mark = b"%s%d;" % (self._name.encode(), self._saves)
        size = self._chance.choice(SIZES) if size < 0 else size
        return mark + self._chance.randbytes(max(size - len(mark), 0))

    def _saved(self, path: bytes, inode: Inode, tree: bool = False) -> str:
        self._ledger.saved(self._name, inode.held, repr(path))
        self._tell(path, tree)
        return repr(path)

    # --- files

    def _write(self) -> str:
        """Save a file as editors do: over the old one, or beside it and renamed."""
        path, folder, name = self._place()
        old = folder.children.get(name)
        if (old is None and self._is_crowded()) or (old is not None and old.kind not in (FILE, LINK)):
            return ""
        data = self._content(len(old.data) if old is not None and self._chance.random() < 0.6 else -1)
        if old is not None and old.kind == FILE and self._chance.random() < 0.5:
            self._disk.truncate(old, 0)
            self._disk.write(old, data)
            return f"writes over {self._saved(path, old)}"
        if old is None:
            new = self._disk.create(folder, name, FILE, 0o644)
            self._disk.write(new, data)
            return f"writes {self._saved(path, new)} of {len(data)}"
        new = self._disk.create(folder, name + b"~", FILE, old.mode)
        self._disk.write(new, data)
        self._disk.rename(folder, name + b"~", folder, name)
        return f"writes and renames over {self._saved(path, new)}"

    def _edit(self) -> str:
        """Change some bytes; the size stays."""
        found = self._one(FILE)
        if found is None or not found[1].data:
            return ""
        path, inode, _ = found
        at = self._chance.randrange(len(inode.data))
        self._disk.write(inode, self._chance.randbytes(min(8, len(inode.data) - at)), at)
        return f"edits {self._saved(path, inode)}"

    def _append(self) -> str:
        found = self._one(FILE)
        if found is None:
            return ""
        path, inode, _ = found
        self._disk.write(inode, self._content(), len(inode.data))
        return f"appends to {self._saved(path, inode)}"

    def _truncate(self) -> str:
        found = self._one(FILE)
        if found is None:
            return ""
        path, inode, _ = found
        self._disk.truncate(inode, self._chance.choice((0, 5, 1030, 2048)))
        return f"truncates {self._saved(path, inode)} to {len(inode.data)}"

    def _write_half(self) -> str:
        """Begin to write; the rest comes some time later."""
        free = self._free_place()
        if free is None:
            return ""
        path, folder, name = free
        data = self._content()
        half = self._chance.randrange(1, len(data) + 1)
        inode = self._disk.create(folder, name, FILE, 0o644)
        self._disk.write(inode, data[:half])
        self._unfinished.append((path, inode, data[half:]))
        return f"writes half of {self._saved(path, inode)}"

    def _finish(self) -> str:
        """Go on writing. Into a file that the agent has taken out of the way nobody can save any more."""
        if not self._unfinished:
            return ""
        _, inode, rest = self._unfinished.pop(0)
        for path, found, _ in self._disk.walk():
            if found is inode:
                self._disk.write(inode, rest, len(inode.data))
                return f"writes the rest of {self._saved(path, inode)}"
        return ""

    def _copy(self) -> str:
        found, free = self._one(FILE), self._free_place()
        if found is None or free is None:
            return ""
        path, folder, name = free
        copy = self._disk.create(folder, name, FILE, found[1].mode)
        self._disk.write(copy, found[1].data)
        if self._chance.random() < 0.5:
            self._disk.set_attributes(copy, mtime_ns=found[1].mtime_ns)
        return f"copies {found[0]!r} to {self._saved(path, copy)}"

    def _hard_link(self) -> str:
        found, free = self._one(FILE), self._free_place()
        if found is None or free is None:
            return ""
        path, folder, name = free
        self._disk.link(folder, name, found[1])
        return f"links {found[0]!r} as {self._saved(path, found[1])}"

    def _chmod(self) -> str:
        found = self._one(FILE)
        if found is None:
            return ""
        self._disk.set_attributes(found[1], mode=found[1].mode ^ 0o111)
        self._tell(found[0], False)
        return f"chmods {found[0]!r} to {found[1].mode:o}"

    def _touch(self) -> str:
        found = self._one(FILE)
        if found is None:
            return ""
        now = self._disk.now_ns()
        self._disk.set_attributes(found[1], mtime_ns=self._chance.choice((now, now, 0, now - 7_000_000_000)))
        self._tell(found[0], False)
        return f"touches {found[0]!r}"

    def _symlink(self) -> str:
        free = self._free_place()
        if free is None:
            return ""
        path, folder, name = free
        inode = self._disk.create(folder, name, LINK, 0o777, self._chance.choice((b"a", b"d", b"/etc", b"..")))
        return f"makes a symbolic link {self._saved(path, inode)}"

    def _pipe(self) -> str:
        free = self._free_place()
        if free is None:
            return ""
        path, folder, name = free
        self._disk.create(folder, name, PIPE, 0o644)
        self._tell(path, False)
        return f"makes a pipe {path!r}"

    def _ignore(self) -> str:
        """Change the rules."""
        if self._chance.random() < 0.6:
            return ""
        rules = self._chance.choice(RULES)
        inode = self._disk.root.children.get(IGNORE_FILE)
        if inode is not None and inode.kind != FILE:
            return ""
        if inode is None:
            inode = self._disk.create(self._disk.root, IGNORE_FILE, FILE, 0o644)
        self._disk.truncate(inode, 0)
        self._disk.write(inode, rules)
        self._saved(IGNORE_FILE, inode)
        return f"ignores {rules!r}"

    # --- names and folders

    def _delete(self) -> str:
        found = self._one(FILE, LINK, PIPE)
        if found is None:
            return ""
        path, _, folder = found
        self._disk.unlink(folder, path.rpartition(b"/")[2])
        self._tell(path, False)
        return f"deletes {path!r}"

    def _rename(self) -> str:
        """Another name for a file or link; what had that name is replaced."""
        found = self._one(FILE, LINK)
        path, folder, name = self._place()
        there = folder.children.get(name)
        if found is None or found[1] is there or (there is not None and there.kind == FOLDER):
            return ""
        self._disk.rename(found[2], found[0].rpartition(b"/")[2], folder, name)
        self._tell(found[0], True)
        self._tell(path, True)
        return f"renames {found[0]!r} to {path!r}"

    def _move_folder(self) -> str:
        found, free = self._one(FOLDER), self._free_place()
        if found is None or free is None:
            return ""
        path, folder, name = free
        if path.startswith(found[0] + b"/"):
            return ""
        self._disk.rename(found[2], found[0].rpartition(b"/")[2], folder, name)
        self._tell(found[0], True)
        self._tell(path, True)
        return f"moves folder {found[0]!r} to {path!r}"

    def _make_folder(self) -> str:
        free = self._free_place()
        if free is None:
            return ""
        path, folder, name = free
        self._disk.create(folder, name, FOLDER, 0o755)
        self._tell(path, True)
        return f"makes folder {path!r}"

    def _remove_tree(self) -> str:
        found = self._one(FOLDER)
        if found is None:
            return ""
        self._clear(found)
        self._tell(found[0], True)
        return f"removes folder {found[0]!r}"

    def _clear(self, found: Found) -> None:
        path, inode, folder = found
        for name, below in list(inode.children.items()):
            self._clear((path + b"/" + name, below, inode))
        self._disk.unlink(folder, path.rpartition(b"/")[2])

    def _change_kind(self) -> str:
        """A file becomes a folder, a link or the other way round."""
        found = self._one(FILE, FOLDER, LINK, PIPE)
        if found is None:
            return ""
        path, old, folder = found
        name = path.rpartition(b"/")[2]
        self._clear(found)
        kind = self._chance.choice([kind for kind in (FILE, FOLDER, LINK) if kind != old.kind])
        new = self._disk.create(folder, name, kind, 0o755 if kind == FOLDER else 0o644, b"a" if kind == LINK else b"")
        if kind == FILE:
            self._disk.write(new, self._content())
        elif kind == FOLDER:
            self._disk.write(self._disk.create(new, b"b", FILE, 0o644), self._content())
            self._saved(path + b"/b", new.children[b"b"])
        self._saved(path, new, True)
        return f"makes {path!r} a {'file' if kind == FILE else 'folder' if kind == FOLDER else 'link'}"
