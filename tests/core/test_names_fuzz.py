"""Properties of names."""

from hypothesis import given
from hypothesis import strategies as st

from test_wire_fuzz import GOOD_PATHS
from toastbox.core.names import (
    children_range,
    conflict_path,
    is_utf8,
    key_of,
    parent_of,
    path_of,
    well_formed,
    why_bad,
)

NEARLY = st.lists(
    st.sampled_from([b"a", b"/", b".", b"..", b"\0", b".toastbox", "é".encode(), b"\xff", b"x" * 255, b"\xed\xa0\x80"]),
    max_size=20,
).map(b"".join)


def is_good(path: bytes) -> bool:
    """docs/SPEC.md, section 1, word for word."""
    names = path.split(b"/")
    try:
        path.decode("utf-8", "strict")
    except UnicodeError:
        return False
    return (
        1 <= len(path) <= 4096
        and all(1 <= len(name) <= 255 and name not in (b".", b"..") for name in names)
        and 0 not in path
        and names[0] != b".toastbox"
    )


@given(
    st.one_of(NEARLY, st.binary(max_size=20), st.text(max_size=20).map(lambda t: t.encode("utf-8", "surrogatepass")))
)
def test_names_are_judged_as_the_specification_says(path: bytes) -> None:
    assert (why_bad(path) == "") == is_good(path)


@given(st.one_of(st.binary(max_size=6), NEARLY))
def test_own_utf8_check_agrees_with_the_platform(data: bytes) -> None:
    assert is_utf8(data) == well_formed(data)


@given(st.lists(GOOD_PATHS, min_size=2, max_size=8))
def test_sub_trees_are_not_interrupted(paths: list[bytes]) -> None:
    paths = sorted(set(paths) | {parent_of(path) for path in paths} - {b""}, key=key_of)
    for folder in paths:
        low, high = children_range(key_of(folder))
        inside = [path.startswith(folder + b"/") for path in paths]
        assert inside == [low < key_of(path) < high for path in paths]
        at = paths.index(folder) + 1
        assert all(inside[at : at + sum(inside)])
    assert [path_of(key_of(path)) for path in paths] == paths


DEVICE_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(GOOD_PATHS, DEVICE_NAMES, st.integers(1, 2**64 - 1))
def test_conflict_copies_are_good_new_names_in_the_same_folder(path: bytes, device: str, seq: int) -> None:
    seen = {path}
    for _ in range(4):
        path = conflict_path(path, device, seq)
        assert why_bad(path) == "" and path not in seen
        assert parent_of(path) == parent_of(next(iter(seen)))
        seen.add(path)
