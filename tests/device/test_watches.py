"""The table of watches: paths from names and parents."""

import tracemalloc

from toastbox.device.watches import NO_WATCH, Watches

DEPTH = 1900


def table(**places: str) -> Watches:
    """w1="a/b" is watch 1; a parent's number is looked up by its path, as a walk knows it."""
    made, numbers = Watches(), {}
    made.put(100, b"")
    numbers[b""] = 100
    for name, text in places.items():
        path = text.encode()
        numbers[path] = int(name[1:])
        made.put(numbers[path], path, numbers.get(path.rpartition(b"/")[0], NO_WATCH))
    return made


def test_paths_are_put_together_from_names():
    made = table(w1="a", w2="a/b", w3="a/b/c", w4="x/y")
    assert [made.path(watch) for watch in (100, 1, 2, 3, 4)] == [b"", b"a", b"a/b", b"a/b/c", b"x/y"]
    assert len(made) == 5 and 3 in made and 9 not in made and made.path(9) is None
    assert made.path(NO_WATCH) is None  # what the kernel says when its queue overflowed


def test_what_is_below_a_dropped_folder_has_no_path():
    made = table(w1="a", w2="a/b")
    assert made.path(2) == b"a/b"
    made.drop(1)
    made.drop(1)
    assert made.path(1) is None and made.path(2) is None


def test_a_folder_put_elsewhere_takes_what_is_below_along():
    made = table(w1="a", w2="a/b", w3="z")
    assert made.path(2) == b"a/b"
    made.put(1, b"z/a", 3)
    assert made.path(2) == b"z/a/b"


def test_below_is_the_folder_and_its_content_and_no_namesake():
    made = table(w1="a", w2="a/b", w3="ab", w4="a/b/c", w5="x/a", w6="a.b")
    assert sorted(made.below(b"a")) == [1, 2, 4]
    assert made.below(b"b") == []
    made.drop(2)
    assert made.below(b"a") == [1]


def test_folders_moved_into_each_other_unseen_end_no_loop():
    made = table(w1="a", w2="b")
    made.put(1, b"b/a", 2)
    made.put(2, b"a/b", 1)
    assert made.path(1) is None and made.path(2) is None
    made.put(2, b"b", 100)
    assert made.path(1) == b"b/a"


def test_deep_folders_are_not_kept_by_their_whole_paths():
    tracemalloc.start()
    made = Watches()
    made.put(0, b"")
    path = b""
    for depth in range(1, DEPTH):
        path = path + b"/d" if path else b"d"
        made.put(depth, path, depth - 1)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.path(DEPTH - 1) == path
    assert taken < 400_000  # whole paths: 3.6 MB
