"""Whether an image has what the radio of each Raspberry asks for, by the names that the kernel's driver gives.

brcmfmac looks for a firmware (.bin), a country's limits (.clm_blob) and settings of the radio. The last have the
board's name in theirs, which is the first one that its device tree says it is compatible with.
"""

import re
import stat
from pathlib import PurePosixPath

import pytest

from toastbox import boards
from toastbox.boards import Board
from tools.image import build, root
from tools.image.kernel import Kernel
from tools.image.packages import Packages, cache_folder
from tools.image.tree import Tree

pytestmark = [pytest.mark.whole, pytest.mark.timeout(1200)]

RADIOS = {
    "raspberrypi,model-zero-w": "43430",
    "raspberrypi,model-zero-2-w": "43430",
    "raspberrypi,3-model-b": "43430",
    "raspberrypi,3-model-b-plus": "43455",
    "raspberrypi,3-model-a-plus": "43455",
    "raspberrypi,4-model-b": "43455",
}
WITHOUT = {"raspberrypi,model-zero": "has no radio", "raspberrypi,400": "43456, of which Debian has no firmware"}
MOST_ROOT_BYTES = 60_000_000


def parts_of(board: Board) -> tuple[Kernel, Tree]:
    assert board.system
    packages = Packages(board.system.architecture, cache_folder())
    debs = packages.fetch([packages.kernel(board.system.kernel), *build._names(board, build.Wishes({}))])
    kernel = Kernel(build._unpacked(debs[0]))
    return kernel, root.root(board, debs[1:], kernel, False, "", cache_folder(), build.time_of_files())


def read(tree: Tree, name: str) -> bytes:
    """A firmware file, through links; KeyError: it is not there."""
    path = PurePosixPath("usr/lib/firmware") / name
    node = tree.nodes[str(path)]
    if not stat.S_ISLNK(node.mode):
        return node.data
    folder, to = path.parent, node.data.decode()
    while to.startswith("../"):
        folder, to = folder.parent, to[3:]
    return read(tree, str((folder / to).relative_to("usr/lib/firmware")))


def compatible(device_tree: bytes) -> str:
    found = re.search(rb"raspberrypi,[a-z0-9-]+", device_tree)
    assert found
    return found[0].decode()


@pytest.mark.parametrize("name", ["pi-zero-w", "pi-zero-2-w", "pi-3", "pi-4"])
def test_radio_finds_its_firmware_and_its_settings(name: str) -> None:
    board = boards.load(name)
    assert board.system
    kernel, tree = parts_of(board)
    [driver] = tree.find("usr/lib/toastbox/modules.d/brcmfmac.ko")
    asked = re.findall(r"\0firmware=([^\0]*)", tree.nodes[driver].data.decode("latin-1"))
    models = {compatible(kernel.device_tree(each)) for each in board.system.device_tree} - set(WITHOUT)
    assert models, "no device tree of this board is known here"
    for model in models:
        base = f"brcm/brcmfmac{RADIOS[model]}-sdio"
        assert f"{base}.bin" in asked and len(read(tree, f"{base}.bin")) > 100_000
        assert f"{base}.clm_blob" in asked and read(tree, f"{base}.clm_blob").startswith(b"BLOB")
        assert b"boardflags" in read(tree, f"{base}.{model}.txt")
    assert read(tree, "regulatory.db").startswith(b"RGDB") and read(tree, "regulatory.db.p7s")
    assert len(build.squash(tree, build.time_of_files())) < MOST_ROOT_BYTES
