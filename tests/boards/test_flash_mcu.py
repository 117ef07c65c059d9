"""`toastbox flash` for microcontrollers: what is refused, what a volume and a UF2 file hold, copying over a line."""

import hashlib
import os
import pty
import struct
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cable import Cable
from fake_esp import DEFLATE_DATA, FakeEsp
from tools.mcu import makers, program

Esp32 = Callable[..., tuple[str, FakeEsp, Path]]
MICROPYTHON = str(Path(sys.executable).with_name("micropython"))
PICO_W = 0xE48BFF56
ADDRESS = 0x1012C000


def uf2(family: int, blocks: int = 3) -> bytes:
    """A build as the makers' files look."""
    made = b""
    for number in range(blocks):
        head = struct.pack(
            "<8I", 0x0A324655, 0x9E5D5157, 0x2000, 0x10000000 + number * 256, 256, number, blocks, family
        )
        made += head + bytes([number]) * 256 + bytes(220) + struct.pack("<I", 0x0AB16F30)
    return made


def flash(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toastbox", "flash", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_build_that_is_unknown_or_for_another_chip_is_refused(tmp_path: Path) -> None:
    build, out = tmp_path / "build.uf2", tmp_path / "out.uf2"
    build.write_bytes(uf2(PICO_W))
    right = hashlib.sha256(build.read_bytes()).hexdigest()
    assert flash("pico-w", out).returncode == 2  # none named
    unknown = flash("pico-w", out, "--firmware", build)
    assert unknown.returncode == 3 and "--checksum" in unknown.stderr
    assert flash("pico-w", out, "--firmware", build, "--checksum", "0" * 64).returncode == 3
    wrong = flash("pico-2-w", out, "--firmware", build, "--checksum", right)
    assert wrong.returncode == 3 and "another chip" in wrong.stderr
    build.write_bytes(uf2(PICO_W)[:-100])
    cut = flash("pico-w", out, "--firmware", build, "--checksum", hashlib.sha256(build.read_bytes()).hexdigest())
    assert cut.returncode == 3 and "not all of it" in cut.stderr
    assert flash("pico-w", tmp_path, "--firmware", build).returncode == 3  # no UF2 drive
    assert not out.exists()


def test_a_build_in_the_table_is_known(tmp_path: Path) -> None:
    build, table = tmp_path / "build.bin", tmp_path / "known.txt"
    build.write_bytes(bytes([0xE9]) + bytes(11) + struct.pack("<H", 9) + bytes(100))
    table.write_text(f"# builds\n{hashlib.sha256(build.read_bytes()).hexdigest()} ESP32_GENERIC_S3-1.28\n")
    assert makers.read_build(build, "esptool", "9", None, table) == build.read_bytes()
    with pytest.raises(makers.WrongBuild, match="another chip"):
        makers.read_build(build, "esptool", "0", None, table)


def test_a_uf2_drive_gets_build_and_program_in_one_file(tmp_path: Path) -> None:
    build, drive = tmp_path / "build.uf2", tmp_path / "RPI-RP2"
    build.write_bytes(uf2(PICO_W))
    drive.mkdir()
    (drive / "INFO_UF2.TXT").touch()
    done = flash("pico-w", drive, "--firmware", build, "--checksum", hashlib.sha256(build.read_bytes()).hexdigest())
    assert done.returncode == 0, done.stderr
    whole = (drive / "toastbox.uf2").read_bytes()
    assert makers.uf2_family(whole) == hex(PICO_W)
    blocks = [struct.unpack_from("<8I", whole, at) for at in range(0, len(whole), 512)]
    assert [block[5] for block in blocks] == list(range(len(blocks))) and {block[6] for block in blocks} == {
        len(blocks)
    }
    assert whole[32:288] == bytes(256) and len(blocks) == 3 + 848 * 4
    volume = b"".join(whole[at + 32 : at + 288] for at in range(3 * 512, len(whole), 512))
    content = program.files(None, program.native("armv6m"))
    assert blocks[3][3] == ADDRESS and volume == program.volume(content, 848 << 10)


READ = """
import os, sys, vfs
class Flash:
    def __init__(self, name):
        self.file = open(name, "r+b")
    def readblocks(self, number, view, offset=0):
        self.file.seek(number * 4096 + offset)
        self.file.readinto(view)
    def writeblocks(self, number, view, offset=0):
        self.file.seek(number * 4096 + offset)
        self.file.write(view)
    def ioctl(self, what, argument):
        return {4: 212, 5: 4096, 6: 0}.get(what)
vfs.mount(vfs.VfsLfs2(Flash(sys.argv[1]), progsize=256), "/flash")
os.chdir("/flash")
sys.path.insert(0, "/flash")
sys.path.insert(0, "/flash/app/a")
import start
print(start.version_of("a"))
import toaster.engine
os.mkdir("conf")
import store
store.write("conf/x", b"written")
print(store.read("conf/x").decode())
"""


def test_micropython_mounts_the_volume_and_runs_what_is_in_it(tmp_path: Path) -> None:
    image, reader = tmp_path / "out.img", tmp_path / "read.py"
    done = flash("pico-w", image)
    assert done.returncode == 0, done.stderr
    reader.write_text(READ)
    ran = subprocess.run(
        [MICROPYTHON, str(reader), str(image)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.split() == [str(program.firmware.VERSION), "written"], ran.stdout + ran.stderr


def test_littlefs_python_reads_back_every_file(tmp_path: Path) -> None:
    from littlefs import LittleFS

    key = tmp_path / "key"
    key.write_bytes(b"k" * 256)
    content = program.files(key)
    mounted = LittleFS(block_size=4096, block_count=212, prog_size=256, read_size=32, lookahead_size=32, mount=False)
    mounted.context.buffer[:] = program.volume(content, 848 << 10)
    mounted.mount()
    for name, data in content.items():
        with mounted.open(name, "rb") as file:
            assert file.read() == data
    assert content["conf/update.key"] == b"k" * 256 and list(content)[-1] == "main.py"


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """MicroPython's prompt on a pseudo-terminal, as a chip without a program has it: (port, its flash)."""
    place = tmp_path / "chip"
    place.mkdir()
    cable = Cable()
    command = [MICROPYTHON, "-i"]
    end = cable.chip
    process = subprocess.Popen(command, cwd=place, stdin=end, stdout=end, stderr=end, start_new_session=True)
    yield cable.port, place
    process.kill()
    process.wait()
    cable.close()


def test_the_program_is_copied_over_a_serial_line(chip: tuple[str, Path]) -> None:
    port, place = chip
    done = flash("pico-w", port)
    assert done.returncode == 0, done.stderr
    content = program.files(None, program.native("x64"))
    there = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert there == content


def test_a_board_says_which_native_module_it_loads(chip: tuple[str, Path], tmp_path: Path) -> None:
    assert program.architecture(chip[0]) == "x64"
    assert program.native("x64", tmp_path) is None and program.native("none") is None
    (tmp_path / "x64").mkdir()
    (tmp_path / "x64/tbx_native.mpy").write_bytes(b"code")
    content = program.files(None, program.native("x64", tmp_path))
    assert content["tbx_native.mpy"] == b"code" and list(content)[-1] == "main.py"


def esp32_build() -> bytes:
    """A build with one segment, as the boot loader of an ESP32 and esptool read it."""
    head = bytes([0xE9, 1, 2, 0x20]) + struct.pack("<I", 0x40080000) + b"\xee" + bytes(15)
    image = head + struct.pack("<II", 0x3FFF0000, 16) + bytes(16)
    return image + bytes(15 - len(image) % 16) + b"\xef" + os.urandom(100) * 50


@pytest.fixture
def esp32(tmp_path: Path) -> Iterator[Esp32]:
    """An ESP32's boot loader on a cable, and behind it MicroPython's prompt: makes (port, boot loader, its flash)."""
    place = tmp_path / "chip"
    place.mkdir()
    cable = Cable()
    processes: list[subprocess.Popen[bytes]] = []
    made: list[FakeEsp] = []

    def run() -> None:
        end = cable.chip
        command = [MICROPYTHON, "-i"]
        processes.append(
            subprocess.Popen(command, cwd=place, stdin=end, stdout=end, stderr=end, start_new_session=True)
        )

    def make(bad: int = -1) -> tuple[str, FakeEsp, Path]:
        made.append(FakeEsp(cable.chip, run, bad))
        return cable.port, made[0], place

    yield make
    for loader in made:
        loader.end()
    for process in processes:
        process.kill()
        process.wait()
    cable.close()


def test_esptool_writes_the_build_where_the_chip_starts_and_the_program_follows(esp32: Esp32, tmp_path: Path) -> None:
    port, loader, place = esp32()
    build = tmp_path / "build.bin"
    build.write_bytes(esp32_build())
    right = hashlib.sha256(build.read_bytes()).hexdigest()
    done = flash("esp32", port, "--firmware", build, "--checksum", right)
    assert done.returncode == 0, done.stderr
    assert {address: data[: len(build.read_bytes())] for address, data in loader.flash.items()} == {
        0x1000: build.read_bytes()
    }
    content = program.files(None, program.native("x64"))
    there = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert there == content


def test_a_chip_that_refuses_to_be_written_is_told_in_esptools_words(esp32: Esp32, tmp_path: Path) -> None:
    port, _, place = esp32(DEFLATE_DATA)
    build = tmp_path / "build.bin"
    build.write_bytes(esp32_build())
    done = flash("esp32", port, "--firmware", build, "--checksum", hashlib.sha256(build.read_bytes()).hexdigest())
    assert done.returncode == 1 and "esptool: ERROR" in done.stderr and "write" in done.stderr, done.stderr
    assert list(place.iterdir()) == []


def test_a_line_with_nobody_at_it_fails_in_words(tmp_path: Path) -> None:
    near, far = pty.openpty()
    tty.setraw(far)
    done = flash("esp32", os.ttyname(far), "--firmware", tmp_path / "none")
    os.close(near)
    os.close(far)
    assert done.returncode == 2 and "none" in done.stderr
