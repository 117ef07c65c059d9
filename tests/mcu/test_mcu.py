"""On emulated microcontrollers (`make test-mcu`): the native module, and core's own tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.cross.emulator import BoardError, Emulator
from tools.cross.micropython import BOARDS, CACHE, firmware, native_module
from tools.cross.targets import ROOT

pytestmark = [pytest.mark.mcu, pytest.mark.timeout(600)]

CORE_TESTS = sorted(path.stem for path in (ROOT / "tests/core/both").glob("test_*.py"))
WIRE = ROOT / "tests/vectors/wire1.json"
RUN = """
import gc, sys
sys.path.append(".frozen/tests/core/both")
module = __import__({name!r})
passed = 0
for test in sorted(dir(module)):
    if test.startswith("test_"):
        gc.collect()
        getattr(module, test)()
        passed += 1
print(passed)
"""


def manifest(folder: Path) -> str:
    """Core, its tests and the vectors, frozen: as compiled code in flash, which is how a board has them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wire1_json.py").write_text(f"DATA = {WIRE.read_bytes()!r}\n")
    groups = {
        str(folder): ["wire1_json.py"],
        "agent": ["toastbox/__init__.py", *(f"toastbox/core/{path.name}" for path in in_folder("agent/toastbox/core"))],
        ".": [f"tests/core/both/{path.name}" for path in in_folder("tests/core/both")],
        "tests/vectors": ["chunker_inputs.py"],
        "tests/mcu": ["on_board.py"],
    }
    return "".join(f"freeze({str(ROOT / base)!r}, {tuple(names)!r})\n" for base, names in groups.items())


def in_folder(folder: str) -> list[Path]:
    return sorted((ROOT / folder).glob("*.py"))


@pytest.fixture(scope="module")
def images() -> dict[str, Path]:
    """For each board, MicroPython with our code in it."""
    text = manifest(CACHE / "mcu-frozen")
    return {name: firmware(board, text) for name, board in BOARDS.items()}


@pytest.fixture(scope="module", params=list(BOARDS))
def with_module(
    request: pytest.FixtureRequest, images: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    """A board that has the native module for its architecture as a file."""
    board = BOARDS[request.param]
    built = native_module(board.architecture, tmp_path_factory.mktemp(request.param))
    with Emulator(board, images[request.param]) as emulator:
        emulator.put("tbx_native.mpy", built.read_bytes())
        emulator.run("import on_board")
        yield emulator


def test_native_module_gives_golden_cuts(with_module: Emulator, vectors: list[dict[str, Any]]) -> None:
    for case in vectors:
        arguments = tuple(case[name] for name in ("kind", "seed", "period", "size", "sizes"))
        printed = with_module.run(f"print(on_board.cuts_of{arguments!r})", timeout_s=200)
        assert printed == f"{(case['sha256'], case['cuts'])!r}\n", case["name"]


def test_native_module_keeps_its_interface(with_module: Emulator) -> None:
    with_module.run("on_board.refuses_what_it_must()\non_board.same_by_scan((64, 512, 2048))")


def test_module_of_another_core_is_refused(images: dict[str, Path], tmp_path: Path) -> None:
    built = native_module("x64", tmp_path)
    with Emulator(BOARDS["cortex-m3"], images["cortex-m3"]) as emulator:
        emulator.put("tbx_native.mpy", built.read_bytes())
        with pytest.raises(BoardError, match="incompatible"):
            emulator.run("import tbx_native")


@pytest.mark.parametrize("name", CORE_TESTS)
def test_core_passes_on_cortex_m3(images: dict[str, Path], name: str) -> None:
    wanted = (ROOT / f"tests/core/both/{name}.py").read_text().count("\ndef test_")
    with Emulator(BOARDS["cortex-m3"], images["cortex-m3"]) as emulator:
        emulator.run("import wire1_json\nfiles['tests/vectors/wire1.json'] = wire1_json.DATA")
        printed = emulator.run(RUN.format(name=name), timeout_s=300)
    assert int(printed.splitlines()[-1]) == wanted > 0, printed
