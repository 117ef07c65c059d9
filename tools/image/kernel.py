"""Of a kernel package: the kernel, device trees, and the few modules that a board names, with what those need."""

import gzip
import re
from pathlib import PurePosixPath

from tools.image.tree import Tree

# What every board needs to mount root, data and boot partition. Those that a kernel has built in are passed over.
EVERYWHERE = ("crc32c_generic", "squashfs", "ext4", "vfat", "nls_ascii", "nls_cp437")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


class NoModule(Exception):
    """The kernel has no such module, built in or not."""


class Kernel:
    """One unpacked kernel package."""

    def __init__(self, files: Tree) -> None:
        self._files = files
        self._modules = {normal(PurePosixPath(path).stem): path for path in files.find("usr/lib/modules/*.ko")}
        config = files.find("boot/config-*")[0]
        self._config = files.nodes[config].data.decode()

    def image(self, packed: bool) -> bytes:
        """The kernel. packed: an arm64 one is not compressed by itself."""
        data = self._files.nodes[self._files.find("boot/vmlinuz-*")[0]].data
        return gzip.compress(data, 9, mtime=0) if packed else data

    def device_tree(self, name: str) -> bytes:
        found = self._files.find(f"usr/lib/linux-image-*/{name}") or self._files.find(f"usr/lib/linux-image-*/*/{name}")
        if not found:
            raise NoModule(f"the kernel has no device tree {name}: system.device_tree of the board is wrong")
        return self._files.nodes[found[0]].data

    def load_order(self, names: tuple[str, ...] | list[str]) -> list[str]:
        """Paths of these modules and of those that they need, each after what it needs."""
        order: list[str] = []
        for name in names:
            self._add(normal(name), order)
        return order

    def _add(self, name: str, order: list[str]) -> None:
        path = self._modules.get(name)
        if path is None or path in order:
            return  # built into the kernel: what it has not at all is seen when a board does not start
        found = _DEPENDS.search(self._files.nodes[path].data)
        for other in found[1].decode().split(",") if found else ():
            self._add(normal(other), order)
        order.append(path)

    def data(self, path: str) -> bytes:
        return self._files.nodes[path].data


def normal(name: str) -> str:
    """A module's name as the kernel compares it."""
    return name.replace("-", "_")


def wanted(path: str) -> bool:
    """Whether a file of the kernel package is read at all."""
    return path.startswith(("boot/vmlinuz-", "boot/config-")) or path.endswith((".ko", ".dtb"))
