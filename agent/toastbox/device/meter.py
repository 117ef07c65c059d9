"""What `toastbox top` counts: calls by function with time and bytes. Nothing is counted, or slower, while it is off.

On: every module of this package that calls the C core by `lib`, or hashes by `hashlib`, gets a stand-in that counts,
and the index one for its database. Off: they get the real ones back. The code that is measured has no counters in it.
"""

import hashlib
import sys
import time
from collections.abc import Callable
from typing import Any, cast

from toastbox.device.index import Index
from toastbox.native import calls

PACKAGE = "toastbox."
MOST_STATEMENTS = 200

SIZES = {**calls.SIZES, "sha256": lambda data=b"", **_: len(data)}


class Tally:
    """count, seconds and bytes of calls by name. Used by several threads: a lost count now and then is no harm."""

    def __init__(self) -> None:
        self.calls: dict[str, list[float]] = {}

    def timed(self, name: str, call: Callable[..., Any], size: Callable[..., int] | None = None) -> Callable[..., Any]:
        """call, counted under name."""
        clock = time.perf_counter
        row = self.calls.setdefault(name, [0, 0.0, 0])

        def counted(*arguments: Any, **named: Any) -> Any:
            started = clock()
            try:
                return call(*arguments, **named)
            finally:
                row[1] += clock() - started
                row[0] += 1
                if size is not None:
                    row[2] += size(*arguments, **named)

        return counted

    def figures(self) -> dict[str, dict[str, float]]:
        rows = {name: list(row) for name, row in list(self.calls.items())}
        return {name: {"count": c, "seconds": s, "bytes": b} for name, (c, s, b) in rows.items() if c}


class Counted:
    """A module or library whose functions are counted; all else of it is as it is."""

    def __init__(self, real: Any, tally: Tally, names: tuple[str, ...] = ()) -> None:
        self.__dict__["real"] = real
        self._tally = tally
        self._names = names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["real"], name)
        if callable(found) and (not self._names or name in self._names):
            found = self._tally.timed(name, found, SIZES.get(name))
        self.__dict__[name] = found
        return found


class CountedDatabase:
    """A connection whose statements are counted by what they do to which table."""

    def __init__(self, real: Any, tally: Tally) -> None:
        self._real = real
        self._tally = tally
        self._known: dict[tuple[str, str], Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str, *values: Any) -> Any:
        return self._counted(sql, "execute")(sql, *values)

    def executemany(self, sql: str, *values: Any) -> Any:
        """One statement in the figures, however many rows it is done for."""
        return self._counted(sql, "executemany")(sql, *values)

    def _counted(self, sql: str, how: str) -> Callable[..., Any]:
        if (sql, how) not in self._known and len(self._known) < MOST_STATEMENTS:
            self._known[sql, how] = self._tally.timed(f"sql {summary(sql)}", getattr(self._real, how))
        return self._known.get((sql, how)) or cast("Callable[..., Any]", getattr(self._real, how))


def summary(sql: str) -> str:
    """A statement's verb and table: `select entry`."""
    words = sql.lower().replace("(", " ").split()
    for before in ("from", "into", "update"):
        if before in words[:-1]:
            return f"{words[0]} {words[words.index(before) + 1]}"
    return words[0]


class Meter:
    """Counts while it is on; figures are since then."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._undo: list[Callable[[], None]] = []
        self.tally = Tally()

    @property
    def on(self) -> bool:
        return bool(self._undo)

    def start(self) -> None:
        if self.on:
            return
        self.tally = Tally()
        native, hashes = Counted(calls.LIBRARY, self.tally), Counted(hashlib, self.tally, ("sha256",))
        for name, module in list(sys.modules.items()):
            if name.startswith(PACKAGE) and module is not sys.modules[__name__]:
                self._stand_in(module, "lib", calls.LIBRARY, native)
                self._stand_in(module, "hashlib", hashlib, hashes)
        self._undo.append(self._index.watched_by(lambda real: CountedDatabase(real, self.tally)))

    def _stand_in(self, module: Any, name: str, real: Any, counted: Any) -> None:
        if getattr(module, name, None) is real:
            setattr(module, name, counted)
            self._undo.append(lambda: setattr(module, name, real))

    def stop(self) -> None:
        while self._undo:
            self._undo.pop()()
