"""The order of proposals and of steps: whatever changed, a journal or a disk accepts each in turn."""

from hypothesis import given
from hypothesis import strategies as st

from model import Hub
from proposals import Change, order_changes
from toastbox.core import wire
from toastbox.core.entry import DELETED, FILE, FOLDER, LINK, PAIR, Entry
from toastbox.core.names import key_of, parent_of
from toastbox.core.plan import Item, plan

PATHS = [b"a", b"a/b", b"a/b/c", b"a/d", b"a-b", b"e", b"e/f"]
CONTENT = bytes(range(32))
TREES = st.dictionaries(st.sampled_from(PATHS), st.sampled_from([FILE, FOLDER, LINK])).map(
    lambda tree: dict(sorted(_completed(tree).items(), key=lambda pair: key_of(pair[0])))
)


def _completed(tree: dict[bytes, int]) -> dict[bytes, int]:
    """The tree with what is above made folders."""
    for path in list(tree):
        while path := parent_of(path):
            tree[path] = FOLDER
    return tree


def entry_of(path: bytes, kind: int, seq: int = 0) -> Entry:
    content = {FILE: CONTENT, LINK: b"to"}.get(kind, b"")
    return Entry(path, kind, 0, seq, 0, 5 if kind == FILE else 0, content)


def propose(hub: Hub, changes: list[Change]) -> None:
    records = [wire.encode_entry(c.entry, wire.default_form(c.entry)) for c in changes]
    answer = hub.commit(1, wire.encode_commit(77, 0, records), {CONTENT: b"12345"})
    statuses = [status for status, _ in wire.decode_answer(answer).results]
    assert statuses == [wire.COMMITTED] * len(changes), (statuses, changes)


@given(TREES, TREES, st.randoms(use_true_random=False))
def test_journal_accepts_every_change_in_order(old: dict[bytes, int], new: dict[bytes, int], chance) -> None:
    hub = Hub()
    if old:
        propose(hub, [Change(entry_of(path, kind)) for path, kind in old.items()])
    seqs = {path: entry.seq for path, entry in hub.current.items()}
    gone = [path for path, kind in old.items() if path not in new and kind == FILE]
    changes = [Change(entry_of(p, DELETED, seqs[p]), old[p]) for p in old if p not in new]
    for path, kind in new.items():
        if old.get(path) != kind:
            moved = gone.pop() if kind == FILE and gone and path not in old else b""
            changes.append(Change(entry_of(path, kind, seqs.get(path, 0)), old.get(path, DELETED), moved))
    chance.shuffle(changes)
    ordered = order_changes(changes)
    assert sorted(map(id, ordered)) == sorted(map(id, changes))
    if ordered:
        propose(hub, ordered)
    assert {path: entry.kind for path, entry in hub.live().items()} == new
    for at, change in enumerate(ordered):
        if change.entry.flags & PAIR:
            assert ordered[at + 1].entry.path == change.moved_from


KINDS = st.sampled_from([DELETED, FILE, FOLDER, LINK])


@given(st.lists(st.tuples(st.sampled_from(PATHS), KINDS, KINDS, KINDS, st.booleans()), unique_by=lambda item: item[0]))
def test_every_entry_gets_its_steps_in_key_order(found: list[tuple[bytes, int, int, int, bool]]) -> None:
    items = []
    for seq, (path, base, local, remote, same) in enumerate(found, start=10):
        known = entry_of(path, base, 3) if base != DELETED else None
        here = known if same else entry_of(path, local) if local != DELETED else None
        items.append(Item(entry_of(path, remote, seq), known, here))
    steps = plan(items, "pi")
    for paths in (steps.folders, [entry.path for entry in steps.publish]):
        assert paths == sorted(paths, key=key_of)
    for paths in (steps.removals, [path for path, _ in steps.rmdirs]):
        assert paths == sorted(paths, key=key_of, reverse=True)
    done = [entry.path for entry in steps.publish + steps.meta + steps.adopt + steps.keep]
    done += steps.folders + steps.removals + [path for path, replaced in steps.rmdirs if not replaced]
    assert sorted(done) == sorted(item.remote.path for item in items)
    assert {entry.path for entry in steps.stage} == {entry.path for entry in steps.publish}
