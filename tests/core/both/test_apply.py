"""After a crash: every state of the table, and a small disk whose power is cut at every step."""

from toastbox.core.apply import (
    DISCARD,
    KEEP_COPY,
    NOTHING,
    PUBLISH,
    REMOVE,
    SET_ASIDE,
    recover,
    recover_removal,
)

OLD, NEW, EDIT = (10, b"old"), (20, b"new"), (30, b"edit")  # (inode, what identifies it)


def test_states_are_those_of_the_table():
    for found, present, expected, outcome in [
        (None, b"new", b"old", NOTHING),
        (None, b"", b"", NOTHING),
        (NEW, b"", b"", PUBLISH),
        (NEW, b"", b"old", PUBLISH),
        (NEW, b"old", b"old", PUBLISH),
        (NEW, b"edit", b"old", SET_ASIDE),
        (NEW, b"edit", b"", SET_ASIDE),
        (OLD, b"new", b"old", DISCARD),
        (OLD, b"edit", b"old", DISCARD),
        (EDIT, b"new", b"old", KEEP_COPY),
        (EDIT, b"new", b"", KEEP_COPY),
    ]:
        inode, identity = found or (None, b"")
        assert recover(20, inode, identity, present, expected) == outcome, (found, present, expected)


def test_removal_is_repeated_only_when_it_was_told_to_be_done():
    assert recover_removal(b"old", b"old", False) == REMOVE
    assert recover_removal(b"old", b"old", True) == NOTHING
    assert recover_removal(b"edit", b"old", False) == NOTHING
    assert recover_removal(b"", b"old", False) == NOTHING
    assert recover_removal(b"", b"", False) == NOTHING


class Disk:
    """Three names: the path, the staged name, the conflict copy."""

    def __init__(self, path, staged, copy=None):
        self.path = path
        self.staged = staged
        self.copy = copy

    def recover(self, expected):
        inode, identity = self.staged or (None, b"")
        present = self.path[1] if self.path else b""
        action = recover(NEW[0], inode, identity, present, expected[1] if expected else b"")
        if action == SET_ASIDE:
            self.copy = self.path
        if action in (PUBLISH, SET_ASIDE):
            self.path = self.staged
            self.staged = None
        if action == KEEP_COPY:
            self.copy = self.staged
        if action in (DISCARD, KEEP_COPY):
            self.staged = None

    def holds(self, file):
        return file in (self.path, self.copy)


def states(before, edits):
    """(disk, expected, owner's edit) at every moment of publishing; the edit falls at any of them."""
    seen = before
    yield Disk(before, NEW), seen, None
    if edits:
        yield Disk(EDIT, NEW), seen, EDIT  # edited before the rename, power cut before it
        if before:
            yield Disk(NEW, EDIT), seen, EDIT  # edited, then exchanged
    if before:
        yield Disk(NEW, before), seen, None
        if edits:
            yield Disk(EDIT, before), seen, EDIT  # exchanged, then edited
    yield Disk(NEW, None), seen, None
    if edits:
        yield Disk(EDIT, None), seen, EDIT


def test_power_cut_at_every_step_leaves_new_content_and_every_edit():
    for before in (None, OLD):
        for disk, expected, edit in states(before, edits=True):
            exchanged = disk.path == EDIT and disk.staged != NEW
            disk.recover(expected)
            assert disk.staged is None
            assert disk.path == (EDIT if exchanged else NEW)
            assert edit is None or disk.holds(EDIT)
            disk.recover(expected)
            assert edit is None or disk.holds(EDIT)
