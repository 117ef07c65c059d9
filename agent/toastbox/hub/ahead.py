"""Uploads in progress: chunks the hub has of files that are not committed yet (docs/SPEC.md, section 15).

Hints, kept in memory for whoever asks soon, and for no longer than the upload: a commit of their author ends them, as
do ten minutes, and newer ones when there are too many. Nothing is lost with them but time. For the event loop only.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from toastbox.core.ahead import ANSWER_BYTES, encode_ahead

KEPT_BYTES = 2 << 20  # runs of all folders together
KEPT_S = 600.0


class _Kept(NamedTuple):
    position: int
    told_s: float
    folder: int
    device: int
    run: bytes


class Ahead:
    """The runs told last, oldest first. now: monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._runs: deque[_Kept] = deque()
        self._size = 0
        self._position = 0

    def note(self, folder: int, device: int, run: bytes) -> None:
        """Keep a run (valid, at most MAX_RUN bytes) for the other devices of the folder."""
        self._position += 1
        self._runs.append(_Kept(self._position, self._now(), folder, device, run))
        self._size += len(run)
        self._forget_old()

    def answer(self, folder: int, device: int, after: int) -> bytes:
        """What other devices of the folder told behind that position; about ANSWER_BYTES, or one run.

        A position of another run of the hub is one that was never given, or says too much: hints are missed, or told
        again.
        """
        self._forget_old()
        found: list[bytes] = []
        room, position = ANSWER_BYTES, self._position
        for kept in self._runs:
            if kept.folder != folder or kept.device == device or kept.position <= after <= self._position:
                continue
            if found and len(kept.run) > room:
                break
            found.append(kept.run)
            room -= len(kept.run)
            position = kept.position
        return encode_ahead(position, found)

    def end(self, device: int) -> None:
        """The device has committed: what it told belongs to entries by now, or will be told again."""
        if any(kept.device == device for kept in self._runs):
            self._runs = deque(kept for kept in self._runs if kept.device != device)
            self._size = sum(len(kept.run) for kept in self._runs)

    def _forget_old(self) -> None:
        before_s = self._now() - KEPT_S
        while self._runs and (self._size > KEPT_BYTES or self._runs[0].told_s < before_s):
            self._size -= len(self._runs.popleft().run)
