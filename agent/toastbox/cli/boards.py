"""boards: what it runs on."""

import argparse

from toastbox import boards as known
from toastbox.boards import Board
from toastbox.output import say_json, say_table
from toastbox.quantity import show_bytes

HEADINGS = ("board", "tier", "memory", "links", "image", "emulated", "product")


def boards(options: argparse.Namespace) -> int:
    """List the boards."""
    found = list(known.every())
    if options.json:
        say_json([board.as_json() for board in found])
    else:
        say_table(HEADINGS, map(_row, found))
    return 0


def _row(board: Board) -> tuple[str, ...]:
    return (
        board.name,
        board.tier,
        show_bytes(board.memory),
        " ".join(board.links),
        board.system.architecture if board.system and board.system.refused == "-" else "-",
        board.emulate.machine if board.emulate else "-",
        board.product,
    )
