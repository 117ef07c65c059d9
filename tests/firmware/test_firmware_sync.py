"""Two small boards, one hub: what is saved on one is on the other."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from hubkit import Caller, Running, big_file

Make = Callable[..., Any]
FOUR_BYTE_WORDS = "146k"  # what 110 KiB hold where words have 4 bytes (DESIGN.md, section 16)


def test_up_and_down_and_folders(toaster: Make) -> None:
    one, two = toaster("one"), toaster("two")
    one.write("hello.txt", b"hello")
    one.write("deep/down/empty", b"")
    one.sync()
    two.sync()
    assert two.files() == one.files() == {"hello.txt": b"hello", "deep/down/empty": b""}


def test_an_edit_of_the_same_size_within_one_second_arrives(toaster: Make) -> None:
    one, two = toaster("one"), toaster("two")
    one.write("a", b"first")
    one.sync()
    two.sync()
    two.write("a", b"other")
    time.sleep(3)
    two.sync()
    one.sync()
    assert one.files() == {"a": b"other"}


def test_rename_and_delete(toaster: Make) -> None:
    one, two = toaster("one"), toaster("two")
    one.write("f/a", b"a" * 300_000)
    one.write("b", b"b")
    one.sync()
    two.sync()
    (one.folder / "f/a").rename(one.folder / "c")
    (one.folder / "f").rmdir()
    (one.folder / "b").unlink()
    one.sync()
    two.sync()
    assert two.files() == {"c": b"a" * 300_000} and not (two.folder / "f").exists()


def test_conflict_keeps_both(toaster: Make) -> None:
    one, two = toaster("one"), toaster("two")
    one.write("a.txt", b"base")
    one.sync()
    two.sync()
    one.write("a.txt", b"by one, longer")
    two.write("a.txt", b"by two, the longest")
    one.sync()
    two.sync()
    one.sync()
    assert one.files() == two.files()
    assert sorted(one.files().values()) == [b"by one, longer", b"by two, the longest"]
    assert any("(conflict two" in name for name in one.files())


@pytest.mark.parametrize("heap", ["192k", FOUR_BYTE_WORDS])
def test_five_megabytes_stream_through_a_small_heap(toaster: Make, heap: str) -> None:
    one, two = toaster("one", heap), toaster("two", heap)
    one.write("big", os.urandom(5_000_000))
    one.sync()
    two.sync()
    assert two.files() == one.files()


def test_a_log_sends_only_its_tail(toaster: Make) -> None:
    one, two = toaster("one", append=["*.log"]), toaster("two")
    log = os.urandom(400_000)
    one.write("day.log", log)
    one.sync()
    before = one.tell(do="status")["sent"]
    log += os.urandom(20_000)
    one.write("day.log", log)
    after = one.sync()["sent"]
    two.sync()
    assert two.files()["day.log"] == log
    assert after - before < 20_000 + 65536 + 2000


def test_only_what_is_wanted_comes(toaster: Make) -> None:
    one, two = toaster("one"), toaster("two", only=["/pictures"])
    one.write("pictures/a", b"a")
    one.write("music/b", b"b")
    one.sync()
    two.sync()
    assert two.files() == {"pictures/a": b"a"}


def test_a_receiver_sends_nothing(toaster: Make) -> None:
    one, two = toaster("one"), toaster("two", mode="receive")
    two.write("mine", b"mine")
    two.sync()
    one.sync()
    assert one.files() == {}


def test_an_emptied_folder_deletes_nothing(toaster: Make) -> None:
    one, two = toaster("one"), toaster("two")
    one.write("a", b"a")
    one.write("b", b"b")
    one.sync()
    (one.folder / "a").unlink()
    (one.folder / "b").unlink()
    assert "held back" in one.sync()["warning"]
    two.sync()
    assert set(two.files()) == {"a", "b"}


def test_another_certificate_gets_nothing(toaster: Make, hub: Running) -> None:
    one = toaster("one")
    der = list(b"0" * 300)
    one.ask(do="certificate", der=der)
    one.write("secret", b"secret")
    assert "error" in one.ask(do="sync")
    assert hub.service.journal.read_folder(1).head == 0


def test_state_survives_a_restart_and_nothing_is_done_twice(toaster: Make) -> None:
    one = toaster("one")
    for number in range(100):
        one.write(f"n/{number}", b"%d" % number)
    one.sync()
    time.sleep(3)
    one.sync()
    status = one.tell(do="open")
    again = one.sync()
    assert again["flash_written"] == status["flash_written"]
    assert again["files"] == 101


def test_a_chunk_list_in_parts(toaster: Make, caller: Caller) -> None:
    pieces = [os.urandom(1000) for _ in range(150)]
    caller.upload(*pieces)
    assert caller.commit(caller.epoch(), big_file("parts", pieces))[0][0] == 0
    one = toaster("one")
    one.sync()
    assert one.files()["parts"] == b"".join(pieces)
