"""A hub and devices in memory that leave every decision to core: what test_convergence.py drives.

The hub does what docs/SPEC.md section 4 says and nothing else. A device does its work in small steps: its cycle is a
generator that stops wherever a crash, another device or its user may come between. What it holds in `index` and
`cursor` is changed only between two such places, as a transaction would be. Messages travel as bytes.
"""

import hashlib
from collections.abc import Callable, Iterator

from proposals import Change, order_changes
from toastbox.core import diff, wire
from toastbox.core.diff import Signature
from toastbox.core.entry import DELETED, EXECUTABLE, FILE, FOLDER, LINK, PAIR, Entry
from toastbox.core.names import conflict_path, key_of, parent_of, why_bad
from toastbox.core.plan import Item, Plan, plan

EPOCH = 77
PAGE = 3  # entries in a pull answer: few, so that pages are many
BATCH = 2
ROUNDS = 4

Steps = Iterator[None]


def content_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Node:
    """What is at a path of a disk. data: bytes of a file, target of a link."""

    def __init__(self, kind: int, inode: int, time: int, data: bytes = b"", executable: bool = False) -> None:
        self.kind = kind
        self.data = data
        self.executable = executable
        self.inode = inode
        self.mtime = time
        self.ctime = time

    @property
    def signature(self) -> Signature:
        if self.kind == FOLDER:
            return Signature(self.inode, 0, 0, 0)
        return Signature(self.inode, len(self.data), self.mtime, self.ctime)

    @property
    def looks(self) -> tuple[int, bytes, bool, int]:
        """What has to be equal on all devices."""
        return (self.kind, self.data, self.executable, 0 if self.kind == FOLDER else self.mtime)


class Refused(Exception):
    """A file system would not do this."""


class Disk:
    """A tree. Every change is one atomic step; `writes` counts them. lost: called with data that goes."""

    def __init__(self, lost: Callable[[bytes], None]) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.writes = 0
        self._time = 0
        self._lost = lost

    def put(self, path: bytes, kind: int, data: bytes, executable: bool, mtime: int | None = None) -> Node:
        """Put a new file, link or folder in place of what is there, which must not be a folder."""
        old = self.nodes.get(path)
        if not self._is_folder(parent_of(path)) or (old and old.kind == FOLDER):
            raise Refused
        if old is not None:
            self._lost(old.data)
        node = self.nodes[path] = Node(kind, self._tick(), self._time, data, executable)
        if mtime is not None:
            node.mtime = mtime
        return node

    def remove(self, path: bytes) -> None:
        node = self.nodes.get(path)
        if node is None or (node.kind == FOLDER and self.below(path)):
            raise Refused
        self._tick()
        self._lost(node.data)
        del self.nodes[path]

    def move(self, old: bytes, new: bytes) -> None:
        """Rename; nothing may be at the new path."""
        if old not in self.nodes or new in self.nodes or not self._is_folder(parent_of(new)):
            raise Refused
        if (new + b"/").startswith(old + b"/") or any(why_bad(new + p[len(old) :]) for p in self.below(old)):
            raise Refused
        self._tick()
        for path in [old, *self.below(old)]:
            self.nodes[new + path[len(old) :]] = self.nodes.pop(path)
        self.nodes[new].ctime = self._time

    def set_meta(self, path: bytes, executable: bool, mtime: int) -> None:
        self._tick()
        node = self.nodes[path]
        node.executable, node.mtime, node.ctime = executable, mtime, self._time

    def below(self, path: bytes) -> list[bytes]:
        return sorted(other for other in self.nodes if other.startswith(path + b"/"))

    def _is_folder(self, path: bytes) -> bool:
        return not path or (path in self.nodes and self.nodes[path].kind == FOLDER)

    def _tick(self) -> int:
        self.writes += 1
        self._time += 1
        return self._time


