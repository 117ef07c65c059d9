"""What is unusual about the place a history happens in, besides its weather.

Drawn by a chance of its own: a seed keeps the history that it had before there was any of this.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from unittest import mock

from toastbox.core import guard
from toastbox.device.engine import RECEIVE_ONLY, SEND_ONLY, TWO_WAY

FEW_LIVE = 5


@dataclass
class Setting:
    """mode: of the last device, which is left out of the comparison at the end unless it is two-way.

    plain_disks: no exchange of names, as on FAT; only where users do nothing between two system calls, as nobody can
    promise anything else there.
    hub_full: the chance that the hub's disk is full at an upload or commit.
    revokes_after: steps after which the last device is revoked, -1 for never.
    careful: many deletions are held, by devices and hub, in small folders too.
    """

    mode: str = TWO_WAY
    plain_disks: bool = False
    hub_full: float = 0.0
    revokes_after: int = -1
    careful: bool = False

    @classmethod
    def drawn(cls, seed: int) -> "Setting":
        chance = random.Random(f"setting of {seed}")
        return cls(
            mode=chance.choice((TWO_WAY,) * 8 + (RECEIVE_ONLY, SEND_ONLY)),
            plain_disks=chance.random() < 0.15,
            hub_full=chance.choice((0.0,) * 8 + (0.1, 0.3)),
            revokes_after=chance.randrange(25) if chance.random() < 0.1 else -1,
            careful=chance.random() < 0.2,
        )

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))

    @contextmanager
    def installed(self) -> Iterator[None]:
        with mock.patch.multiple(guard, LEAST_LIVE=FEW_LIVE if self.careful else guard.LEAST_LIVE):
            yield
