"""QEMU for an image: which program with which options, from the board's file and from what is in the image.

A Raspberry's own firmware cannot be emulated, so kernel, initramfs and device tree are taken out of the boot partition
and given to QEMU; from the kernel on it is what a board does. Killing QEMU is the power cut.
"""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from toastbox import boards
from toastbox.boards import Board
from tools.image.disk import MIB

NONE = "none"


class NotOurs(Exception):
    """The file is no image that we made, or its board cannot be emulated."""


@dataclass
class Machine:
    """How to start an image. network: a QEMU -netdev without its id; serial: a QEMU -serial."""

    image: Path
    folder: Path  # where what is taken out of the image is put
    memory_mib: int = 0  # 0: as the board's file says
    network: str = "user"
    serial: str = "mon:stdio"
    mac: str = "52:54:00:12:34:56"
    login: bool = False  # a root shell on the serial port, in place of the console
    reboots: bool = False  # whether `reboot` starts it again; else QEMU ends then
    more: list[str] = field(default_factory=list)

    def command(self) -> list[str]:
        """The command line of QEMU."""
        board = self.board()
        assert board.emulate
        emulate = board.emulate
        memory = self.memory_mib or emulate.memory // MIB
        command = [emulate.program, "-M", emulate.machine, "-m", str(memory), "-display", NONE]
        if not self.reboots:
            command.append("-no-reboot")
        if emulate.cpu != NONE:
            command += ["-cpu", emulate.cpu]
        command += [*self._kernel(board), *self._disk(emulate.disk), *self._network(emulate.network)]
        command += [word for _ in range(emulate.serial) for word in ("-serial", "null")]
        return [*command, "-serial", self.serial, *self.more]

    def board(self) -> Board:
        name = self._take("board.txt").read_text().strip()
        board = boards.load(name)
        if board.emulate is None or board.system is None:
            raise NotOurs(f"QEMU has no machine like {name}: flash the image onto a real one")
        return board

    def _kernel(self, board: Board) -> list[str]:
        assert board.emulate and board.system
        line = self._take("cmdline.txt").read_text().strip()
        ports = [port for port in board.serial if port.startswith("ttyAMA")]
        line = f"{line} console={ports[0]},115200" if ports else line
        words = ["-kernel", str(self._take(board.system.kernel_name)), "-initrd", str(self._take("initrd.img"))]
        if board.emulate.device_tree != NONE:
            words += ["-dtb", str(self._take(board.emulate.device_tree))]
        login = " toastbox.login" if self.login else ""
        return [*words, "-append", f"{line} {board.emulate.command_line}{login}"]

    def _disk(self, kind: str) -> list[str]:
        # Unsafe is what QEMU calls it; what survives is what QEMU wrote to the host, which does not lose power. A flush
        # that the guest does not ask for is not simulated either way.
        drive = f"file={self.image},format=raw,cache=writeback"
        if kind == "sd":
            grow_to_card(self.image)
            return ["-drive", f"{drive},if=sd"]
        return ["-drive", f"{drive},if=none,id=disk", "-device", "virtio-blk-device,drive=disk"]

    def _network(self, kind: str) -> list[str]:
        if self.network == NONE:
            return ["-net", NONE]
        device = "usb-net" if kind == "usb" else "virtio-net-device"
        random = [] if kind == "usb" else ["-device", "virtio-rng-device"]
        return ["-netdev", f"{self.network},id=net", "-device", f"{device},netdev=net,mac={self.mac}", *random]

    def _take(self, name: str) -> Path:
        """A file of the boot partition."""
        path = self.folder / name
        if not path.exists():
            command = ["mcopy", "-n", "-i", f"{self.image}@@{MIB}", f"::{name}", str(path)]
            environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
            if done.returncode:
                raise NotOurs(f"{self.image} is no image of 'toastbox image': {done.stderr.strip()}")
        return path


def grow_to_card(image: Path) -> None:
    """Make a file as large as the next card is: a power of two, without using disk for it."""
    size = image.stat().st_size
    card = 1 << (size - 1).bit_length()
    if card != size:
        os.truncate(image, card)
