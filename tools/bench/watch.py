"""Knowing when B is equal to A, without disturbing what is measured.

Programs under test publish a file by renaming it into place, so a name with its full size is a finished
file: a cursor over the manifest asks for one path at a time and moves on when it is there, one stat per
poll, each path seen once. Contents are compared after the clock has stopped. The programs watch folders for
changes; a stat is none. The programs share the processors with who watches them, so a look is one call (a Path made
and asked takes 3.5 times as long).
"""

import itertools
import os
import time
from pathlib import Path

from tools.bench.errors import NotEqual
from tools.bench.procs import Processes
from tools.bench.workload import Manifest, digest, tree_digests

POLL_S = 0.005
LATENCY_POLL_S = 0.0005
PRIVATE_NAMES = frozenset({".stfolder", ".toastbox"})


def wait_tree(root: Path, manifest: Manifest, processes: Processes, timeout_s: float) -> float:
    """Returns the monotonic time at which every file of the manifest was there in its size."""
    deadline = time.monotonic() + timeout_s
    for number, (name, size) in enumerate(manifest.sizes.items()):
        path = f"{root}/{name}"
        while size_of(path) != size:
            processes.check()
            if time.monotonic() > deadline:
                raise NotEqual(f"after {timeout_s:.0f} s {name}, file {number + 1}, is not on B")
            time.sleep(POLL_S)
    return time.monotonic()


def wait_change(path: Path, size_bytes: int, before: tuple[int, int], processes: Processes) -> float:
    """Returns the monotonic time at which the path was another file than `before`, of this size."""
    deadline = time.monotonic() + 600
    while size_of(path) != size_bytes or identity(path) == before:
        processes.check()
        if time.monotonic() > deadline:
            raise NotEqual(f"{path.name} did not change on B within 600 s")
        time.sleep(POLL_S)
    return time.monotonic()


def wait_content(path: Path, content: bytes, timeout_s: float = 60.0) -> float:
    """Returns the monotonic time at which the path held exactly this content; polls tightly."""
    deadline = time.monotonic() + timeout_s
    while size_of(path) != len(content) or path.read_bytes() != content:
        if time.monotonic() > deadline:
            raise NotEqual(f"{path.name} is not on B after {timeout_s:.0f} s")
        time.sleep(LATENCY_POLL_S)
    return time.monotonic()


def require_equal_trees(a: Path, b: Path) -> None:
    """Compares names and contents of all files; raises NotEqual at the first difference."""
    pairs = itertools.zip_longest(tree_digests(a, PRIVATE_NAMES), tree_digests(b, PRIVATE_NAMES))
    for left, right in pairs:
        if left != right:
            raise NotEqual(f"A and B differ: {left} and {right}")


def require_equal_files(a: Path, b: Path) -> None:
    """Compares two files' contents."""
    if digest(a) != digest(b):
        raise NotEqual(f"{a.name} differs between A and B")


def size_of(path: Path | str) -> int:
    """The file's size, or -1 when there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1


def identity(path: Path) -> tuple[int, int]:
    """Changes whenever the file is replaced or written."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_ino, status.st_mtime_ns)
