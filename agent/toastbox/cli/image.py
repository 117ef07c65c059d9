"""image, emulate: what is built from a checkout. The builders are in tools/, beside what they compile."""

import argparse
import lzma
import os
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import toastbox
from toastbox import boards
from toastbox.boards import Board
from toastbox.errors import ToastboxError, WrongUse
from toastbox.output import Progress, say, warn
from toastbox.quantity import show_bytes

MAX_SECRET = 4096
HOST_NAME = 63


def image(options: argparse.Namespace) -> int:
    """Build an image; its path alone on stdout, and what to do next on stderr."""
    board = boards.load(options.board)
    if board.system is None:
        raise WrongUse(f"{board.name} has no image: {board.flash.next}")
    if board.system.refused != "-":
        raise WrongUse(f"there is no image for {board.name}: {board.system.refused}")
    build = builder("build")
    if missing := build.needed(board):
        raise WrongUse(f"missing here: sudo apt-get install {' '.join(missing)}")
    output = Path(options.out).absolute()
    raw = output.with_suffix("") if output.suffix == ".xz" else output
    wishes = build.Wishes(settings(options), options.hub, _ssh_key(options.ssh_key), options.size, options.renew)
    with Progress() as progress:
        lacking = _build(build, board, wishes, raw, progress)
        if raw != output:
            _compress(raw, output, progress)
    say(str(output))
    if lacking:
        which = " and ".join(lacking)
        warn(f"made without {which}, which could not be had for {board.system.architecture}: --renew tries again")
    warn(f"{show_bytes(output.stat().st_size)}. Next: {_next(board, options.out)}")
    return 0


def _next(board: Board, out: str) -> str:
    if board.flash.how == "disk":
        return f"toastbox emulate {out}"
    return f"toastbox flash {board.name} /dev/sdX --image {out}"


def _build(build: Any, board: Board, wishes: Any, output: Path, progress: Progress) -> list[str]:
    """Which of Debian's fixes it had to do without."""
    try:
        lacking: list[str] = build.build(board, wishes, output, lambda text: progress.show(f"{output.name}: {text}"))
    except build.FAULTS as error:
        raise ToastboxError(f"no image was made: {error}") from error
    except build.disk.TooSmall as error:
        raise WrongUse(str(error)) from error
    return lacking


def _compress(raw: Path, output: Path, progress: Progress) -> None:
    """Into OUT.xz; the raw image does not stay."""
    size, done = raw.stat().st_size, 0
    with raw.open("rb") as source, lzma.open(output, "wb", preset=6) as target:
        while block := source.read(1 << 20):
            target.write(block)
            done += len(block)
            progress.show(f"{output.name}: compressing {done * 100 // size} %")
    raw.unlink()


def settings(options: argparse.Namespace) -> dict[str, str]:
    """Lines of toastbox.conf. WrongUse: one that cannot be."""
    if options.wifi_password_file and not options.wifi:
        raise WrongUse("--wifi-password-file needs --wifi SSID")
    given = {
        "hostname": options.hostname,
        "wifi.ssid": options.wifi,
        "wifi.password": _first_line(options.wifi_password_file),
        "wifi.country": options.wifi_country,
        "join": options.join,
        "hub": options.hub_url,
    }
    chosen = {key: value for key, value in given.items() if value}
    for key, value in chosen.items():
        if not value.isprintable():
            raise WrongUse(f"{key} must be one line of printable text")
    _check_name(options.hostname)
    if options.join:
        from toastbox.cli.device import fingerprint_of

        fingerprint_of(options.join)
    if options.join and options.hub:
        raise WrongUse("a hub joins nobody: leave out --join or --hub")
    return chosen


def _check_name(name: str | None) -> None:
    if name and not (name.isascii() and name.replace("-", "").isalnum() and len(name) <= HOST_NAME):
        raise WrongUse(f"--hostname has letters, digits and -, at most {HOST_NAME}")


def _first_line(name: str | None) -> str:
    if not name:
        return ""
    if name == "-":
        return sys.stdin.readline(MAX_SECRET).rstrip("\r\n")
    with open(name, encoding="utf-8") as file:
        return file.readline(MAX_SECRET).rstrip("\r\n")


def _ssh_key(name: str | None) -> str:
    if not name:
        return ""
    text = Path(name).read_text(encoding="utf-8")
    if "PRIVATE KEY" in text or not text.startswith(("ssh-", "ecdsa-")):
        raise WrongUse(f"{name} is no public key of SSH: name the file that ends in .pub")
    return text


def emulate(options: argparse.Namespace) -> int:
    """Boot an image in QEMU, which ends with this process."""
    emulator = builder("emulate")
    path = Path(options.image)
    if not path.is_file():
        raise WrongUse(f"{path} is no image: make one with 'toastbox image virt-arm64 {path}'")
    folder = Path(tempfile.mkdtemp(prefix="toastbox-emulate-"))
    machine = emulator.Machine(
        path,
        folder,
        options.memory >> 20,
        network=options.network,
        serial=options.serial,
        login=options.login,
        reboots=True,
    )
    try:
        command = machine.command()
    except emulator.NotOurs as error:
        raise WrongUse(str(error)) from error
    if options.serial == "mon:stdio":
        warn("Ctrl-A X pulls the plug. On the board, this machine is 10.0.2.2, and help lists what can be typed")
    try:
        return run_to_its_end(command)
    except FileNotFoundError:
        raise WrongUse(f"{command[0]} is missing here: sudo apt-get install qemu-system-arm") from None
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def run_to_its_end(command: list[str]) -> int:
    """Run a program; its exit status. Who ends this process by a signal ends that one. FileNotFoundError."""
    process: subprocess.Popen[bytes] | None = None
    told = False

    def end(*_: object) -> None:
        nonlocal told
        told = True
        if process is not None:
            process.terminate()

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    process = subprocess.Popen(command)
    try:
        if told:  # while it was being started
            process.terminate()
        return process.wait()
    finally:
        process.terminate()  # Ctrl-C; of one that has ended, nothing
        process.wait()


def builder(name: str) -> Any:
    """A module of tools/image. WrongUse: this is not a checkout."""
    top = Path(toastbox.__file__).resolve().parents[2]
    if not (top / "tools" / "image" / f"{name}.py").is_file():
        raise WrongUse("images are built from a checkout of the repository: run 'make setup' there, .venv/bin/toastbox")
    if str(top) not in sys.path:
        sys.path.insert(0, str(top))
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    return import_module(f"tools.image.{name}")