class Hub:
    """The journal. log: every entry ever committed; blobs: content by its hash."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.current: dict[bytes, Entry] = {}
        self.blobs: dict[bytes, bytes] = {content_of(b""): b""}

    @property
    def head(self) -> int:
        return len(self.log)

    def live(self) -> dict[bytes, Entry]:
        return {path: entry for path, entry in self.current.items() if entry.kind != DELETED}

    def has(self, data: bytes) -> bool:
        """Whether a version with these bytes is in the journal's history."""
        return any(content_of(data) == entry.content or data == entry.content for entry in self.log)

    def pull(self, after: int, epoch: int) -> bytes:
        """Deletions are left out for a device that knows nothing yet: after 0 and epoch 0."""
        found = sorted((e for e in self.current.values() if e.seq > after), key=lambda entry: entry.seq)
        page: list[Entry] = []
        for entry in found:
            partner = page and page[-1].flags & PAIR and entry.seq == page[-1].seq + 1
            if len(page) >= PAGE and not partner:
                break
            page.append(entry)
        cursor = page[-1].seq if len(page) < len(found) else self.head
        sent = [entry for entry in page if after or epoch or entry.kind != DELETED]
        records = [wire.encode_entry(entry, wire.default_form(entry)) for entry in sent]
        return wire.encode_pull(EPOCH, cursor, self.head, records)

    def commit(self, device: int, body: bytes, blobs: dict[bytes, bytes]) -> bytes:
        self.blobs.update(blobs)
        results: list[tuple[int, int]] = []
        paired = False
        for record in wire.decode_commit(body).records():
            entry = record.entry
            if paired and results[-1][0] != wire.COMMITTED:
                results.append((wire.STALE, self._seq(entry.path)))
            else:
                results.append(self._judge(device, entry))
            paired = bool(entry.flags & PAIR)
        return wire.encode_answer(EPOCH, self.head, results)

    def _seq(self, path: bytes) -> int:
        return self.current[path].seq if path in self.current else 0

    def _judge(self, device: int, entry: Entry) -> tuple[int, int]:
        now = self.current.get(entry.path)
        seq, kind = (now.seq, now.kind) if now else (0, DELETED)
        if entry.seq != seq and not (entry.seq == 0 and kind == DELETED):
            repeat = now and now.device == device and now.same_content(entry) and now.mtime_ns == entry.mtime_ns
            return (wire.COMMITTED if repeat else wire.STALE), seq
        if entry.kind == DELETED == kind:
            return wire.COMMITTED, seq
        parent = self.current.get(parent_of(entry.path))
        if entry.kind != DELETED and parent_of(entry.path) and (not parent or parent.kind != FOLDER):
            return wire.NO_PARENT, 0
        if kind == FOLDER and entry.kind != FOLDER and self._live_below(entry.path):
            return wire.NOT_EMPTY, 0
        if entry.kind == FILE and entry.content not in self.blobs:
            return wire.CHUNKS_MISSING, 0
        return wire.COMMITTED, self._append(device, entry)

    def _live_below(self, path: bytes) -> bool:
        return any(other.startswith(path + b"/") for other in self.live())

    def _append(self, device: int, entry: Entry) -> int:
        seq = self.head + 1
        kept = Entry(entry.path, entry.kind, entry.flags, seq, entry.mtime_ns, entry.size, entry.content, device=device)
        self.log.append(kept)
        self.current[entry.path] = kept
        return seq


class Row:
    """What the index holds of a path."""

    def __init__(self, entry: Entry, signature: Signature) -> None:
        self.entry = entry
        self.signature = signature
        self.key = key_of(entry.path)


class Record:
    """A look at a path."""

    def __init__(self, path: bytes, node: Node) -> None:
        self.path = path
        self.key = key_of(path)
        self.kind = node.kind
        self.signature = node.signature
        self.node = node


def entry_of(path: bytes, node: Node, seq: int = 0) -> Entry:
    """What the index and proposals say of a node."""
    if node.kind == FOLDER:
        return Entry(path, FOLDER, 0, seq)
    if node.kind == LINK:
        return Entry(path, LINK, 0, seq, node.mtime, 0, node.data)
    flags = EXECUTABLE if node.executable else 0
    return Entry(path, FILE, flags, seq, node.mtime, len(node.data), content_of(node.data))


