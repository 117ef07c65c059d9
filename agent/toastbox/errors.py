"""Every failure the program names: whose fault it is, and the exit code it ends with.

    ToastboxError                1
    |-- WrongUse                 2   the person asked for something that cannot be
    |-- SafetyRefused            3   going on could lose data: vanished root, second agent, mass deletion
    |-- HubUnreachable           1   network, time-out, hub restarting: try again later
    |-- AccessDenied             1   the hub does not know this device, or has revoked it
    |-- HubRefused               1   the hub answered with a problem (its code, its status)
    |   `-- EpochChanged             the hub's journal was restored: compare everything again
    |-- HostilePeer              1   an answer that no honest peer gives
    |-- DamagedData              1   bytes that do not hash to their name (both names are carried)
    |-- DeviceFull               1   no room on the disk (ENOSPC, quota, file size limit)
    |-- DeviceFailing            1   the disk or the file system reports errors
    |   `-- IndexDamaged             what a device knows of its files: can be found out anew
    `-- ArenaFull                1   the batch does not fit: make it smaller

A message is one line and says what to do next.
"""


class ToastboxError(Exception):
    """Base of everything a user may be told in one line. exit_code: see the table above."""

    exit_code = 1


class WrongUse(ToastboxError):
    """The command line, a setting or a name is wrong."""

    exit_code = 2


class SafetyRefused(ToastboxError):
    """Refused because going on could lose data."""

    exit_code = 3


class HubUnreachable(ToastboxError):
    """The hub did not answer; the same request may be sent again."""


class AccessDenied(ToastboxError):
    """The hub does not accept this device (any more)."""


class HubRefused(ToastboxError):
    """The hub refused a request. code: docs/SPEC.md section 4; status: HTTP status."""

    def __init__(self, message: str, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class EpochChanged(HubRefused):
    """The hub's journal is not the one this device knew. epoch: the new one."""

    def __init__(self, epoch: int) -> None:
        super().__init__("the hub's journal was restored; comparing everything again", "epoch", 409)
        self.epoch = epoch


class HostilePeer(ToastboxError):
    """A message that no honest peer sends: it is dropped with the connection."""


class DamagedData(ToastboxError):
    """Bytes that are not what their name says."""

    def __init__(self, expected: bytes, found: bytes, where: str = "") -> None:
        at = f" in {where}" if where else ""
        super().__init__(f"damaged chunk{at}: expected {expected.hex()}, found {found.hex()}")
        self.expected = expected
        self.found = found


class DeviceFull(ToastboxError):
    """No room left where data was to be written."""


class DeviceFailing(ToastboxError):
    """The storage reports errors."""


class IndexDamaged(DeviceFailing):
    """A device's index cannot be read. Without one everything is compared anew, and nothing is lost."""


class ArenaFull(ToastboxError):
    """A region of the arena refused an allocation; the caller makes a smaller batch."""
