"""core and firmware as they are put on a board, for tests."""

import atexit
import functools
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import firmware


@functools.cache
def laid_out() -> Path:
    """What a board's flash holds, made once in a process."""
    out = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, out)
    firmware.lay_out(out)
    return out


def compiled() -> Path:
    """core and firmware as .mpy."""
    return laid_out() / "app/a"
