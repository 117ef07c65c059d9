"""The figures of the firmware: sizes, heap, latency, and what flash has to bear. `make bench-firmware`.

Boards run under MicroPython's unix port against a hub over TLS on loopback; heap is measured once more under its build
for 32-bit ARM, whose words are those of the chips, in QEMU and without TLS.
"""

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / part) for part in ("", "hub", "firmware"))]

from boardkit import Board, small_interpreter
from compiled import laid_out

from hubkit import Caller, Running, big_file, bundle, file
from hubkit import running as run_hub

PIECE = 60_000
FILES = 1000
ROUNDS = 100
CHANGES = 40


def put(caller: Caller, path: str, data: bytes, seq: int = 0) -> int:
    """Commit a file; its seq."""
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)] or [b""]
    if data:
        caller.upload(*pieces)
    entry = big_file(path, pieces, seq) if len(pieces) > 1 else file(path, data, seq)
    ((status, seq),) = caller.commit(caller.epoch(), entry)
    assert status == 0
    return seq


def wait(true: Callable[[], bool], board: Board, wait_s: float = 300) -> None:
    end = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < end, board.output
        time.sleep(0.002)


def started(hub: Running, place: Path, heap: str, interpreter: Sequence[str] = ()) -> Board:
    board = Board(place, heap)
    shutil.copyfile(ROOT / "tests/firmware/bench_user.py", place / "user.py")
    board.pair(hub, place.name)
    if interpreter:
        board.interpreter = list(interpreter)
        board.without_tls(hub)
    board.on()
    wait((place / "shared/.toastbox/state").exists, board)
    return board


def sizes() -> None:
    files = list(laid_out().rglob("*.mpy"))
    console = [path for path in files if "console" in path.name or path.stem in ("schedule", "serial")]
    print(f"core/ + firmware/ as .mpy, bytes: {sum(path.stat().st_size for path in files)}", end="")
    print(f" (of these the console {sum(path.stat().st_size for path in console)})")


def heap(hub: Running, hand: Caller, place: Path, interpreter: Sequence[str] = ()) -> None:
    board = started(hub, place, "192k", interpreter)
    put(hand, "big", random.randbytes(5_000_000))
    wait((board.shared / "big").exists, board)
    streaming = board.status()
    time.sleep(9)  # the connection to the hub is let go of
    idle = board.status()
    words = "words of 4 bytes, no TLS" if interpreter else "words of 8 bytes"
    print(f"heap in use, bytes, {words}: idle {idle['idle']}, while 5 MB stream {streaming['peak']}")
    board.off()


def small_words(hub: Running, hand: Caller, place: Path) -> None:
    heap(hub, hand, place, small_interpreter())


def latency(hub: Running, hand: Caller, place: Path) -> None:
    board = started(hub, place, "192k")
    times = []
    for number in range(CHANGES):
        data = b"change %d" % number
        name = f"change{number}"
        hand.upload(data)
        begun = time.monotonic()
        assert hand.commit(hand.epoch(), file(name, data))[0][0] == 0
        wait((board.shared / name).exists, board)
        times.append((time.monotonic() - begun) * 1000)
        time.sleep(0.3)
    print(f"change on the hub to file on the device, ms: p50 {statistics.median(times):.0f}, highest {max(times):.0f}")
    board.off()


def thousand(hub: Running, hand: Caller, place: Path) -> None:
    names = [f"d{number % 10}-{number}" for number in range(FILES)]
    datas = {name: name.encode() for name in names}
    hand.ask("POST", "/v1/chunks", bundle(*datas.values()))
    answers = hand.commit(hand.epoch(), *[file(name, datas[name]) for name in names])
    seqs = {name: seq for name, (_, seq) in zip(names, answers, strict=True)}
    board = started(hub, place, "192k")
    wait((board.shared / names[-1]).exists, board)
    for turn in range(ROUNDS):
        for name in random.sample(names, 5):
            datas[name] = b"round %d" % turn
            seqs[name] = put(hand, name, datas[name], seqs[name])
        wait(lambda: (board.shared / name).read_bytes() == datas[name], board)  # noqa: B023
    time.sleep(1)
    there = board.files()
    equal = all(there[name] == datas[name] for name in names)
    highest = board.status()["peak"]
    print(f"{FILES} files at 192 KiB, {ROUNDS} rounds of 5 changes: equal {equal}, starts {board.starts}, ", end="")
    print(f"MemoryErrors {board.output.count('MemoryError')}, heap in use at most {highest}")
    board.off()


def flash() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "tests/firmware/test_firmware_power.py",
        "-k",
        "flash_written",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    print(*(line for line in done.stdout.splitlines() if "flash bytes" in line))


def main() -> int:
    sizes()
    for figure in (heap, small_words, latency, thousand):
        with (
            tempfile.TemporaryDirectory() as made,
            run_hub(Path(made) / "hub", announce=False, listen_plain="127.0.0.1:0") as hub,
        ):
            hand = hub.device("hand")
            figure(hub, hand, Path(made) / "toast")
            hand.close()
    flash()
    return 0


if __name__ == "__main__":
    sys.exit(main())
