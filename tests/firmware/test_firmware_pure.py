"""What decides in the firmware and needs no board: when to act, and what a start does. Run by CPython as it is."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "firmware" / part) for part in (".", "fixed")]

import start
import store

from toaster.clock import read_date, set_from
from toaster.events import Unchunked
from toaster.http import BadPeer
from toaster.pace import CAP_S, LOOK_SHARE, Pace


def test_a_hint_is_followed_at_once_and_silence_after_a_while() -> None:
    pace = Pace(lambda: 0.5, safety_s=900, scan_s=10)
    assert pace.sync_due(0)
    pace.synced(1000, soon=False)
    assert not pace.sync_due(1001) and pace.wait_ms(1000) == 10_000
    pace.scanned(11_000, False, 100)
    assert pace.wait_ms(11_000) == 10_000
    pace.scanned(21_000, False, 5000)
    assert pace.wait_ms(21_000) == 5000 * LOOK_SHARE
    assert pace.sync_due(1000 + 675_000) and not pace.hinted
    pace.hint(30_000)
    assert pace.sync_due(30_000) and pace.hinted


def test_failures_wait_longer_each_time_and_a_file_just_written_is_looked_at_soon() -> None:
    pace = Pace(lambda: 1.0)
    waits = []
    for _ in range(12):
        pace.failed(0)
        waits.append(pace.wait_ms(0) // 1000)
    assert waits[:4] == [1, 2, 4, 8] and waits[-1] == CAP_S
    pace.synced(0, soon=True)
    assert pace.wait_ms(0) < 2500


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_chunks_are_taken_off_however_they_come(size: int) -> None:
    data = b"5\r\nhello\r\na\r\n, world...\r\n"
    chunks, out = Unchunked(), b""
    for at in range(0, len(data), size):
        out += chunks.feed(data[at : at + size])
    assert out == b"hello, world..."
    with pytest.raises(BadPeer):
        chunks.feed(b"0\r\n\r\n")
    for wrong in (b"zz\r\n", b"-5\r\n", b"1" * 40):
        with pytest.raises(BadPeer):
            Unchunked().feed(wrong)


def begun(conf: Path, versions: dict[str, int]) -> Any:
    starts = start.Starts(f"{conf}/")
    starts.begin(versions.get)
    return starts


def test_a_slot_on_trial_is_rolled_back_after_starts_that_never_synced(tmp_path: Path) -> None:
    versions = {"a": 1, "b": 2}
    starts = begun(tmp_path, versions)
    assert (starts.slot, starts.safe) == ("a", False) and list(tmp_path.iterdir()) == []
    starts.try_slot("b")
    for _ in range(start.TRIES):
        starts = begun(tmp_path, versions)
        assert starts.slot == "b"
        starts.failed("fault")
    starts = begun(tmp_path, versions)
    assert (starts.slot, starts.bad, starts.trial, starts.safe) == ("a", 2, 0, False)


def test_a_slot_that_synced_stays(tmp_path: Path) -> None:
    starts = begun(tmp_path, {"b": 2})
    starts.try_slot("b")
    begun(tmp_path, {"b": 2}).healthy()
    for _ in range(5):
        assert begun(tmp_path, {"b": 2}).slot == "b"
    assert json.loads(store.read(f"{tmp_path}/start") or b"")["trial"] == 0


def test_faults_in_a_row_end_in_safe_mode_until_one_start_is_good(tmp_path: Path) -> None:
    for _ in range(start.FAULTS):
        starts = begun(tmp_path, {})
        assert not starts.safe
        starts.failed("fault " * 1000)
    starts = begun(tmp_path, {})
    assert starts.safe and len(starts.fault()) == start.MAX_TEXT
    starts.again()
    assert not begun(tmp_path, {}).safe
    starts.failed("again")
    assert begun(tmp_path, {}).safe
    starts.healthy()
    assert not begun(tmp_path, {}).safe


def test_a_record_is_old_or_new_wherever_its_writing_is_cut(tmp_path: Path) -> None:
    name = f"{tmp_path}/r"
    store.write(name, b"old")
    assert store.read(name) == b"old"
    store.write(name, b"new")
    new = (tmp_path / "r").read_bytes()
    for cut in range(len(new)):
        store.write(name, b"old")
        (tmp_path / "r.new").write_bytes(new[:cut])
        assert store.read(name) == b"old"
    (tmp_path / "r").unlink()
    for cut in range(len(new)):
        (tmp_path / "r.new").write_bytes(new[:cut])
        assert store.read(name) is None
    (tmp_path / "r.new").write_bytes(new)
    assert store.read(name) == b"new"


def test_the_clock_is_set_from_a_date_of_the_one_right_form(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_date(b"Wed, 25 Nov 2026 01:15:32 GMT") == read_date(b"wed, 25 nov 2026 01:15:32 gmt")
    assert read_date(b"Wed, 25 Nov 2026 01:15:32 GMT") == (2026, 11, 25, 1, 15, 32)
    for wrong in (
        b"",
        b"wed, 25 nov 1970 01:15:32 gmt",
        b"wed, 25 ovd 2026 01:15:32 gmt",
        b"wed, 25 no 2026 01:15:32 gmt",
        b"wed, 25 nov 2026 01:15 gmt",
        b"wed, 25 nov 2026 25:15:32 gmt",
        b"wed, x nov 2026 01:15:32 gmt",
        b"wed, 25 nov 2026 01:15:32 +0100",
        b"wed, 25 \xff\xff\xff 2026 01:15:32 gmt",
    ):
        assert read_date(wrong) is None, wrong
    told: list[tuple[int, ...]] = []
    clock = type("RTC", (), {"datetime": lambda _, value: told.append(value)})
    monkeypatch.setitem(sys.modules, "machine", type("machine", (), {"RTC": clock}))  # type: ignore[arg-type]
    assert set_from(b"wed, 25 nov 2026 01:15:32 gmt") and not set_from(b"nonsense")
    assert told == [(2026, 11, 25, 0, 1, 15, 32, 0)]
