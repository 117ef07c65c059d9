"""When a changed path is worth a look. Pure: the time is given, in seconds that never go back.

A change that is complete (closed, moved, deleted, a new folder) is looked at 5 ms after the last such change,
so that the steps of one save come together, and 50 ms after the first at the latest. A file that is being
written and not yet closed is left alone until it has been quiet for a second, for ten at most: a log that is
never closed moves on, and a big copy is not read twice.

At most MAX_PENDING paths are remembered. Beyond that folders take the place of what is in them, and beyond
that the answer is to look at everything: memory is bounded, and a look too many finds nothing.
"""

from toastbox.core.names import parent_of

SETTLE_S = 0.005
SETTLE_MAX_S = 0.05
QUIET_S = 1.0
QUIET_MAX_S = 10.0
RUSH_READS = 16
RUSH_GAP_S = 0.05
RUSH_PAUSE_S = 0.02  # the kernel's queue has room for 16,384 events, of a rush that is taken in fifty times a second
MAX_PENDING = 4096


class Batch:
    """What to look at. paths: each with whether all below it is meant too. everything: the whole folder."""

    __slots__ = ("everything", "paths")

    def __init__(self, everything: bool = False) -> None:
        self.paths: dict[bytes, bool] = {}
        self.everything = everything

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths)


class Settle:
    """Changes that are waiting to be looked at."""

    def __init__(self) -> None:
        self._ready = Batch()
        self._first_s = 0.0
        self._last_s = 0.0
        self._writing: dict[bytes, tuple[float, float]] = {}  # path: first and last change

    def complete(self, path: bytes, tree: bool, now_s: float) -> None:
        """A change that has ended. tree: all below the path may have changed."""
        self._writing.pop(path, None)
        self._touch(now_s)
        if self._ready.everything:
            return
        paths = self._ready.paths
        paths[path] = tree or paths.get(path, False)
        if len(paths) > MAX_PENDING:
            self._fold()

    def writing(self, path: bytes, now_s: float) -> None:
        """A change of a file that may go on."""
        first_s, _ = self._writing.get(path, (now_s, now_s))
        self._ready.paths.pop(path, None)
        self._writing[path] = (first_s, now_s)
        if len(self._writing) > MAX_PENDING:
            self.complete(path, False, now_s)

    def attributes(self, path: bytes, now_s: float) -> None:
        """A change of mode or times, which copying programs make before they close a file."""
        if path not in self._writing:
            self.complete(path, False, now_s)

    def everything(self, now_s: float) -> None:
        """Changes were missed."""
        self._touch(now_s)
        self._ready = Batch(everything=True)
        self._writing.clear()

    def due_s(self) -> float | None:
        """When to call `take`; None: nothing is pending."""
        times = [min(last_s + QUIET_S, first_s + QUIET_MAX_S) for first_s, last_s in self._writing.values()]
        if self._ready:
            times.append(min(self._last_s + SETTLE_S, self._first_s + SETTLE_MAX_S))
        return min(times, default=None)

    def take(self, now_s: float) -> Batch:
        """What is due by now; it is forgotten here."""
        for path, (first_s, last_s) in list(self._writing.items()):
            if now_s >= min(last_s + QUIET_S, first_s + QUIET_MAX_S):
                self.complete(path, False, now_s - SETTLE_S)
        if not self._ready or now_s < min(self._last_s + SETTLE_S, self._first_s + SETTLE_MAX_S):
            return Batch()
        taken, self._ready = self._ready, Batch()
        return taken

    def _touch(self, now_s: float) -> None:
        if not self._ready:
            self._first_s = now_s
        self._last_s = now_s

    def _fold(self) -> None:
        folders = dict.fromkeys((parent_of(path) for path in self._ready.paths), True)
        self._ready.everything = b"" in folders or len(folders) > MAX_PENDING // 2
        self._ready.paths = {} if self._ready.everything else folders


class Rush:
    """Whether events come without pause, as when thousands of files are published: then they are read in lots.

    To wake for each of them would take the interpreter's lock from those who do the work.
    """

    def __init__(self) -> None:
        self._reads = 0
        self._last_s = 0.0

    def goes_on(self, now_s: float) -> bool:
        """Called for each read: whether to wait before the next one."""
        self._reads = self._reads + 1 if now_s - self._last_s < RUSH_GAP_S else 0
        self._last_s = now_s
        return self._reads >= RUSH_READS
