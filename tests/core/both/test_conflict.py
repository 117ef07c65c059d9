"""Who wins: a table, both ways round."""

from entries import deleted, file, folder, link

from toastbox.core.conflict import ADOPT, BOTH, KEEP, NOTHING, TAKE, resolve

P = b"p"
OLD, MINE, THEIRS = file(P, b"old", 3), file(P, b"mine", 0), file(P, b"theirs", 9)
SCRIPT = file(P, b"old", 0, executable=True)

# base, local, remote, outcome
TABLE = [
    # nothing here
    (None, None, THEIRS, TAKE),
    (None, None, folder(P, 9), TAKE),
    (None, None, link(P, b"t", 9), TAKE),
    (None, None, deleted(P, 9), ADOPT),
    # deleted here
    (OLD, None, deleted(P, 9), ADOPT),
    (OLD, None, THEIRS, TAKE),
    (OLD, deleted(P), THEIRS, TAKE),
    (OLD, None, file(P, b"old", 9), TAKE),
    (OLD, None, file(P, b"old", 3), KEEP),
    (folder(P, 3), None, folder(P, 3), KEEP),
    # unchanged here
    (OLD, OLD, THEIRS, TAKE),
    (OLD, OLD, deleted(P, 9), TAKE),
    (OLD, OLD, folder(P, 9), TAKE),
    (OLD, OLD, link(P, b"t", 9), TAKE),
    (folder(P, 3), folder(P), file(P, b"new", 9), TAKE),
    (folder(P, 3), folder(P), deleted(P, 9), TAKE),
    (link(P, b"a", 3), link(P, b"a"), link(P, b"b", 9), TAKE),
    # edited here
    (OLD, MINE, deleted(P, 9), KEEP),
    (OLD, MINE, THEIRS, BOTH),
    (OLD, MINE, file(P, b"mine", 9), ADOPT),
    (OLD, MINE, folder(P, 9), BOTH),
    (OLD, MINE, file(P, b"old", 9), KEEP),
    (OLD, MINE, file(P, b"old", 3), KEEP),
    (OLD, folder(P), THEIRS, BOTH),
    (OLD, folder(P), deleted(P, 9), KEEP),
    (OLD, link(P), THEIRS, BOTH),
    (link(P, b"a", 3), link(P, b"b"), link(P, b"c", 9), BOTH),
    (folder(P, 3), MINE, folder(P, 9), BOTH),
    (folder(P, 3), MINE, deleted(P, 9), KEEP),
    (folder(P, 3), MINE, THEIRS, BOTH),
    # new here
    (None, MINE, THEIRS, BOTH),
    (None, MINE, file(P, b"mine", 9), ADOPT),
    (None, MINE, deleted(P, 9), KEEP),
    (None, MINE, folder(P, 9), BOTH),
    (None, folder(P), folder(P, 9), ADOPT),
    (None, folder(P), THEIRS, BOTH),
    (None, folder(P), deleted(P, 9), KEEP),
    (None, link(P, b"a"), link(P, b"b", 9), BOTH),
    (deleted(P, 2), MINE, THEIRS, BOTH),
    # known already
    (OLD, OLD, file(P, b"old", 3), NOTHING),
    (folder(P, 3), folder(P), folder(P, 3), NOTHING),
    (OLD, MINE, file(P, b"older", 2), NOTHING),
    (OLD, OLD, deleted(P, 2), NOTHING),
    (OLD, None, file(P, b"older", 2), NOTHING),
    # time and executable bit
    (OLD, OLD, file(P, b"old", 9, mtime_ns=5), ADOPT),
    (OLD, file(P, b"old", 3, mtime_ns=4), file(P, b"old", 3, mtime_ns=5), ADOPT),
    (OLD, OLD, file(P, b"old", 9, executable=True), ADOPT),
    (OLD, SCRIPT, file(P, b"old", 9, mtime_ns=5), KEEP),
    (OLD, SCRIPT, file(P, b"old", 9, executable=True), ADOPT),
    (None, SCRIPT, file(P, b"old", 9), ADOPT),
    (OLD, SCRIPT, THEIRS, BOTH),
]


def test_outcome_is_that_of_the_table():
    for base, local, remote, outcome in TABLE:
        found = resolve(base, local, remote)
        assert found == outcome, (base, local, remote, found)


def test_delete_loses_to_unseen_edit_on_either_side():
    assert resolve(OLD, None, THEIRS) == TAKE  # deleted here, edited there
    assert resolve(OLD, MINE, deleted(P, 9)) == KEEP  # edited here, deleted there


def test_swapped_sides_of_an_edit_conflict_keep_both():
    assert resolve(OLD, MINE, THEIRS) == BOTH
    assert resolve(OLD, THEIRS, file(P, b"mine", 9)) == BOTH


def test_no_clock_is_compared():
    for mine in (-(10**18), 0, 10**18):
        for theirs in (-(10**18), 0, 10**18):
            local, remote = file(P, b"mine", 0, mine), file(P, b"theirs", 9, theirs)
            assert resolve(OLD, local, remote) == BOTH
