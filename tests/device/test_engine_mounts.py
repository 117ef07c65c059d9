"""What is mounted below the folder is left alone, be it of the same file system: coming and going is no change."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import Trio, held, look, settle

REASON = "something is mounted there"


@contextmanager
def mounted(*what: object) -> Iterator[None]:
    """what: arguments of mount(8), the last of them the place."""
    subprocess.run(["mount", *map(str, what)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(what[-1])], check=True)


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_mount_over_a_synced_folder_deletes_nothing_and_sends_nothing(trio: Trio, tmp_path: Path, kind: str) -> None:
    _, a, b = trio
    for name in ("sub/x", "sub/deep/y", "z"):
        a.write(name, b"1")
    settle(a, b)
    before = b.tree()
    (tmp_path / "other").mkdir()
    place = a.root / "sub"
    with mounted("--bind", tmp_path / "other", place) if kind == "bind" else mounted("-t", "tmpfs", "none", place):
        a.write("sub/private", b"of the other")
        a.sync()
        assert b"sub" in held(a)
        look(a, b"sub/private", b"sub/x", b"sub")
        settle(b)
        assert b.tree() == before
    settle(a, b)
    assert b.tree() == before and held(a) == {} and a.tree() == before


def test_content_for_what_lies_below_a_mount_waits(trio: Trio, tmp_path: Path) -> None:
    _, a, b = trio
    a.write("sub/x", b"1")
    settle(a, b)
    (tmp_path / "other").mkdir()
    with mounted("--bind", tmp_path / "other", b.root / "sub"):
        a.write("sub/x", b"22")
        a.write("sub/new", b"3")
        a.sync()
        b.sync()
        assert os.listdir(b.root / "sub") == []
        assert held(b)[b"sub/new"] == REASON
    b.engine.retry_held()
    settle(a, b)
    assert a.tree() == b.tree() and (b.root / "sub/x").read_bytes() == b"22"
