"""A file system in memory: filled from packages and files, changed, then written as tar (root) or cpio (initramfs).

Everything belongs to root, has one time, and is written in the order of its name, so equal trees are equal bytes. All
paths are relative and of a merged /usr: what a package has in bin, sbin or lib is in usr.
"""

import fnmatch
import io
import stat
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MERGED = ("bin", "sbin", "lib")
CPIO_END = "TRAILER!!!"


@dataclass(frozen=True)
class Node:
    """mode: with its kind, as in stat. data: content, or where a link leads. device: (major, minor)."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


class Tree:
    """nodes: by path, without the root itself."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    def _put(self, path: str, node: Node) -> None:
        path = merged(path)
        above = path.rpartition("/")[0]
        if above and above not in self.nodes:
            self._put(above, Node(stat.S_IFDIR | 0o755))
        self.nodes[path] = node

    def folder(self, path: str, mode: int = 0o755) -> None:
        self._put(path, Node(stat.S_IFDIR | mode))

    def file(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        self._put(path, Node(stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data))

    def link(self, path: str, to: str) -> None:
        self._put(path, Node(stat.S_IFLNK | 0o777, to.encode()))

    def device(self, path: str, major: int, minor: int) -> None:
        """A character device."""
        self._put(path, Node(stat.S_IFCHR | 0o600, b"", (major, minor)))

    def package(self, path: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """The files of a .deb whose merged path is wanted."""
        command = ["dpkg-deb", "--fsys-tarfile", str(path)]
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
        if done.returncode:
            raise OSError(f"{path} is damaged: remove it, and it is fetched anew")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            self._add_members(archive, wanted)

    def _add_members(self, archive: tarfile.TarFile, wanted: Callable[[str], bool]) -> None:
        for member in archive:
            path = merged(member.name.removeprefix("./").rstrip("/"))
            if not path or path == "." or not wanted(path):
                continue
            if member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                self.file(path, content.read(), member.mode & 0o777)
            elif member.issym():
                self.link(path, member.linkname)
            elif member.islnk():
                self.nodes[path] = self.nodes[merged(member.linkname.removeprefix("./"))]
            elif member.isdir() and path not in self.nodes:
                self.folder(path, member.mode & 0o7777)

    def remove(self, *patterns: str) -> None:
        """What fits one of these patterns, and all below it."""
        for pattern in patterns:
            for path in fnmatch.filter(list(self.nodes), pattern):
                for each in [name for name in self.nodes if name == path or name.startswith(f"{path}/")]:
                    del self.nodes[each]

    def prune_folders(self) -> None:
        """Remove folders below usr in which there is nothing."""
        used = {path.rpartition("/")[0] for path in self.nodes}
        empty = [path for path, node in self.nodes.items() if stat.S_ISDIR(node.mode) and path not in used]
        empty = [path for path in empty if path.startswith("usr/")]
        for path in empty:
            del self.nodes[path]
        if empty:
            self.prune_folders()

    def find(self, pattern: str) -> list[str]:
        """Paths that fit, sorted."""
        return sorted(fnmatch.filter(self.nodes, pattern))

    def size_bytes(self) -> int:
        """Of all content, in blocks of 4 KiB as a disk would hold it."""
        return sum(-(-len(node.data) // 4096) * 4096 for node in self.nodes.values())

    def tar(self, time_s: int) -> bytes:
        """The whole as a tar archive."""
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(self.nodes):
                member, data = _member(path, self.nodes[path]), self.nodes[path].data
                member.mtime = time_s
                archive.addfile(member, io.BytesIO(data) if member.isfile() else None)
        return output.getvalue()

    def cpio(self, time_s: int) -> bytes:
        """The whole as an initramfs wants it: cpio(5), "newc"."""
        entries = [*((path, self.nodes[path]) for path in sorted(self.nodes)), (CPIO_END, Node(0))]
        return b"".join(_cpio_entry(number, path, node, time_s) for number, (path, node) in enumerate(entries))


def merged(path: str) -> str:
    """The path where /bin, /sbin and /lib are links into /usr."""
    path = path.strip("/")
    if "/" in path and path.split("/", 1)[0] in MERGED:
        return f"usr/{path}"
    return path


def merge_links(tree: Tree) -> None:
    """The links that make it so."""
    for name in MERGED:
        tree.link(name, f"usr/{name}")


def _member(path: str, node: Node) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.mode = stat.S_IMODE(node.mode)
    member.uname = member.gname = "root"
    if stat.S_ISDIR(node.mode):
        member.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(node.mode):
        member.type, member.linkname = tarfile.SYMTYPE, node.data.decode()
    elif stat.S_ISCHR(node.mode):
        member.type, (member.devmajor, member.devminor) = tarfile.CHRTYPE, node.device
    else:
        member.size = len(node.data)
    return member


def _cpio_entry(number: int, path: str, node: Node, time_s: int) -> bytes:
    name = path.encode() + b"\0"
    fields = (number, node.mode, 0, 0, 1, time_s if node.mode else 0, len(node.data), 0, 0, *node.device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head) + _padded(node.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
