"""The program as a board's flash holds it: a folder of files, a littlefs volume, or copied over a serial line."""

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import firmware

BLOCK = 4096
COPY_S = 600
LAST = "main.py"  # with it the board runs the program: not before all of it is there


def files(update_key: Path | None = None) -> dict[str, bytes]:
    """Every file by its name on the board; main.py last."""
    with tempfile.TemporaryDirectory() as made:
        firmware.lay_out(Path(made))
        found = {
            str(path.relative_to(made)): path.read_bytes() for path in sorted(Path(made).rglob("*")) if path.is_file()
        }
    if update_key is not None:
        found["conf/update.key"] = update_key.read_bytes()
    found[LAST] = found.pop(LAST)
    return found


def folders(names: dict[str, bytes]) -> list[str]:
    """Every folder that the files need, those above first."""
    return sorted({str(above) for name in names for above in Path(name).parents if str(above) != "."})


def volume(content: dict[str, bytes], size_bytes: int) -> bytes:
    """A littlefs volume that MicroPython mounts. Raises littlefs.LittleFSError when it does not fit."""
    from littlefs import LittleFS

    made = LittleFS(block_size=BLOCK, block_count=size_bytes // BLOCK, prog_size=256, read_size=32, lookahead_size=32)
    for name in folders(content):
        made.mkdir(name)
    for name, data in content.items():
        with made.open(name, "wb") as file:
            file.write(data)
    return bytes(made.context.buffer)


def copy(content: dict[str, bytes], port: str, run: list[str] | None = None) -> None:
    """Copy over a serial line with mpremote, and start it. Raises subprocess.CalledProcessError with its words."""
    mpremote = run or [sys.executable, "-m", "mpremote", "connect", port]
    with tempfile.TemporaryDirectory() as made:
        for number, data in enumerate(content.values()):
            Path(made, str(number)).write_bytes(data)
        _call([*mpremote, "resume", *_chain(list(content), made)])


def restart(port: str) -> None:
    """Let the board begin anew; it may be gone before it answers."""
    command = [sys.executable, "-m", "mpremote", "connect", port, "resume", "exec", "--no-follow"]
    subprocess.run([*command, "import machine; machine.reset()"], capture_output=True, timeout=30, check=False)


def _chain(names: list[str], made: str) -> Iterator[str]:
    """mpremote's commands, one after the other, over one connection."""
    wanted = folders(dict.fromkeys(names, b""))
    out = io.StringIO()
    print(f"import os\nfor name in {wanted!r}:\n try: os.mkdir(name)\n except OSError: pass", file=out)
    yield from ("exec", out.getvalue())
    for number, name in enumerate(names):
        yield from ("+", "fs", "cp", f"{made}/{number}", f":{name}")


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COPY_S, check=False)
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines()
        raise OSError(f"mpremote: {lines[-1] if lines else 'failed'}")
