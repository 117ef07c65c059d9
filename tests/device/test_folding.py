"""Names that differ in case, on a disk that does not tell them apart: nothing is mixed up, nothing is lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from folding import Folding
from local import LocalDevice, LocalHub, contents, held, settle
from toastbox.device.spelling import TAKEN

Pair = tuple[LocalDevice, LocalDevice]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """An ordinary device, and one whose disk folds names."""
    hub = LocalHub(tmp_path / "hub")
    with Folding(tmp_path / "fat").installed():
        yield LocalDevice(hub, tmp_path / "plain"), LocalDevice(hub, tmp_path / "fat")
    hub.close()


def test_two_names_in_one_are_not_mixed_up(pair: Pair) -> None:
    plain, fat = pair
    plain.write("Makefile", b"one")
    plain.write("makefile", b"the other")
    settle(plain, fat)
    assert contents(plain) == {"Makefile": b"one", "makefile": b"the other"}
    assert contents(fat) == {"Makefile": b"one"} and held(fat) == {b"makefile": TAKEN}
    plain.write("makefile", b"edited")
    fat.write("Makefile", b"edited here")
    settle(fat, plain)
    assert contents(plain) == {"Makefile": b"edited here", "makefile": b"edited"}


def test_what_is_in_a_folder_of_another_spelling_is_held(pair: Pair) -> None:
    plain, fat = pair
    plain.write("Docs/a", b"1")
    plain.write("docs/b", b"2")
    settle(plain, fat)
    assert contents(fat) == {"Docs": None, "Docs/a": b"1"}
    assert set(held(fat)) == {b"docs", b"docs/b"}
    assert contents(plain) == {"Docs": None, "Docs/a": b"1", "docs": None, "docs/b": b"2"}


def test_held_name_comes_when_the_other_is_gone(pair: Pair) -> None:
    plain, fat = pair
    plain.write("A", b"one")
    plain.write("a", b"other")
    settle(plain, fat)
    (plain.root / "A").unlink()
    settle(plain, fat)
    fat.engine.retry_held()
    settle(plain, fat)
    assert contents(fat) == contents(plain) == {"a": b"other"} and held(fat) == {}


@pytest.mark.parametrize("way", ["to fat", "from fat"])
def test_new_spelling_is_a_rename(pair: Pair, way: str) -> None:
    one, other = pair if way == "to fat" else pair[::-1]
    one.write("Readme", b"text")
    settle(one, other)
    os.rename(one.root / "Readme", one.root / "README")
    settle(one, other)
    assert contents(one) == contents(other) == {"README": b"text"}
    assert held(one) == held(other) == {}


@pytest.mark.parametrize("name", [".TOASTBOX", ".Toastbox", ".toa\u017ftbox"])
def test_nothing_gets_into_the_state_by_another_spelling(pair: Pair, name: str) -> None:
    plain, fat = pair
    plain.write(f"{name}/config.toml", b"mode = 'receive-only'")
    plain.write(f"{name}/stage/x", b"1")
    plain.write("fine", b"1")
    before = sorted(os.listdir(fat.root / ".toastbox"))
    settle(plain, fat)
    assert sorted(os.listdir(fat.root / ".toastbox")) == before
    assert contents(fat) == {"fine": b"1"} and f"{name}/config.toml".encode() in held(fat)


def test_state_is_not_moved_out_of_the_way_of_a_file(pair: Pair) -> None:
    plain, fat = pair
    plain.write(".TOASTBOX", b"a file")
    settle(plain, fat)
    assert (fat.root / ".toastbox/index.db").exists()
    assert os.listdir(fat.root) == [".toastbox"] and held(fat) == {b".TOASTBOX": TAKEN}
