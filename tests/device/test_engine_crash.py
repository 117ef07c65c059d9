"""What happens just then: the connection breaks, the process dies, a user is at it between two steps."""

import errno
import os
from collections.abc import Iterator

import pytest

from local import LocalDevice, Trio, settle
from toastbox.device.seen import Seen
from toastbox.errors import DeviceFailing


def break_after(device: LocalDevice, chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next fetch end early."""
    fetch = device.remote.fetch

    def breaking(hashes: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        for number, item in enumerate(fetch(hashes)):
            if number == chunks:
                raise ConnectionError("cut")
            yield item

    monkeypatch.setattr(device.remote, "fetch", breaking)


def test_interrupted_download_goes_on_where_it_stopped(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("large", os.urandom(8_000_000))
    a.sync()
    break_after(b, 60, monkeypatch)
    with pytest.raises(ConnectionError):
        b.sync()
    monkeypatch.undo()
    before = b.remote.fetched
    b.restart()
    settle(b)
    assert a.tree() == b.tree()
    assert before > 3_000_000 and b.remote.fetched - before < 8_000_000 - before + 600_000


def test_half_a_file_is_not_taken_for_one_that_was_replaced(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    data = os.urandom(8_000_000)
    a.write("large", data)
    settle(a, b)
    (a.root / "large").unlink()
    settle(a, b)
    a.write("large", data)
    a.sync()
    break_after(b, 60, monkeypatch)
    with pytest.raises(ConnectionError):
        b.sync()
    monkeypatch.undo()
    b.restart()
    assert b.tree() == {}
    settle(a, b)
    assert a.tree() == b.tree() and list(b.tree()) == ["large"]


def test_executable_bit_set_right_after_publishing_is_noticed(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, a, b = trio
    a.write("x", b"content")
    os.utime(a.root / "x", (1, 1))
    a.sync()
    publish = b.folder.publish_new

    def publish_and_change(
        names: list[str], staged: list[Seen | None], paths: list[bytes]
    ) -> list[tuple[bool, Seen | None]]:
        done = publish(names, staged, paths)
        (b.root / "x").chmod(0o755)
        return done

    monkeypatch.setattr(b.folder, "publish_new", publish_and_change)
    b.engine.cycle()
    monkeypatch.undo()
    b.restart()
    settle(b, a)
    assert a.tree() == b.tree() and (a.root / "x").stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("edit", [False, True])
@pytest.mark.parametrize("power", [False, True])
def test_what_no_flush_has_made_durable_is_not_published_later(
    trio: Trio, monkeypatch: pytest.MonkeyPatch, count: int, edit: bool, power: bool
) -> None:
    """The power goes in the flush; or it fails: the kernel drops pages it could not write, and tells of it once."""
    _, a, b = trio
    if edit:
        for number in range(count):
            a.write(f"file{number}", b"before")
        settle(a, b)
    for number in range(count):
        a.write(f"file{number}", os.urandom(3000))
    a.sync()

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt if power else OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(b.folder.stage, "flush", fail)
    monkeypatch.setattr(b.folder, "flush_all", fail)
    with pytest.raises(KeyboardInterrupt if power else DeviceFailing):
        b.sync()
    monkeypatch.undo()
    staged = list((b.root / ".toastbox/stage").iterdir())
    assert bool(staged) == power
    for path in staged:
        os.truncate(path, 1000)  # these pages had not been written
    b.restart()
    settle(b)
    assert a.tree() == b.tree()
    settle(a, b)
    assert not [name for name in b.tree() if "conflict" in name]
    assert a.tree() == b.tree() and all(len(data) != 1000 for data in b.tree().values())
