"""What an image is made of, and that it is the same every time."""

import argparse
import hashlib
import os
import stat
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from toastbox import boards
from toastbox.boards import Board
from toastbox.cli import image as command
from toastbox.cli import main
from toastbox.cli.parser import build_parser
from toastbox.errors import WrongUse
from tools.image import build, disk, packages, root
from tools.image.emulate import Machine, grow_to_card
from tools.image.kernel import Kernel
from tools.image.libraries import NoLibrary, check, needed
from tools.image.tree import Tree, merged

MIB = 1 << 20
TIME_S = 1_700_000_000
CODE = "TBX1-00QB29-SZX223-RVFTRJ-KEJZHM-H38A28-P096S9-FK9W2Q-15680"
IMAGES = [board.name for board in boards.every() if board.system and board.system.refused == "-"]


def sample(order: int = 1) -> Tree:
    tree = Tree()
    steps: list[Callable[[], None]] = [
        lambda: tree.file("lib/x/libc.so", b"abc", 0o755),
        lambda: tree.file("etc/empty", ""),
        lambda: tree.link("usr/bin/sh", "busybox"),
        lambda: tree.device("dev/console", 5, 1),
        lambda: tree.folder("root", 0o700),
    ]
    for step in steps[::order]:
        step()
    return tree


# --- trees


@pytest.mark.parametrize(
    ("path", "expected"),
    [("bin/sh", "usr/bin/sh"), ("/sbin/init", "usr/sbin/init"), ("lib", "lib"), ("library/x", "library/x")],
)
def test_usr_is_merged(path: str, expected: str) -> None:
    assert merged(path) == expected


def test_order_of_making_does_not_matter() -> None:
    assert sample(1).tar(TIME_S) == sample(-1).tar(TIME_S)
    assert sample(1).cpio(TIME_S) == sample(-1).cpio(TIME_S)


def test_tar_has_everything_of_one_owner_and_time() -> None:
    with tarfile.open(fileobj=BytesIO(sample().tar(TIME_S))) as archive:
        members = {member.name: member for member in archive}
    assert list(members) == sorted(members)
    assert {(each.uid, each.gid, each.mtime) for each in members.values()} == {(0, 0, TIME_S)}
    assert members["usr/lib/x/libc.so"].mode == 0o755
    assert members["dev/console"].ischr() and members["dev/console"].devmajor == 5
    assert members["usr/bin/sh"].linkname == "busybox"


