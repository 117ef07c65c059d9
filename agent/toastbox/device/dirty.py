"""Which local paths are to be looked at."""

from collections.abc import Iterator

from toastbox.core.names import key_of


class Dirty:
    """Local paths to be looked at. everything: all of the folder; trees: paths with all that is below."""

    def __init__(self, everything: bool = False) -> None:
        self.everything = everything
        self.paths: set[bytes] = set()
        self.trees: set[bytes] = set()

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths) or bool(self.trees)

    def add(self, path: bytes, tree: bool = True) -> None:
        """b"" is the folder itself: nothing to look at, or everything."""
        if path:
            (self.trees if tree else self.paths).add(path)
        else:
            self.everything = self.everything or tree

    def merge(self, other: "Dirty") -> None:
        self.everything = self.everything or other.everything
        self.paths |= other.paths
        self.trees |= other.trees

    def clear(self) -> None:
        self.everything = False
        self.paths.clear()
        self.trees.clear()

    def roots(self) -> Iterator[tuple[bytes, bool]]:
        """(path, with all below) in order of key, none inside another."""
        inside: bytes | None = None
        for key, path, tree in sorted((key_of(p), p, p in self.trees) for p in self.paths | self.trees):
            if inside is not None and key.startswith(inside):
                continue
            inside = key + b"\0" if tree else inside
            yield path, tree