class Device:
    """A device and its user. doubled: every commit is delivered twice."""

    def __init__(self, number: int, hub: Hub) -> None:
        self.number = number
        self.name = f"dev{number}"
        self.hub = hub
        self.disk = Disk(self._lost)
        self.index: dict[bytes, Row] = {}
        self.cursor = 0
        self.epoch = 0
        self.doubled = False
        self.by_user = False
        self.forgotten: set[bytes] = set()
        self._again = False
        self._rows: list[tuple[Entry, Signature | None]] = []

    def _lost(self, data: bytes) -> None:
        """Promise 1: only its owner may make bytes vanish that the journal does not hold."""
        if not data or self.hub.has(data):
            return
        assert self.by_user, f"{self.name} destroyed {data!r}, which nobody else has"
        self.forgotten.add(data)

    # --- the device's work

    def cycle(self) -> Steps:
        """Pull and push until in step, or ROUNDS. Each yield is a place to crash at."""
        for _ in range(ROUNDS):
            yield from self._pull()
            yield from self._push()
            if not self._again and self.cursor >= self.hub.head:
                return

    def _pull(self) -> Steps:
        self._again = False
        while not self._again:
            body = self.hub.pull(self.cursor, self.epoch)
            yield
            answer = wire.decode_pull(body)
            self.epoch = answer.epoch
            yield from self._apply([record.entry for record in answer.records()])
            self._write_rows()
            if not self._again:
                self.cursor = answer.cursor
            if answer.cursor >= answer.head:
                return

    def _apply(self, entries: list[Entry]) -> Steps:
        seen: dict[bytes, Node | None] = {}
        items = [item for item in [self._observe(entry, seen) for entry in entries] if item]
        remote = {item.remote.path: item.remote for item in items}
        steps = plan(items, self.name)
        self._keep(steps)
        self._rows = []
        yield
        for path, new_path in steps.unblock:
            yield
            self._rename_aside(path, new_path)
        for path, new_path in steps.aside:
            yield from self._move_aside(path, new_path, seen)
        for path in steps.clear:
            yield from self._checked(path, seen, self.disk.remove, path)
            seen[path] = None
        for path in steps.folders:
            yield from self._make_folder(remote[path])
        for old, new, entry in steps.renames:
            yield from self._rename(old, new, entry, remote[old], seen)
        for path in steps.removals:
            yield from self._checked(path, seen, self._remove, remote[path])
        for path, replaced in steps.rmdirs:
            yield from self._remove_folder(remote[path], replaced)
            seen[path] = None
        for entry in steps.publish:
            yield from self._checked(entry.path, seen, self._publish, entry)
        for entry in steps.meta:
            yield from self._checked(entry.path, seen, self._set_meta, entry)
        for entry in steps.adopt:
            node = seen.get(entry.path)
            self._rows.append((entry, node.signature if node else None))

    def _observe(self, entry: Entry, seen: dict[bytes, Node | None]) -> Item | None:
        row = self.index.get(entry.path)
        if row and row.entry.seq == entry.seq and row.entry.kind == entry.kind:
            return None
        node = self.disk.nodes.get(entry.path)
        copy = seen[entry.path] = None if node is None else _copy(node)
        local = entry_of(entry.path, copy) if copy else None
        return Item(entry, row.entry if row else None, local, self._blocker(entry.path))

    def _blocker(self, path: bytes) -> bytes:
        """What is above the path and no folder."""
        while path := parent_of(path):
            if path in self.disk.nodes:
                return b"" if self.disk.nodes[path].kind == FOLDER else path
        return b""

    def _keep(self, steps: Plan) -> None:
        for entry in steps.keep:
            row = self.index.get(entry.path)
            if entry.kind == DELETED:
                self.index.pop(entry.path, None)
            elif row:
                row.entry.seq = entry.seq

    def _checked(self, path: bytes, seen: dict[bytes, Node | None], step: Callable, argument: object) -> Steps:
        """Do a step if the path is as it was observed; else it is decided again."""
        yield
        node, expected = self.disk.nodes.get(path), seen.get(path)
        if (node and node.signature) != (expected and expected.signature):
            self._again = True
            return
        try:
            step(argument)
        except Refused:
            self._again = True

    def _move_aside(self, path: bytes, new_path: bytes, seen: dict[bytes, Node | None]) -> Steps:
        yield
        node = self.disk.nodes.get(path)
        self._rename_aside(path, new_path)
        yield
        below = [other for other in self.index if other.startswith(path + b"/")]
        for other in [path, *(below if node and node.kind == FOLDER else [])]:
            self.index.pop(other, None)
        seen[path] = None

    def _rename_aside(self, path: bytes, new_path: bytes) -> None:
        while new_path in self.disk.nodes:
            new_path = conflict_path(new_path, self.name, 1)
        if path in self.disk.nodes:
            self.disk.move(path, new_path)

    def _make_folder(self, entry: Entry) -> Steps:
        yield
        try:
            self._ensure_folder(entry.path)
            self._rows.append((entry, self.disk.nodes[entry.path].signature))
        except Refused:
            self._again = True

    def _ensure_folder(self, path: bytes) -> None:
        if not path or (path in self.disk.nodes and self.disk.nodes[path].kind == FOLDER):
            return
        self._ensure_folder(parent_of(path))
        if path in self.disk.nodes:
            raise Refused
        self.disk.put(path, FOLDER, b"", False)

    def _rename(self, old: bytes, new: bytes, entry: Entry, gone: Entry, seen: dict[bytes, Node | None]) -> Steps:
        def move(_: object) -> None:
            self._ensure_folder(parent_of(new))
            self.disk.move(old, new)
            self.disk.set_meta(new, bool(entry.flags & EXECUTABLE), entry.mtime_ns)
            self._rows.extend([(entry, self.disk.nodes[new].signature), (gone, None)])

        yield from self._checked(old, seen, move, None)

    def _remove(self, entry: Entry) -> None:
        self.disk.remove(entry.path)
        self._rows.append((entry, None))

    def _remove_folder(self, entry: Entry, replaced: bool) -> Steps:
        yield
        node = self.disk.nodes.get(entry.path)
        if node and node.kind != FOLDER:
            self._again = True
            return
        try:
            self.disk.remove(entry.path)
        except Refused:
            if replaced and node:
                yield from self._move_aside(entry.path, conflict_path(entry.path, self.name, entry.seq), {})
        if not replaced:
            self._rows.append((entry, None))

    def _publish(self, entry: Entry) -> None:
        self._ensure_folder(parent_of(entry.path))
        data = entry.content if entry.kind == LINK else self.hub.blobs[entry.content]
        executable = bool(entry.flags & EXECUTABLE)
        node = self.disk.put(entry.path, entry.kind, data, executable, entry.mtime_ns)
        self._rows.append((entry, node.signature))

    def _set_meta(self, entry: Entry) -> None:
        self.disk.set_meta(entry.path, bool(entry.flags & EXECUTABLE), entry.mtime_ns)
        self._rows.append((entry, self.disk.nodes[entry.path].signature))

    def _write_rows(self) -> None:
        for entry, signature in self._rows:
            if entry.kind == DELETED or signature is None:
                self.index.pop(entry.path, None)
            else:
                self.index[entry.path] = Row(entry, signature)

    # --- proposing

    def _push(self) -> Steps:
        changes, looks, blobs = self._scan()
        self._again = False
        for at in range(0, len(changes), BATCH):
            batch = [change.entry for change in changes[at : at + BATCH]]
            records = [wire.encode_entry(entry, wire.default_form(entry)) for entry in batch]
            body = wire.encode_commit(EPOCH, 0, records)
            yield
            answer = self.hub.commit(self.number, body, blobs)
            if self.doubled:
                answer = self.hub.commit(self.number, body, blobs)
            yield
            self._note(batch, wire.decode_answer(answer).results, looks)

    def _scan(self) -> tuple[list[Change], dict[bytes, Signature], dict[bytes, bytes]]:
        rows = sorted(self.index.values(), key=lambda row: row.key)
        records = sorted([Record(path, node) for path, node in self.disk.nodes.items()], key=lambda r: r.key)
        by_inode = {row.signature.inode: row for row in rows if row.entry.path not in self.disk.nodes}
        changes: list[Change] = []
        for row, record in diff.merge(iter(rows), iter(records)):
            outcome = diff.classify(row, record)
            if outcome == diff.GONE and row:
                changes.append(Change(Entry(row.entry.path, DELETED, 0, row.entry.seq), row.entry.kind))
            elif outcome != diff.UNCHANGED and record:
                self._add_change(changes, row, record, by_inode)
        looks = {record.path: record.signature for record in records}
        blobs = {content_of(r.node.data): r.node.data for r in records if r.kind == FILE}
        return order_changes(changes), looks, blobs

    def _add_change(self, changes: list[Change], row: Row | None, record: Record, by_inode: dict[int, Row]) -> None:
        entry = entry_of(record.path, record.node, row.entry.seq if row else 0)
        if row and row.entry.seq and row.entry.same_content(entry) and row.entry.mtime_ns == entry.mtime_ns:
            row.signature = record.signature
            return
        origin = by_inode.get(record.signature.inode)
        moved = origin is not None and origin.entry.same_content(entry) and record.kind != FOLDER and not row
        before = row.entry.kind if row else DELETED
        changes.append(Change(entry, before, origin.entry.path if moved and origin else b""))

    def _note(self, batch: list[Entry], results: list[tuple[int, int]], looks: dict[bytes, Signature]) -> None:
        for entry, (status, seq) in zip(batch, results, strict=True):
            if status != wire.COMMITTED:
                self._again = True
                if status == wire.STALE and seq <= self.cursor:
                    self.cursor = max(seq - 1, 0)
            elif entry.kind == DELETED:
                self.index.pop(entry.path, None)
            else:
                entry.seq = seq
                entry.flags &= ~PAIR
                self.index[entry.path] = Row(entry, looks[entry.path])


def _copy(node: Node) -> Node:
    copy = Node(node.kind, node.inode, node.mtime, node.data, node.executable)
    copy.ctime = node.ctime
    return copy