def entries(data: bytes) -> Iterator[tuple[str, int, bytes]]:
    """cpio, "newc": (name, mode, content), as its manual says and not as our writer does."""
    at = 0
    while True:
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        assert data[at : at + 6] == b"070701"
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        body = (at + 110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return
        yield name, fields[1], data[body : body + fields[6]]
        at = (body + fields[6] + 3) // 4 * 4


def test_cpio_can_be_read_back() -> None:
    found = {name: (mode, content) for name, mode, content in entries(sample().cpio(TIME_S))}
    assert found["usr/lib/x/libc.so"] == (stat.S_IFREG | 0o755, b"abc")
    assert found["usr/bin/sh"] == (stat.S_IFLNK | 0o777, b"busybox")
    assert stat.S_ISCHR(found["dev/console"][0])
    assert found["usr"] == (stat.S_IFDIR | 0o755, b"")


def test_removing_takes_what_is_below() -> None:
    tree = sample()
    tree.remove("usr/lib")
    assert not tree.find("usr/lib*")
    tree.remove("usr/bin/*")
    tree.prune_folders()
    assert not tree.find("usr/*")


def test_what_a_board_has_no_use_for_is_left_out() -> None:
    stdlib = "usr/lib/python3.11"
    assert packages.wanted(f"{stdlib}/asyncio/events.py")
    assert packages.wanted(f"{stdlib}/lib-dynload/_sqlite3.cpython-311-aarch64-linux-gnu.so")
    assert packages.wanted("usr/lib/aarch64-linux-gnu/libc.so.6")
    assert packages.wanted("usr/bin/busybox")
    for path in ("test/x.py", "lib2to3/y.py", "lib-dynload/_curses.cpython-311-x.so", "tkinter/__init__.py"):
        assert not packages.wanted(f"{stdlib}/{path}")
    for path in ("usr/share/doc/x/copyright", "usr/bin/mkfs.ext4", "usr/lib/aarch64-linux-gnu/gconv/UTF-7.so", "etc/x"):
        assert not packages.wanted(path)


def test_library_that_no_package_brings_is_found_out() -> None:
    program = Path("/bin/ls").read_bytes()
    assert "libc.so.6" in needed(program)
    tree = Tree()
    tree.file("bin/ls", program)
    with pytest.raises(NoLibrary, match="usr/bin/ls needs lib"):
        check(tree)
    for name in needed(program):
        tree.file(f"usr/lib/{name}", "")
    check(tree)


# --- kernels


def test_modules_come_after_what_they_need() -> None:
    files = Tree()
    files.file("boot/config-6", "")
    for name, needs in (("virtio-net", b"net_failover"), ("net_failover", b"failover"), ("failover", b"")):
        files.file(f"lib/modules/6/kernel/{name}.ko", b"\x7fELF\0depends=" + needs + b"\0name=x\0")
    kernel = Kernel(files)
    order = [Path(path).stem for path in kernel.load_order(["virtio_net", "built_in"])]
    assert order == ["failover", "net_failover", "virtio-net"]


# --- the disk


def small_disk(size: int = 0) -> disk.Disk:
    files = {"cmdline.txt": b"quiet\n", "overlays/x.dtbo": b"x" * 5000}
    return disk.Disk("1234abcd", files, b"hsqs" + bytes(MIB), size, TIME_S)


def test_disk_is_the_same_every_time_and_its_parts_are_where_the_table_says(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    disk.write(small_disk(), one)
    disk.write(small_disk(), two)
    data = one.read_bytes()
    assert hashlib.sha256(data).digest() == hashlib.sha256(two.read_bytes()).digest()
    assert data[440:444] == bytes.fromhex("1234abcd")[::-1]
    parts = [struct.unpack_from("<4xB3xII", data, 446 + 16 * n) for n in range(3)]
    assert [kind for kind, _, _ in parts] == [0x0C, 0x83, 0x83]
    starts = [start * 512 for _, start, _ in parts]
    assert data[starts[1] : starts[1] + 4] == b"hsqs"
    assert data[starts[2] + 1080 : starts[2] + 1082] == b"\x53\xef", "ext4's magic number"
    assert parts[2][1] + parts[2][2] == len(data) // 512
    assert all(parts[n][1] + parts[n][2] == parts[n + 1][1] for n in range(2))


def test_boot_partition_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "image"
    disk.write(small_disk(), path)
    shown = subprocess.run(["mtype", "-i", f"{path}@@{MIB}", "::cmdline.txt"], capture_output=True, check=True)
    assert shown.stdout == b"quiet\n"


def test_size_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "image"
    disk.write(small_disk(200 * MIB + 5), path)
    assert path.stat().st_size == 200 * MIB
    with pytest.raises(disk.TooSmall, match="MiB at least"):
        disk.write(small_disk(10 * MIB), path)
    assert sorted(os.listdir(tmp_path)) == ["image"], "nothing is left over"


def test_card_for_the_emulator_is_a_power_of_two(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(MIB + 1))
    grow_to_card(path)
    grow_to_card(path)
    assert path.stat().st_size == 2 * MIB


@pytest.mark.parametrize("reboots", [True, False])
def test_reboot_of_an_emulated_board_starts_it_again_for_a_person_only(tmp_path: Path, reboots: bool) -> None:
    for name, text in (
        ("board.txt", "virt-arm64\n"),
        ("cmdline.txt", "quiet\n"),
        ("kernel.img", ""),
        ("initrd.img", ""),
    ):
        (tmp_path / name).write_text(text)  # as if they had been taken out of the image before
    command = Machine(tmp_path / "image", tmp_path, reboots=reboots).command()
    assert ("-no-reboot" in command) is not reboots


def firmware() -> Tree:
    tree = Tree()
    tree.file("lib/firmware/brcm/radio.bin", b"x")
    return tree


def test_settings_of_a_radio_under_one_more_name() -> None:
    tree = firmware()
    root._add_nvram_links(tree, ("radio.other.txt=radio.bin",))
    assert tree.nodes["usr/lib/firmware/brcm/radio.other.txt"].data == b"radio.bin"
    with pytest.raises(root.NoFirmware, match=r"lost\.txt is not among"):
        root._add_nvram_links(tree, ("radio.txt=lost.txt",))


def test_firmware_that_the_package_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tree, "package", lambda tree, deb, wanted: tree.nodes.update(firmware().nodes))
    tree = Tree()
    root._add_firmware(tree, tmp_path / "firmware.deb", ("brcm/radio.*",))
    assert tree.nodes["usr/lib/firmware/brcm/radio.bin"].data == b"x"
    with pytest.raises(root.NoFirmware, match=r"firmware.deb has no brcm/radio\.txt"):
        root._add_firmware(tree, tmp_path / "firmware.deb", ("brcm/radio.txt",))


# --- what the person asks for


def asked(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(["image", "virt-arm64", "out.img", *words])


def test_wishes_become_lines_of_the_settings_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("p=ss word\n")
    options = asked("--hostname", "porch", "--wifi", "home net", "--wifi-password-file", str(secret), "--join", CODE)
    text = build.settings_text(build.Wishes(command.settings(options)))
    assert text.splitlines()[1:] == [
        "hostname=porch",
        f"join={CODE}",
        "wifi.password=p=ss word",
        "wifi.ssid=home net",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("--hostname", "two words"),
        ("--hostname", "a" * 64),
        ("--wifi", "net\nhub=x"),
        ("--wifi-password-file", "x"),
        ("--join", "TBX1-not-a-code"),
        ("--join", CODE, "--hub"),
    ],
)
def test_wishes_that_cannot_be(words: tuple[str, ...]) -> None:
    with pytest.raises(WrongUse):
        command.settings(asked(*words))


def test_what_it_was_made_of_is_in_it() -> None:
    debs = [Path("/x/zlib_1_all.deb"), Path("/x/iw_5_arm64.deb")]
    text = build.packages_text(["bookworm", "bookworm-security"], [], debs)
    assert text == "# of bookworm, bookworm-security\niw_5_arm64.deb\nzlib_1_all.deb\n"
    text = build.packages_text(["bookworm"], ["bookworm-security"], debs)
    assert text.startswith("# of bookworm; without bookworm-security\niw")


def test_private_key_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(WrongUse, match="public key"):
        command._ssh_key(str(key))


@pytest.mark.parametrize("name", ["pico-w", "pi-5", "pi-9"])
def test_boards_that_have_no_image(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", name, "/nowhere/out.img"]) == 2
    assert name in capsys.readouterr().err


def test_file_that_is_no_image_is_not_emulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.img").write_bytes(bytes(2 * MIB))
    assert main(["emulate", str(tmp_path / "x.img")]) == 2
    assert "no image" in capsys.readouterr().err


@pytest.mark.parametrize("name", IMAGES)
def test_scripts_and_serial_ports_of_every_board(name: str) -> None:
    board: Board = boards.load(name)
    tree = Tree()
    root._add_system(tree, board, hub=True, time_s=TIME_S)
    assert tree.nodes["etc/toastbox-serial"].data.decode().split() == list(board.serial)
    assert b"serve hub" in tree.nodes["etc/inittab"].data
    for path in (path for path, node in tree.nodes.items() if node.data.startswith(b"#!/bin/sh")):
        assert tree.nodes[path].mode & 0o111, path


def test_init_sets_up_no_terminal_once_the_console_may_have_it() -> None:
    tree = Tree()
    root._add_system(tree, boards.load("virt-arm64"), hub=False, time_s=TIME_S)
    root._add_ssh(tree, "ssh-ed25519 AAAA")
    lines = tree.nodes["etc/inittab"].data.decode().splitlines()
    services = [line for line in lines if not line.startswith(("#", "::sysinit:"))]
    assert len(services) == 7 and all(line.startswith("null::") for line in services)


@pytest.mark.parametrize("path", sorted(root.FILES.iterdir()), ids=lambda path: path.name)
def test_scripts_of_the_board_are_valid_shell(path: Path) -> None:
    if path.name not in ("inittab", "profile"):
        subprocess.run(["sh", "-n", str(path)], check=True)


# --- a whole image


@pytest.mark.timeout(900)
def test_root_is_small_and_the_image_the_same_every_time(tmp_path: Path, image_of: Callable[..., Path]) -> None:
    first = image_of("virt-arm64")
    again = tmp_path / "again.img"
    elsewhere = {**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}
    program = "import os, sys; os.umask(0o077); from toastbox.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", program, "image", "virt-arm64", str(again)]
    subprocess.run(words, check=True, capture_output=True, cwd=tmp_path, env=elsewhere)
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(again.read_bytes()).digest()
    listed = subprocess.run(
        ["sfdisk", "--dump", str(first)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"},
    )
    assert listed.stdout.count("type=83") == 2
    told = subprocess.run(["mtype", "-i", f"{first}@@{MIB}", "::packages.txt"], capture_output=True, check=True).stdout
    assert told.startswith(b"# of bookworm") and b"linux-image-" in told and b"libssl3_" in told
    root_line = next(line for line in listed.stdout.splitlines() if "type=83" in line)
    assert int(root_line.split("size=")[1].split(",")[0]) * 512 < 60_000_000


def test_emulator_ends_with_the_command() -> None:
    code = "from toastbox.cli import image; image.run_to_its_end(['sh', '-c', 'echo $$; exec sleep 600'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        child = int(running.stdout.readline())
        running.terminate()
        running.wait(20)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
