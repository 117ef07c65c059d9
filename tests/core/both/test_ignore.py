"""Ignore rules: what gitignore(5) says, line by line."""

from toastbox.core.ignore import MAX_PATTERN, IgnoreRules

# rules, ignored paths, paths that are not; a path that ends in / is a folder
TABLE = [
    ("", [], ["a", "a/"]),
    ("\n\n# comment\n", [], ["a", "# comment"]),
    ("a", ["a", "a/", "x/a", "a/b", "x/a/b"], ["b", "aa", "x/aa"]),
    ("/a", ["a", "a/b"], ["x/a"]),
    ("a/", ["a/", "a/b", "x/a/", "x/a/b"], ["a", "x/a"]),
    ("a/b", ["a/b", "a/b/c"], ["x/a/b", "b"]),
    ("/a/b/", ["a/b/", "a/b/c"], ["a/b"]),
    ("*.o", ["a.o", "x/a.o", ".o"], ["a.oo", "ao"]),
    ("a*", ["a", "ab", "x/ab"], ["ba"]),
    ("a*b*c", ["abc", "aXbYc", "abbcbc"], ["ab", "acb", "xabc"]),
    ("a?c", ["abc", "aéc"], ["ac", "abbc"]),
    ("x/*", ["x/a", "x/a/b"], ["x", "x/", "y/x/a"]),
    ("*", ["a", "a/b"], []),
    ("*/", ["a/", "a/b"], ["a"]),
    ("**", ["a", "a/b"], []),
    ("**/a", ["a", "x/a", "x/y/a"], ["b"]),
    ("**/a/b", ["a/b", "x/a/b"], ["b", "a/x/b"]),
    ("a/**", ["a/b", "a/b/c"], ["a", "a/", "x/a/b"]),
    ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a", "b", "x/a/b"]),
    ("a/**/b/**/c", ["a/b/c", "a/x/b/y/c", "a/b/b/c"], ["a/b", "a/c"]),
    ("a/****/b", ["a/b", "a/x/y/b"], ["x/a/b"]),
    ("a**b", ["ab", "axb"], ["a/b"]),
    ("a/x**y", ["a/xy", "a/xzy"], ["a/x/y"]),
    ("/**", ["a", "a/b"], []),
    ("*\n!a", ["b", "x/"], ["a"]),
    ("*\n!a/", ["a", "b"], ["a/"]),
    ("a/\n!a/b", ["a/b"], []),
    ("a/*\n!a/b", ["a/c"], ["a/", "a/b", "a/b/c"]),
    ("*.log\n!keep.log\nkeep.log", ["keep.log"], []),
    ("a/b\n!a", ["a/b"], ["a/", "a/c"]),
    ("\\#a", ["#a"], ["a"]),
    ("\\!a", ["!a"], ["a"]),
    ("!", [], ["!", "a"]),
    ("/", [], ["a"]),
    ("a ", ["a"], ["a "]),
    ("a\\ ", ["a "], ["a"]),
    ("a\\  ", ["a "], ["a", "a  "]),
    ("a b", ["a b"], ["a"]),
    (" a", [" a"], ["a"]),
    ("a\r\nb\r\n", ["a", "b"], ["a\r"]),
    ("\\*", ["*"], ["a"]),
    ("a\\", [], ["a", "a\\"]),
    ("[abc]", ["a", "c"], ["d", "ab", "[abc]"]),
    ("[a-c]x", ["ax", "cx"], ["dx", "x", "-x"]),
    ("[!a-c]", ["d", "-"], ["a", "b"]),
    ("[^a-c]", ["d"], ["a"]),
    ("[]a]", ["]", "a"], ["b"]),
    ("[!]a]", ["b"], ["]", "a"]),
    ("[a-]", ["a", "-"], ["b"]),
    ("[-a]", ["a", "-"], ["b"]),
    ("[\\]]", ["]"], ["\\"]),
    ("[[:digit:]x]", ["5", "x"], ["a", ":"]),
    ("[![:alpha:]]", ["5"], ["a", "Z"]),
    ("[a", [], ["a", "[a"]),
    ("a[", [], ["a", "a["]),
    ("x[é-ü]", ["xö"], ["xa"]),
    ("ä/ö", ["ä/ö", "ä/ö/x"], ["ö"]),
]


def is_ignored(rules, path):
    return rules.ignored(path.rstrip("/").encode(), path.endswith("/"))


def test_rules_are_those_of_git():
    for text, ignored, kept in TABLE:
        rules = IgnoreRules(text.encode())
        for path in ignored:
            assert is_ignored(rules, path), (text, path)
        for path in kept:
            assert not is_ignored(rules, path), (text, path)


def test_text_and_bytes_are_the_same_and_a_mark_is_skipped():
    assert IgnoreRules("ä").ignored("ä".encode(), False)
    assert IgnoreRules(b"\xef\xbb\xbfa").ignored(b"a", False)


def test_bad_lines_do_not_spoil_the_others():
    rules = IgnoreRules(b"\xff\xfe\na\n" + b"x" * (MAX_PATTERN + 1) + b"\nb")
    assert rules.ignored(b"a", False) and rules.ignored(b"b", False)
    assert not rules.ignored(b"x" * 200, False)


def test_names_that_are_not_utf8_are_not_ignored():
    assert not IgnoreRules("*").ignored(b"\xff", False)


def test_cached_folders_give_the_same_answer():
    rules = IgnoreRules("skip/\n")
    for _ in range(2):
        for at in range(100):
            number = str(at).encode()
            assert rules.ignored(b"a" + number + b"/skip/x", False)
            assert not rules.ignored(b"a" + number + b"/keep/x", False)


def test_hostile_patterns_take_linear_time():
    """Exponential back-tracking would not come to an end here."""
    rules = IgnoreRules("a*" * 60 + "b\n" + "/" + "**/a/" * 20 + "b\n")
    assert not rules.ignored(b"a" * 255, False)
    assert not rules.ignored(b"/".join([b"a"] * 600), False)
