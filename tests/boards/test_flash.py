"""Writing an image: what is refused, on files and loop devices, and cards that fail."""

import errno
import lzma
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toastbox import flash
from toastbox.cli import main
from toastbox.errors import DeviceFailing, DeviceFull, SafetyRefused, WrongUse
from toastbox.flash import Target, image_size, inspect, objection

MIB = 1 << 20
SIZE = 5 * MIB + 512


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Something with a partition table and content that is not all the same."""
    path = tmp_path / "virt-arm64.img"
    head = bytes(510) + b"\x55\xaa"
    path.write_bytes(head + os.urandom(1000) + bytes(2 * MIB) + os.urandom(SIZE - 2 * MIB - 1512))
    return path


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Makes loop devices of files; root only, like all that flashes real cards."""
    assert os.geteuid() == 0, "these tests make loop devices and need root: run 'sudo make test'"
    made: list[str] = []

    def make(backing: Path) -> str:
        command = ["losetup", "--find", "--show", str(backing)]
        made.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
        return made[-1]

    yield make
    for name in reversed(made):
        subprocess.run(["losetup", "--detach", name], check=True)


def card(tmp_path: Path, size: int) -> Path:
    path = tmp_path / "card"
    path.write_bytes(b"\xff" * size)
    return path


# --- what is refused


@pytest.mark.parametrize(
    ("target", "again", "error", "words"),
    [
        (Target("/dev/sdb", True, 8 << 30, True), None, None, ""),
        (Target("file", False), None, None, ""),
        (Target("/dev/sda", True, 8 << 30), None, SafetyRefused, "add --really /dev/sda"),
        (Target("/dev/sda", True, 8 << 30), "/dev/sdb", SafetyRefused, "not removable"),
        (Target("/dev/sda", True, 8 << 30), "/dev/sda", None, ""),
        (Target("/dev/sda", True, 8 << 30, used_by=("mounted at /",)), "/dev/sda", SafetyRefused, "mounted at /"),
        (Target("/dev/sdb", True, 8 << 30, True, used_by=("swap",)), None, SafetyRefused, "in use (swap)"),
        (Target("/dev/sdb1", True, 8 << 30, True, whole=False), None, WrongUse, "name the whole disk"),
        (Target("/dev/sdb", True, MIB, True), None, WrongUse, "too small: it has 1.0 MiB, the image needs 5.0 MiB"),
    ],
)
def test_what_is_refused(target: Target, again: str | None, error: type | None, words: str) -> None:
    found = objection(target, SIZE, again)
    if error is None:
        assert found is None
    else:
        assert isinstance(found, error)
        assert words in str(found)


