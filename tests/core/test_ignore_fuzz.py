"""Ignore rules against pathspec's GitIgnoreSpec, which follows git, and against their own definition.

Where pathspec and git part ways, git's way is in the table of both/test_ignore.py: patterns that end in /** mean
the folder itself for pathspec, *** is a single star, negated classes match a slash, and a `!` pattern reaches below
what it takes back.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from toastbox.core.ignore import IgnoreRules, Rule

LETTERS = ["a", "b", ".c", "é"]
PARTS = st.sampled_from([*LETTERS, "*", "?", "[ab]", "[a-z]", "*.c", "a*b", "**", "\\a", "a**"])
NAME_PATTERNS = st.lists(PARTS, min_size=1, max_size=2).map("".join)
PATTERNS = st.builds(
    lambda start, names, end: start + "/".join(names) + end,
    st.sampled_from(["", "", "/", "**/"]),
    st.lists(NAME_PATTERNS, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
).filter(lambda pattern: not pattern.rstrip("/").endswith("**") and "***" not in pattern)
LINES = st.lists(st.one_of(PATTERNS, st.sampled_from(["", "# a", "*", "a/"])), max_size=5)
NAMES = st.lists(st.sampled_from(["a", "b", ".c", "é", "ab", "a.c", "aab"]), min_size=1, max_size=4)


PATHS = st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=6)


@settings(max_examples=1000)
@given(LINES, PATHS)
def test_patterns_agree_with_pathspec(lines: list[str], paths: list[tuple[list[str], bool]]) -> None:
    rules, spec = IgnoreRules("\n".join(lines)), GitIgnoreSpec.from_lines(lines)
    for names, is_folder in paths:
        found = rules.ignored("/".join(names).encode(), is_folder)
        assert found == spec.match_file("/".join(names) + "/" * is_folder), (lines, names, is_folder)


def decide(lines: list[str], names: list[str], is_folder: bool) -> bool:
    """The last pattern that matches the path itself."""
    found = False
    for line in lines:
        rule = Rule(line)
        if rule.matches(names) and (is_folder or not line.endswith("/")):
            found = not line.startswith("!")
    return found


@given(st.lists(st.tuples(st.sampled_from(["", "!"]), PATTERNS).map("".join), max_size=6), PATHS)
def test_last_match_decides_and_nothing_comes_back_into_an_ignored_folder(
    lines: list[str], paths: list[tuple[list[str], bool]]
) -> None:
    rules = IgnoreRules("\n".join(lines))
    for names, is_folder in paths:
        above = any(decide(lines, names[:depth], True) for depth in range(1, len(names)))
        found = rules.ignored("/".join(names).encode(), is_folder)
        assert found == (above or decide(lines, names, is_folder)), (lines, names, is_folder)


@given(st.binary(max_size=60), st.binary(max_size=20), st.booleans())
def test_any_bytes_are_rules(text: bytes, path: bytes, is_folder: bool) -> None:
    assert IgnoreRules(text).ignored(path, is_folder) in (True, False)
