"""Two small boards, one hub: what is saved on one is on the other."""

import hashlib
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit import Caller, Running, big_file
from toastbox.core.chunker import Chunker
from toastbox.core.content import chunk_item
from toastbox.core.wire import decode_pull
from tools.cross.micropython import native_module

Make = Callable[..., Any]
FOUR_BYTE_WORDS = "146k"  # what 110 KiB hold where words have 4 bytes (TOASTERS.md)


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


def listed(caller: Caller, path: str) -> bytes:
    """The chunk list of a file on the hub."""
    page = decode_pull(caller.ask("GET", f"/v1/pull?after=0&epoch={caller.epoch()}&entries=100&bytes=65536").body)
    entry = [record.entry for record in page.records() if record.entry.path == path.encode()][-1]
    return caller.ask("GET", f"/v1/list?content={entry.content.hex()}&from=0&count=56").body


def test_native_code_cuts_as_every_device_does_and_fixed_pieces_are_taken_without(
    toaster: Make, caller: Caller, tmp_path: Path
) -> None:
    data = os.urandom(700_000)
    cuts = [0, *Chunker().cuts(data), len(data)]
    spans = [data[start:end] for start, end in itertools.pairwise(cuts) if start < end]
    native_module("x64", tmp_path / "native")
    with_it, without = toaster("with", modules=tmp_path / "native"), toaster("without", mode="send")
    with_it.write("by content", data)
    with_it.sync()
    assert listed(caller, "by content") == b"".join(
        chunk_item(hashlib.sha256(span).digest(), len(span)) for span in spans
    )
    changed = data[:100_000] + b"inserted" + data[100_000:]
    before = with_it.tell(do="status")["sent"]
    with_it.write("by content", changed)
    assert with_it.sync()["sent"] - before < 2 * 262_144
    without.write("fixed", data)
    without.sync()
    items = listed(caller, "fixed")
    assert [int.from_bytes(items[at + 32 : at + 36], "little") for at in range(0, len(items), 36)] == [
        *[65536] * 10,
        44640,
    ]
    with_it.sync()
    assert with_it.files() == {"by content": changed, "fixed": data}
