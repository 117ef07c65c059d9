"""A real power cut, as far as one can be forced: the disk of a mounted ext4 is copied and mounted anew."""

import shutil
import subprocess
from pathlib import Path

import pytest

from local import LocalDevice, LocalHub, contents, settle
from test_engine_mounts import mounted

OPTIONS = "loop,commit=300,noauto_da_alloc"  # names and content stay in memory until something flushes


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = tmp_path / "disk.img"
    with made.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", made], check=True)
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    return made


@pytest.mark.parametrize("boot", ["first", "second"])
def test_empty_file_that_ext4_leaves_does_not_travel(tmp_path: Path, image: Path, boot: str) -> None:
    """With the boot id of before (a kill) it does, as it would without the judgement: so the cut is a real one."""
    hub = LocalHub(tmp_path / "hub")
    b = LocalDevice(hub, tmp_path / "b")
    with mounted("-o", OPTIONS, image, tmp_path / "before"):
        a = LocalDevice(hub, tmp_path / "before" / "a")
        a.write("f", b"old version")
        settle(a, b)
        a.engine.settle()
        a.write("f", b"new version!" * 1000)
        a.write("g", b"first version" * 1000)
        settle(a, b)
        a.index.sync()
        shutil.copy(image, tmp_path / "cut.img")
        a.folder.close()
        a.index.close()
    with mounted("-o", OPTIONS, tmp_path / "cut.img", tmp_path / "after"):
        left = [(tmp_path / "after/a" / name).read_bytes() for name in "fg"]
        assert left == [b"", b""]
        again = LocalDevice(hub, tmp_path / "after" / "a", boot=boot)
        settle(again, b)
        whole = {"f": b"new version!" * 1000, "g": b"first version" * 1000}
        assert contents(again) == contents(b) == (whole if boot == "second" else {"f": b"", "g": b""})
        again.folder.close()
        again.index.close()
    hub.close()
