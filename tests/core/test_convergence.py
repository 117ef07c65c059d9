"""Three devices, random histories, crashes: promises 1, 2 and 5 of the blueprint, with core's decisions only.

1   no lost write: the device never destroys bytes that the journal does not hold (checked in model.py at every
    removal), and when all is quiet the journal's history has every version that its owner has not destroyed
2   old or new, never half: every change of the model's disk is atomic, and after any crash between two of them the
    device goes on to the same state
5   converges: when edits stop all trees are equal, and another run does nothing
"""

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import Device, Hub, Refused, Steps
from toastbox.core.entry import FILE, FOLDER, LINK
from toastbox.core.names import parent_of

PATHS = [b"a", b"b", b"a/a", b"a/b", b"b/a", b"a/a/a", b"c.txt"]
QUIET_ROUNDS = 30


class World:
    """A hub, three devices, and what each of them is in the middle of."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.devices = [Device(number, self.hub) for number in (1, 2, 3)]
        self.running: list[Steps | None] = [None, None, None]
        self.saved: set[bytes] = set()
        self._count = 0

    # --- what users do

    def edit(self, number: int, kind: str, path: bytes, other: bytes) -> None:
        device = self.devices[number]
        device.by_user = True
        with suppress(Refused):  # what a file system would not do is no edit
            getattr(self, "_" + kind)(device, path, other)
        device.by_user = False

    def _write(self, device: Device, path: bytes, _: bytes) -> None:
        self._put(device, path, FILE)

    def _link(self, device: Device, path: bytes, _: bytes) -> None:
        self._put(device, path, LINK)

    def _folder(self, device: Device, path: bytes, _: bytes) -> None:
        self._clear_way(device, path)
        if path not in device.disk.nodes:
            device.disk.put(path, FOLDER, b"", False)

    def _put(self, device: Device, path: bytes, kind: int) -> None:
        self._clear_way(device, path)
        if path in device.disk.nodes and device.disk.nodes[path].kind == FOLDER:
            self._delete(device, path, path)
        self._count += 1
        data = b"version %d" % self._count
        device.disk.put(path, kind, data, False)
        self.saved.add(data)

    def _clear_way(self, device: Device, path: bytes) -> None:
        """Make folders of all that is above."""
        parent = parent_of(path)
        if parent:
            self._clear_way(device, parent)
            if parent in device.disk.nodes and device.disk.nodes[parent].kind != FOLDER:
                device.disk.remove(parent)
            if parent not in device.disk.nodes:
                device.disk.put(parent, FOLDER, b"", False)

    def _delete(self, device: Device, path: bytes, _: bytes) -> None:
        for found in [*reversed(device.disk.below(path)), path]:
            device.disk.remove(found)

    def _move(self, device: Device, path: bytes, other: bytes) -> None:
        device.disk.move(path, other)

    def _touch(self, device: Device, path: bytes, _: bytes) -> None:
        node = device.disk.nodes.get(path)
        if node and node.kind != FOLDER:
            self._count += 1
            device.disk.set_meta(path, node.executable, self._count * 1000)

    def _chmod(self, device: Device, path: bytes, _: bytes) -> None:
        node = device.disk.nodes.get(path)
        if node and node.kind == FILE:
            device.disk.set_meta(path, not node.executable, node.mtime)

    # --- what devices do

    def step(self, number: int, count: int) -> None:
        """Let a device go on for some steps; it stays where it is then."""
        for _ in range(count):
            running = self.running[number] or self.devices[number].cycle()
            self.running[number] = running
            try:
                next(running)
            except StopIteration:
                self.running[number] = None

    def crash(self, number: int, doubled: bool) -> None:
        """What the device was in the middle of is gone; its disk and its index stay."""
        self.running[number] = None
        self.devices[number].doubled = doubled

    def settle(self) -> None:
        """Run all devices until nothing changes."""
        for _ in range(QUIET_ROUNDS):
            before = self.state()
            for number in range(3):
                self.finish(number)
            if self.state() == before:
                return
        raise AssertionError(f"no end after {QUIET_ROUNDS} rounds:\n{self}")

    def finish(self, number: int) -> None:
        for _ in self.running[number] or ():
            pass
        self.running[number] = None
        for _ in self.devices[number].cycle():
            pass

    def state(self) -> list[int]:
        """Grows with every write on a disk and every commit."""
        return [self.hub.head] + [device.disk.writes for device in self.devices]

    def tree(self, number: int) -> dict[bytes, tuple[int, bytes, bool, int]]:
        return {path: node.looks for path, node in self.devices[number].disk.nodes.items()}

    def __str__(self) -> str:
        trees = [f"{d.name} cursor {d.cursor}: {sorted(d.disk.nodes)}" for d in self.devices]
        return "\n".join([f"hub {self.hub.head}: {sorted(self.hub.live())}", *trees, *map(repr, self.hub.log)])


def check(world: World) -> None:
    world.settle()
    trees = [world.tree(number) for number in range(3)]
    assert trees[0] == trees[1] == trees[2], world
    live = world.hub.live()
    assert set(live) == set(trees[0]), world
    forgotten = set().union(*(device.forgotten for device in world.devices))
    for data in world.saved - forgotten:
        assert world.hub.has(data), (data, world)
    before = world.state()
    for number in range(3):
        world.finish(number)
    assert world.state() == before, world


DEVICES = st.integers(0, 2)
KINDS = ["write", "write", "write", "delete", "move", "folder", "link", "touch", "chmod"]
EDITS = st.tuples(st.just("edit"), DEVICES, st.sampled_from(KINDS), st.sampled_from(PATHS), st.sampled_from(PATHS))
STEPS = st.tuples(st.just("step"), DEVICES, st.sampled_from([1, 2, 3, 5, 8, 100]))
CRASHES = st.tuples(st.just("crash"), DEVICES, st.booleans())
ACTIONS = st.one_of(EDITS, EDITS, EDITS, STEPS, STEPS, STEPS, CRASHES)
# Lists of hypothesis are short if they may be; long ones shrink into the first kind.
HISTORIES = st.one_of(st.lists(ACTIONS, max_size=25), st.lists(ACTIONS, min_size=20, max_size=60))


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORIES)
def test_any_history_ends_with_equal_trees_and_no_lost_version(history: list[tuple]) -> None:
    world = World()
    for action in history:
        getattr(world, action[0])(*action[1:])
    check(world)


def world_after(*history: tuple) -> World:
    world = World()
    for action in history:
        getattr(world, action[0])(*action[1:])
    check(world)
    return world


def contents(world: World) -> dict[bytes, bytes]:
    return {path: node.data for path, node in world.devices[2].disk.nodes.items()}


SYNCED = [("edit", 0, "write", b"a", b"a"), ("step", 0, 100), ("step", 1, 100)]


def test_delete_loses_to_unseen_edit_whoever_is_first() -> None:
    delete, edit = ("edit", 0, "delete", b"a", b"a"), ("edit", 1, "write", b"a", b"a")
    for first, second in ((0, 1), (1, 0)):
        world = world_after(*SYNCED, delete, edit, ("step", first, 100), ("step", second, 100))
        assert contents(world) == {b"a": b"version 2"}


def test_two_edits_are_both_kept_whoever_is_first() -> None:
    edits = [("edit", 0, "write", b"a", b"a"), ("edit", 1, "write", b"a", b"a")]
    for first, loser in ((0, b"dev2"), (1, b"dev1")):
        world = world_after(*SYNCED, *edits, ("step", first, 100), ("step", 1 - first, 100))
        copy = b"a (conflict " + loser + b" 2)"
        winner = b"version %d" % (first + 2)
        assert contents(world) == {b"a": winner, copy: b"version %d" % (3 - first)}


def test_equal_edits_are_no_conflict() -> None:
    world = World()
    for number in (0, 1):
        world.edit(number, "folder", b"b", b"b")
        world._count = 0
        world.edit(number, "write", b"a", b"a")
    check(world)
    assert contents(world) == {b"a": b"version 1", b"b": b""}


def test_file_and_folder_of_one_name_are_both_kept() -> None:
    world = world_after(("edit", 0, "write", b"a", b"a"), ("edit", 1, "write", b"a/b", b"a"), ("step", 1, 100))
    assert contents(world) == {b"a": b"", b"a/b": b"version 2", b"a (conflict dev1 1)": b"version 1"}


def test_edit_inside_a_folder_saves_it_from_deletion() -> None:
    world = world_after(
        ("edit", 0, "write", b"a/a/a", b"a"),
        ("step", 0, 100),
        ("step", 1, 100),
        ("edit", 0, "delete", b"a", b"a"),
        ("edit", 1, "write", b"a/a/a", b"a"),
        ("step", 0, 100),
    )
    assert contents(world) == {b"a": b"", b"a/a": b"", b"a/a/a": b"version 2"}


def test_file_in_a_folder_that_became_a_link_elsewhere() -> None:
    """What is put into a folder is not kept out by what took the folder's place here."""
    world = world_after(
        ("edit", 0, "folder", b"a", b"a"),
        ("step", 0, 100),
        ("step", 1, 100),
        ("edit", 1, "link", b"a", b"a"),
        ("edit", 0, "write", b"a/b", b"a"),
        ("step", 0, 100),
    )
    assert contents(world) == {b"a": b"", b"a/b": b"version 2", b"a (conflict dev2 2)": b"version 1"}


def test_deletion_right_after_the_first_commit_is_not_missed() -> None:
    """A device that has committed, but has not pulled since, must be told of deletions."""
    world = world_after(
        ("edit", 0, "write", b"a", b"a"),
        ("step", 0, 4),
        ("step", 1, 100),
        ("edit", 1, "delete", b"a", b"a"),
        ("step", 1, 100),
    )
    assert contents(world) == {}


def test_rename_moves_no_content() -> None:
    world = World()
    for action in (*SYNCED, ("edit", 0, "move", b"a", b"b")):
        getattr(world, action[0])(*action[1:])
    world.step(0, 100)
    inode = world.devices[1].disk.nodes[b"a"].inode
    world.settle()
    assert world.devices[1].disk.nodes[b"b"].inode == inode
