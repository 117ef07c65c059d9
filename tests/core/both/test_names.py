"""Names: what is allowed, how keys sort, what conflict copies are called."""

from toastbox.core.names import (
    MAX_NAME,
    MAX_PATH,
    children_range,
    clean_name,
    conflict_path,
    cut_utf8,
    is_utf8,
    key_of,
    parent_of,
    path_of,
    well_formed,
    why_bad,
)

GOOD = [
    b"a",
    b"a/b/c",
    b".hidden",
    b"a/.b",
    b"...",
    b"a./b..",
    b"..a",
    b" ",
    b"a b/c d",
    b"\x01",
    b"con",
    b"a:b\\c",
    b".toastboxignore",
    b"a/.toastbox",
    b"toastbox/x",
    "grüße/日本/😀".encode(),
    b"x" * 255,
    b"/".join([b"x" * 255] * 16),
]
BAD = [
    b"",
    b"/",
    b"/a",
    b"a/",
    b"a//b",
    b".",
    b"..",
    b"a/..",
    b"../a",
    b"a/../b",
    b"./a",
    b"a/.",
    b"a\0b",
    b"\0",
    b".toastbox",
    b".toastbox/index.db",
    b"x" * 256,
    b"a/" + b"x" * 256,
    b"/".join([b"x" * 255] * 16) + b"/y",
]
NOT_UTF8 = [
    b"\x80",
    b"\xff",
    b"a\xc3",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"a\xe2\x28\xa1",
]
UTF8 = ["é", "ÿ", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"]


def test_good_names_pass():
    for path in GOOD:
        assert why_bad(path) == "", path


def test_bad_names_are_refused_with_a_reason():
    for path in BAD + NOT_UTF8 + [b"a/" + path for path in NOT_UTF8]:
        assert why_bad(path), path


def test_utf8_is_judged_alike_on_every_platform():
    for text in NOT_UTF8:
        assert not is_utf8(text) and not well_formed(text), text
    for text in UTF8:
        assert is_utf8(text.encode()) and well_formed(text.encode()), text


def test_keys_list_a_folder_before_its_content_and_without_interruption():
    paths = [b"a", b"a/x", b"a/x/y", b"a/z", b"a b", b"a-b", b"a-b/c", b"a.txt", b"ab"]
    assert sorted([key_of(path) for path in reversed(paths)]) == [key_of(path) for path in paths]
    for path in paths:
        assert path_of(key_of(path)) == path


def test_children_range_holds_what_is_below_and_nothing_else():
    low, high = children_range(key_of(b"a/b"))
    for path, inside in [(b"a/b/c", True), (b"a/b/c/d", True), (b"a/b", False), (b"a/bc", False), (b"a/b c", False)]:
        assert (low < key_of(path) < high) == inside, path
    low, high = children_range(b"")
    for path in GOOD:
        assert low < key_of(path) < high


def test_parent():
    assert parent_of(b"a/b/c") == b"a/b"
    assert parent_of(b"a") == b""


def test_conflict_copy_lies_beside_the_winner():
    assert conflict_path(b"notes.txt", "pi", 7) == b"notes (conflict pi 7).txt"
    assert conflict_path(b"a/b/notes", "pi", 7) == b"a/b/notes (conflict pi 7)"
    assert conflict_path(b".profile", "pi", 7) == b".profile (conflict pi 7)"
    assert conflict_path(b"a.tar.gz", "pi", 7) == b"a.tar (conflict pi 7).gz"
    assert conflict_path(b"a.b/c", "pi", 7) == b"a.b/c (conflict pi 7)"
    assert conflict_path(b"x." + b"y" * 40, "pi", 7) == b"x." + b"y" * 40 + b" (conflict pi 7)"


def test_conflict_copies_of_the_same_are_counted():
    path = b"notes.txt"
    names = []
    for _ in range(4):
        path = conflict_path(path, "pi", 7)
        names.append(path)
    assert names == [
        b"notes (conflict pi 7).txt",
        b"notes (conflict pi 7 2).txt",
        b"notes (conflict pi 7 3).txt",
        b"notes (conflict pi 7 4).txt",
    ]
    assert conflict_path(names[0], "tv", 8) == b"notes (conflict pi 7) (conflict tv 8).txt"


def test_conflict_names_fit_and_are_valid():
    stems = [b"x" * 255, "é".encode() * 127, "日".encode() * 85, "😀".encode() * 63 + b".jpeg", b"a." + b"b" * 31]
    for stem in stems:
        for above in (b"", b"folder/"):
            for device in ("pi", "d" * 80, "küche" * 20):
                path = conflict_path(above + stem, device, 2**64 - 1)
                assert why_bad(path) == "" and path.startswith(above), path
                assert len(path) - len(above) <= MAX_NAME


def test_taken_conflict_names_always_have_a_next_one():
    path = b"x" * 255
    seen = {path}
    for _ in range(120):
        path = conflict_path(path, "küche" * 20, 2**64 - 1)
        assert path not in seen and why_bad(path) == "", path
        seen.add(path)


def test_conflict_copy_of_the_longest_path_goes_further_up():
    path = b"/".join([b"x" * 255] * 16)
    assert len(path) == MAX_PATH - 1
    found = conflict_path(path, "pi", 7)
    assert why_bad(found) == "" and found.endswith(b"(conflict pi 7)")


def test_device_names_are_cleaned():
    assert clean_name("a/b\\c:d\n\x7fe") == b"abcde"
    assert clean_name("///") == b"device"
    assert len(clean_name("é" * 80)) == 64


def test_cut_never_splits_a_character():
    text = "aé日😀".encode()
    assert [cut_utf8(text, size) for size in (0, 1, 2, 3, 5, 6, 9, 10, 99)] == [
        b"",
        b"a",
        b"a",
        "aé".encode(),
        "aé".encode(),
        "aé日".encode(),
        "aé日".encode(),
        text,
        text,
    ]
