"""Plans: which step, in which phase, in which order."""

from entries import deleted, file, folder, link

from toastbox.core.entry import PAIR
from toastbox.core.plan import Item, plan

PHASES = (
    "aside", "stage", "clear", "folders", "renames", "removals", "rmdirs", "publish", "meta", "adopt", "keep",
)  # fmt: skip


def paths(step):
    return step.path if hasattr(step, "path") else step


def steps(*items):
    """{phase: [path or tuple]} of the phases that have any."""
    made = plan([Item(*item) for item in items], "pi")
    return {
        phase: [(s[0], s[1]) if isinstance(s, tuple) else paths(s) for s in getattr(made, phase)]
        for phase in PHASES
        if getattr(made, phase)
    }


def renamed(path, text=b"old", seq=8):
    entry = file(path, text, seq)
    entry.flags |= PAIR
    return entry


def test_new_and_changed_files_and_links_are_staged_and_published():
    assert steps(
        (file(b"b", b"new", 9), file(b"b"), file(b"b")),
        (file(b"a", b"new", 10), None, None),
        (link(b"c", b"x", 11), None, None),
    ) == {"stage": [b"b", b"a", b"c"], "publish": [b"a", b"b", b"c"]}


def test_folders_are_made_outermost_first_and_emptied_innermost_first():
    assert steps((folder(b"a/b", 9), None, None), (folder(b"a", 8), None, None), (folder(b"a-", 7), None, None)) == {
        "folders": [b"a", b"a/b", b"a-"]
    }
    assert steps(
        (deleted(b"a/b/c", 7), file(b"a/b/c"), file(b"a/b/c")),
        (deleted(b"a/b", 8), folder(b"a/b"), folder(b"a/b")),
        (deleted(b"a", 9), folder(b"a"), folder(b"a")),
        (deleted(b"a/x", 6), file(b"a/x"), file(b"a/x")),
    ) == {"removals": [b"a/x", b"a/b/c"], "rmdirs": [(b"a/b", False), (b"a", False)]}


def test_folder_takes_the_place_of_a_file():
    assert steps((folder(b"a", 8), file(b"a"), file(b"a")), (file(b"a/b", b"x", 9), None, None)) == {
        "clear": [b"a"],
        "folders": [b"a"],
        "stage": [b"a/b"],
        "publish": [b"a/b"],
    }


def test_file_takes_the_place_of_a_folder():
    assert steps(
        (deleted(b"a/b", 8), file(b"a/b"), file(b"a/b")), (file(b"a", b"x", 9), folder(b"a"), folder(b"a"))
    ) == {"removals": [b"a/b"], "rmdirs": [(b"a", True)], "stage": [b"a"], "publish": [b"a"]}


def test_loser_is_moved_aside_and_the_journal_keeps_the_path():
    assert steps((file(b"d/a.txt", b"theirs", 9), file(b"d/a.txt"), file(b"d/a.txt", b"mine"))) == {
        "aside": [(b"d/a.txt", b"d/a (conflict pi 9).txt")],
        "stage": [b"d/a.txt"],
        "publish": [b"d/a.txt"],
    }


def test_file_that_loses_to_a_folder_is_moved_aside():
    assert steps((folder(b"a", 9), None, file(b"a", b"mine"))) == {
        "aside": [(b"a", b"a (conflict pi 9)")],
        "folders": [b"a"],
    }


def test_folder_moved_aside_takes_its_content_along():
    assert steps(
        (file(b"a", b"x", 9), None, folder(b"a")),
        (deleted(b"a/b", 7), file(b"a/b"), file(b"a/b")),
        (deleted(b"a-b", 8), file(b"a-b"), file(b"a-b")),
    ) == {
        "aside": [(b"a", b"a (conflict pi 9)")],
        "stage": [b"a"],
        "publish": [b"a"],
        "removals": [b"a-b"],
        "adopt": [b"a/b"],
    }


def test_rename_is_a_rename():
    made = plan([Item(renamed(b"z"), None, None), Item(deleted(b"a", 9), file(b"a"), file(b"a"))], "pi")
    assert [(old, new, entry.path) for old, new, entry in made.renames] == [(b"a", b"z", b"z")]
    assert not made.stage and not made.publish and not made.removals


def test_rename_of_a_link_is_a_rename():
    entry = link(b"z", b"t", 8)
    entry.flags |= PAIR
    made = plan([Item(entry, None, None), Item(deleted(b"a", 9), link(b"a", b"t"), link(b"a", b"t"))], "pi")
    assert len(made.renames) == 1


def test_rename_is_taken_apart_when_something_is_in_its_way():
    gone = (deleted(b"a", 9), file(b"a"), file(b"a"))
    taken = {"stage": [b"z"], "publish": [b"z"], "removals": [b"a"]}
    assert steps((file(b"z", b"old", 8), None, None), gone) == taken
    assert steps((renamed(b"z", b"other"), None, None), gone) == taken
    assert steps((renamed(b"z"), file(b"z", b"was"), file(b"z", b"was")), gone) == taken
    edited = (deleted(b"a", 9), file(b"a"), file(b"a", b"mine"))
    assert steps((renamed(b"z"), None, None), edited) == {"stage": [b"z"], "publish": [b"z"], "keep": [b"a"]}
    absent = (deleted(b"a", 9), None, None)
    assert steps((renamed(b"z"), None, None), absent) == {"stage": [b"z"], "publish": [b"z"], "adopt": [b"a"]}
    last = steps((renamed(b"z"), None, None))
    assert last == {"stage": [b"z"], "publish": [b"z"]}


def test_equal_files_are_adopted_and_only_their_time_or_bit_set():
    assert steps(
        (file(b"a", b"x", 9), None, file(b"a", b"x")),
        (file(b"b", b"x", 10, mtime_ns=5), None, file(b"b", b"x")),
        (file(b"c", b"x", 11, executable=True), file(b"c", b"x"), file(b"c", b"x")),
        (folder(b"d", 12), None, folder(b"d")),
        (deleted(b"e", 13), None, None),
    ) == {"adopt": [b"a", b"d", b"e"], "meta": [b"b", b"c"]}


def test_adopted_file_keeps_the_list_of_chunks_known_here():
    remote, local = file(b"a", b"x", 9), file(b"a", b"x")
    remote.listed = False
    local.chunks = bytes(72)
    plan([Item(remote, None, local)], "pi")
    assert remote.chunks == local.chunks


def test_edit_against_deletion_is_kept():
    assert steps((deleted(b"a", 9), file(b"a"), file(b"a", b"mine"))) == {"keep": [b"a"]}


def test_what_is_known_gives_no_step():
    assert steps((file(b"a", b"old", 3), file(b"a", b"old", 3), file(b"a", b"old", 3))) == {}
    assert plan([], "pi").stage == []
