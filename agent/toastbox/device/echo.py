"""What who changes the folder tells who watches it."""

from collections.abc import Iterable
from typing import Protocol

from toastbox.device.seen import Seen


class Echo(Protocol):
    """Told of what the publisher is about to do, so that the watcher does not take it for news."""

    def expect(self, path: bytes, inode: int = 0, size: int = 0, mtime_ns: int = 0) -> None: ...

    def expect_files(self, files: Iterable[tuple[bytes, Seen]]) -> None: ...

    def expect_folder(self, path: bytes) -> None: ...

    def published(self) -> None: ...


class Silence:
    """Nobody watches."""

    def expect(self, path: bytes, inode: int = 0, size: int = 0, mtime_ns: int = 0) -> None:
        pass

    def expect_files(self, files: Iterable[tuple[bytes, Seen]]) -> None:
        pass

    def expect_folder(self, path: bytes) -> None:
        pass

    def published(self) -> None:
        pass
