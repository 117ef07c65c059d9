"""Boards: one TOML file each, in toastbox/boards/data or in a folder that $TOASTBOX_BOARDS names.

A board is data. What a file may say is in schema.py; a file that says anything else is refused with its name, the key
and what the key may be. Adding a board is adding a file.
"""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from toastbox.boards.schema import Board, parse
from toastbox.errors import WrongUse

OWN = Path(__file__).parent / "data"
MAX_FILE = 64 << 10

__all__ = ["Board", "every", "load", "names"]


def folders() -> list[Path]:
    """Where boards are looked for; the first one that has a name wins."""
    more = [Path(name) for name in os.environ.get("TOASTBOX_BOARDS", "").split(os.pathsep) if name]
    return [*more, OWN]


def names() -> list[str]:
    """All boards, sorted."""
    return sorted({path.stem for folder in folders() for path in folder.glob("*.toml")})


def load(name: str) -> Board:
    """The board of this name. WrongUse: there is none, or its file says something that no board can be."""
    for folder in folders():
        path = folder / f"{name}.toml"
        if name in names() and path.is_file():
            return _read(path)
    close = get_close_matches(name, names(), n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    raise WrongUse(f"there is no board {name!r}{meant}: 'toastbox boards' lists them")


def every() -> Iterator[Board]:
    """All boards, by name."""
    return map(load, names())


def _read(path: Path) -> Board:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise ValueError(f"longer than {MAX_FILE} bytes: it is no board")
        return parse(path.stem, text.decode())
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WrongUse(f"{path}: {error}") from error