def test_the_disk_of_this_machine_is_refused(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever / is on, if it is a disk at all."""
    with open("/proc/self/mountinfo") as file:
        root = next(line.split() for line in file if line.split()[4] == "/")
    source = root[root.index("-") + 2]
    if not source.startswith("/dev/"):
        source = "/dev/null"
    code = main(["flash", "virt-arm64", source, "--image", str(image), "--really", source])
    assert code == (2 if source == "/dev/null" else 3)
    assert source in capsys.readouterr().err


def test_uses_are_found_in_the_kernels_tables(tmp_path: Path) -> None:
    device = tmp_path / "sys" / "sdz"
    (device / "sdz1" / "holders").mkdir(parents=True)
    (device / "sdz1" / "partition").write_text("1\n")
    (device / "sdz1" / "dev").write_text("8:241\n")
    (device / "sdz1" / "holders" / "dm-0").mkdir()
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text("22 1 8:241 / /mnt rw - ext4 /dev/sdz1 rw\n")
    (tmp_path / "swaps").write_text("Filename Type\n/dev/sdz1 partition 1 0 -2\n")
    assert list(flash._uses(device, "8:240", tmp_path)) == ["mounted at /mnt", "swap", "held by dm-0"]


def test_mounted_loop_device_is_refused(tmp_path: Path, image: Path, loop: Callable[[Path], str]) -> None:
    name = loop(card(tmp_path, 16 * MIB))
    subprocess.run(["mke2fs", "-q", name], check=True)
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mount", name, str(place)], check=True)
    try:
        assert main(["flash", "virt-arm64", name, "--image", str(image), "--really", name]) == 3
        assert inspect(name).used_by == (f"mounted at {place}",)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_loop_device_is_not_removable_and_wants_its_name_twice(
    tmp_path: Path, image: Path, loop: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    backing = card(tmp_path, 16 * MIB)
    name = loop(backing)
    before = backing.read_bytes()
    assert main(["flash", "virt-arm64", name, "--image", str(image)]) == 3
    assert f"--really {name}" in capsys.readouterr().err
    assert backing.read_bytes() == before
    assert main(["flash", "virt-arm64", name, "--image", str(image), "--really", name]) == 0
    assert "Next: start it" in capsys.readouterr().err
    assert backing.read_bytes() == image.read_bytes() + before[SIZE:]


def test_too_small_a_card_is_left_alone(tmp_path: Path, image: Path, loop: Callable[[Path], str]) -> None:
    backing = card(tmp_path, 4 * MIB)
    name = loop(backing)
    assert main(["flash", "virt-arm64", name, "--image", str(image), "--really", name]) == 2
    assert set(backing.read_bytes()) == {255}


@pytest.mark.parametrize("name", ["/dev/null", "/dev/no-such-card", "/tmp"])
def test_what_is_no_target(image: Path, name: str) -> None:
    assert main(["flash", "virt-arm64", name, "--image", str(image)]) == 2


def test_port_without_a_microcontroller_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", "pico-w", "/dev/null"]) == 1
    assert "is MicroPython on the board" in capsys.readouterr().err


# --- images


def test_xz_is_unpacked_and_its_size_known_beforehand(tmp_path: Path, image: Path) -> None:
    packed = tmp_path / "packed.img.xz"
    packed.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    assert image_size(packed) == SIZE
    target = tmp_path / "card"
    assert main(["flash", "virt-arm64", str(target), "--image", str(packed)]) == 0
    assert target.read_bytes() == image.read_bytes()


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: data[:-4], lambda data: b"", bytes.upper])
def test_what_is_no_image(tmp_path: Path, image: Path, damage: Callable[[bytes], bytes]) -> None:
    packed = tmp_path / "packed.img.xz"
    packed.write_bytes(damage(lzma.compress(image.read_bytes(), preset=0)))
    target = card(tmp_path, MIB)
    assert main(["flash", "virt-arm64", str(target), "--image", str(packed)]) in (1, 2)
    assert target.read_bytes()[510:512] != b"\x55\xaa"


def test_damaged_in_the_middle_leaves_a_card_that_does_not_look_whole(tmp_path: Path, image: Path) -> None:
    packed = tmp_path / "packed.img.xz"
    data = bytearray(lzma.compress(image.read_bytes(), preset=0))
    data[len(data) // 2] ^= 0xFF
    packed.write_bytes(data)
    target = card(tmp_path, 8 * MIB)
    assert main(["flash", "virt-arm64", str(target), "--image", str(packed)]) == 2
    assert target.read_bytes()[:MIB] == bytes(MIB)


# --- cards that fail


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system with 3 MiB of room."""
    place = tmp_path / "tiny"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_file_without_room_fails_half_way(tiny: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tiny / "card"
    assert main(["flash", "virt-arm64", str(target), "--image", str(image)]) == 1
    said = capsys.readouterr().err
    assert "failed at 3.0 MiB of 5.0 MiB" in said
    assert "not whole" in said
    assert target.read_bytes()[510:512] == bytes(2)


def test_disk_that_fails_half_way(tiny: Path, image: Path, loop: Callable[[Path], str]) -> None:
    """A loop device whose blocks cannot all be kept: the kernel reports it at the flush, as for a dying card."""
    backing = tiny / "card"
    with backing.open("wb") as file:
        file.truncate(16 * MIB)
    name = loop(backing)
    with pytest.raises((DeviceFailing, DeviceFull), match="not whole"):
        flash.write(image, inspect(name), SIZE, lambda *_: None)


def test_card_that_forgets_is_found_out(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pread

    def forgetful(card: int, count: int, offset: int) -> bytes:
        data = real(card, count, offset)
        return data[:-1] + b"?" if offset == 4 * MIB else data

    monkeypatch.setattr(os, "pread", forgetful)
    target = str(tmp_path / "card")
    with pytest.raises(DeviceFailing, match="does not keep"):
        flash.write(image, Target(target, False), SIZE, lambda *_: None)


def test_card_that_cannot_be_read_back(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(card: int, count: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(DeviceFailing, match="cannot be read back at 0 B"):
        flash.write(image, Target(str(tmp_path / "card"), False), SIZE, lambda *_: None)


def test_progress_reaches_the_end(tmp_path: Path, image: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    flash.write(image, Target(str(tmp_path / "card"), False), SIZE, lambda *what: seen.append(what))
    assert [each for each in seen if each[1] == SIZE] == [("writing", SIZE, SIZE), ("comparing", SIZE, SIZE)]
