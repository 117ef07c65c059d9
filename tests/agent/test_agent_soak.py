"""The soak itself, made short: whether it can tell what it is there to tell."""

import json
from pathlib import Path

import pytest

from tools import soak
from tools.bench import many, plots


def test_short_soak_ends_with_equal_folders_and_figures(tmp_path: Path) -> None:
    found = soak.soak(tmp_path, 240)
    assert [each["operations"] for each in found.samples] == list(range(30, 241, 30))
    assert all(each["a_resident_bytes"] > 10 << 20 and each["b_python_heap_bytes"] > 1 << 20 for each in found.samples)
    assert found.warm == 60 and found.growth().keys() == {"a", "b"}


def test_growth_is_judged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Grown:
        warm = 10
        samples: tuple[dict[str, float], ...] = ()

        def growth(self) -> dict[str, int]:
            return {"a": 0, "b": soak.MEGABYTE + 1}

    monkeypatch.setattr(soak, "soak", lambda work, operations: Grown())
    assert soak.main(["--operations", "10"]) == 1
    assert "b +1.00 MiB" in capsys.readouterr().out


def test_figures_of_a_number_of_files_replace_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    for files, wall in ((1000, 2.0), (10, 1.0), (1000, 3.0)):
        many.add(path, "toastbox", {"files": files, "wall_s": wall, "peak_a_bytes": 3e7, "peak_b_bytes": 4e7})
    many.add(path, "rsync", {"files": 10, "wall_s": 0.1, "peak_a_bytes": 5e6})
    found = json.loads(path.read_text())
    assert [(each["files"], each["wall_s"]) for each in found["toastbox"]] == [(10, 1.0), (1000, 3.0)]
    assert plots.main([str(path), str(tmp_path)]) == 0
    pictures = [(tmp_path / name).read_text() for name in ("memory.svg", "time.svg")]
    assert all("<svg" in each for each in pictures)
    assert plots.main([str(path), str(tmp_path)]) == 0
    assert pictures == [(tmp_path / name).read_text() for name in ("memory.svg", "time.svg")]


def test_peer_that_is_missing_is_an_error_unless_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []
    for system in many.SYSTEMS:
        fake = lambda work, files, name=system: measured.append(name) or {"files": files}  # noqa: E731
        monkeypatch.setitem(many.SYSTEMS, system, fake)
    for peer in ("rsync", "syncthing"):
        (tmp_path / peer).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(many, "require_root", lambda: None)
    monkeypatch.setattr(many.signal, "signal", lambda number, handler: None)
    assert many.main(["--files", "10"]) == 1
    assert "unison is not installed" in capsys.readouterr().err and not measured
    assert many.main(["--files", "10", "--without", "unison"]) == 0
    assert measured == ["toastbox", "syncthing", "rsync"]


def test_names_of_files_are_spread_over_folders() -> None:
    names = [many.name_of(number) for number in (0, 249, 250, 25_000, 999_999)]
    assert [name[:6] for name in names] == ["000/00", "000/00", "000/01", "001/00", "039/99"]
    assert len(set(names)) == 5
