"""flash: an image onto a card; for microcontrollers see mcu.py."""

import argparse
from pathlib import Path

from toastbox import boards
from toastbox import flash as writer
from toastbox.errors import WrongUse
from toastbox.output import Progress, say, warn
from toastbox.quantity import show_bytes


def flash(options: argparse.Namespace) -> int:
    """Write, read back, and say what comes next."""
    board = boards.load(options.board)
    if board.tier == "mcu":
        from toastbox.cli import mcu

        return mcu.flash(board, options)
    image = Path(options.image or f"{board.name}.img")
    if not image.is_file():
        raise WrongUse(f"{image} is not there: make it with 'toastbox image {board.name} {image}'")
    size = writer.image_size(image)
    target = writer.inspect(options.target)
    if refusal := writer.objection(target, size, options.really):
        raise refusal
    with Progress() as progress:

        def show(what: str, done: int, total: int) -> None:
            progress.show(f"{target.path}: {what} {done * 100 // total} % of {show_bytes(total)}")

        digest = writer.write(image, target, size, show)
    say(f"{target.path}\t{size}\t{digest.hex()}")
    warn(f"written and compared. Next: {board.flash.next}")
    return 0
