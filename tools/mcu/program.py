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
NATIVE = firmware.ROOT / "build/natmod"  # where `make natmod` puts it, a folder for each architecture
# By the number in sys.implementation._mpy.
ARCHITECTURES = ("none", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa")
LAST = "main.py"  # with it the board runs the program: not before all of it is there


def files(update_key: Path | None = None, native: bytes | None = None) -> dict[str, bytes]:
    """Every file by its name on the board; main.py last. native: the chunker for its chip."""
    with tempfile.TemporaryDirectory() as made:
        firmware.lay_out(Path(made))
        found = {
            str(path.relative_to(made)): path.read_bytes() for path in sorted(Path(made).rglob("*")) if path.is_file()
        }
    if update_key is not None:
        found["conf/update.key"] = update_key.read_bytes()
    if native is not None:
        found["tbx_native.mpy"] = native
    found[LAST] = found.pop(LAST)
    return found


def native(architecture: str, built: Path = NATIVE) -> bytes | None:
    """The chunker as native code; None: it was not built, or there is none for this architecture."""
    module = built / architecture / "tbx_native.mpy"
    return module.read_bytes() if module.is_file() else None


def architecture(port: str) -> str:
    """Which native modules the MicroPython at a serial line loads. Raises OSError, subprocess.TimeoutExpired."""
    said = _call([*_mpremote(port), "resume", "exec", "import sys; print(sys.implementation._mpy >> 10 & 15)"])
    number = int(said.split()[-1])
    return ARCHITECTURES[number] if number < len(ARCHITECTURES) else "none"


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


def copy(content: dict[str, bytes], port: str) -> None:
    """Copy over a serial line with mpremote. Raises OSError with its words, subprocess.TimeoutExpired."""
    with tempfile.TemporaryDirectory() as made:
        for number, data in enumerate(content.values()):
            Path(made, str(number)).write_bytes(data)
        _call([*_mpremote(port), "resume", *_chain(list(content), made)])


def restart(port: str) -> None:
    """Let the board begin anew; it may be gone before it answers."""
    command = [*_mpremote(port), "resume", "exec", "--no-follow"]
    subprocess.run([*command, "import machine; machine.reset()"], capture_output=True, timeout=30, check=False)


def _chain(names: list[str], made: str) -> Iterator[str]:
    """mpremote's commands, one after the other, over one connection."""
    wanted = folders(dict.fromkeys(names, b""))
    out = io.StringIO()
    print(f"import os\nfor name in {wanted!r}:\n try: os.mkdir(name)\n except OSError: pass", file=out)
    yield from ("exec", out.getvalue())
    for number, name in enumerate(names):
        yield from ("+", "fs", "cp", f"{made}/{number}", f":{name}")


def _mpremote(port: str) -> list[str]:
    return [sys.executable, "-m", "mpremote", "connect", port]


def _call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COPY_S, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise OSError(f"mpremote: {lines[-1] if lines else 'failed'}")
    return done.stdout
