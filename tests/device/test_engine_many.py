"""New small files are staged and published many at a time: what happens to one of them is what always happened."""

import os

import pytest

from local import LocalDevice, Trio, contents, settle
from toastbox.device.seen import Seen


def send_small(device: LocalDevice, count: int) -> None:
    for number in range(count):
        device.write(f"d/{number}", b"%d" % number)
    assert device.sync()


def test_path_taken_just_before_many_are_published_keeps_both(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    send_small(a, 200)
    publish = b.folder.publish_new

    def take_and_publish(
        names: list[str], staged: list[Seen | None], paths: list[bytes]
    ) -> list[tuple[bool, Seen | None]]:
        if b"d/77" in paths:
            b.write("d/77", b"mine")
        return publish(names, staged, paths)

    monkeypatch.setattr(b.folder, "publish_new", take_and_publish)
    settle(a, b)
    assert a.tree() == b.tree()
    kept = contents(b)
    assert kept["d/77"] == b"77" and b"mine" in kept.values()
    assert len(kept) == 202 and not b.folder.stage.names()


def test_deletion_right_after_many_are_published_is_a_deletion(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    send_small(a, 10)
    publish = b.folder.publish_new

    def publish_and_delete(
        names: list[str], staged: list[Seen | None], paths: list[bytes]
    ) -> list[tuple[bool, Seen | None]]:
        (done,) = {done for done, _ in publish(names, staged, paths)}
        (b.root / "d/7").unlink()
        return [(done, b.folder.lstat(path)) for path in paths]

    monkeypatch.setattr(b.folder, "publish_new", publish_and_delete)
    assert b.sync()
    settle(a, b)
    assert a.tree() == b.tree() and "d/7" not in a.tree() and len(contents(a)) == 10


def test_small_file_that_cannot_be_made_with_others_is_made_alone(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    for number in range(50):
        a.write(f"d/{number}", b"%d" % number * 300)
    a.write("d/large", os.urandom(100_000))
    assert a.sync()
    make_all = b.folder.stage.make_all
    monkeypatch.setattr(
        b.folder.stage,
        "make_all",
        lambda files, data: [None if at % 7 == 3 else each for at, each in enumerate(make_all(files, data))],
    )
    assert b.sync()
    assert a.tree() == b.tree() and not b.folder.stage.names()
