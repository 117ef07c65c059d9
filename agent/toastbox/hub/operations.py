"""What the owner of a hub can do to it, by name, with arguments and results that fit in JSON.

The same operations serve `toastbox invite`, `devices` and the rest whether the hub runs (over its control socket,
hub/control.py) or not (hub/admin.py opens the data folder itself).
"""

from collections.abc import Callable, Sequence
from typing import Any

from toastbox.errors import ToastboxError, WrongUse
from toastbox.hub import history
from toastbox.hub.home import Home, add_folder, find_folder
from toastbox.hub.journal.base import Device
from toastbox.hub.pairing import MAX_TTL_S, check_name
from toastbox.hub.prune import GRACE_S, Pruner, Run
from toastbox.hub.refusal import Refusal


class Operations:
    """Operations on an open data folder. run: see hub/prune.py. The owner's changes are by device 0.

    twice(): numbers of the devices that seem to be two.
    """

    def __init__(self, home: Home, run: Run, twice: Callable[[], Sequence[int]] = tuple) -> None:
        self._home = home
        self._service = home.service
        self._journal = home.service.journal
        self._run = run
        self._twice = twice

    def do(self, name: str, arguments: dict[str, Any]) -> Any:
        """The result of an operation. Raises ToastboxError."""
        operation = _OPERATIONS.get(name)
        if operation is None:
            raise WrongUse(f"this hub cannot {name!r}: it is of another version")
        try:
            return operation(self, **arguments)
        except TypeError as error:
            raise WrongUse(f"{name}: {error}") from error
        except Refusal as refusal:
            raise WrongUse(refusal.title) from refusal

    def invite(self, ttl_s: int, folder: str = "", plain: bool = False) -> str:
        """A pairing code for a folder ("" for the only one). plain: for a device without TLS."""
        if not 0 < ttl_s <= MAX_TTL_S:
            raise WrongUse("a code is good for at most 7 days")
        target = find_folder(self._service, folder)
        code: str = self._run(lambda: self._home.pairing.invite(target, ttl_s, plain))
        return code

    def plain_port(self) -> int:
        """Where the hub that runs listens without TLS; 0: nowhere, or none runs."""
        return self._home.plain_port

    def devices(self) -> list[dict[str, Any]]:
        """All devices: number, name, folder (its name), created (unix time), revoked, plain (may do without TLS),
        twice (two machines use its key at once).
        """
        twice = self._twice()
        names = {folder.number: folder.name for folder in self._journal.folders()}
        return [
            {
                "number": device.number,
                "name": device.name,
                "folder": names[device.folder],
                "created": device.created_s,
                "revoked": device.revoked,
                "plain": device.plain,
                "twice": device.number in twice,
            }
            for device in self._journal.devices()
        ]

    def revoke(self, name: str, folder: str = "") -> int:
        """Refuse a device, given by name or number, from now on; its number."""
        device = self._find_device(name, folder)
        self._run(lambda: self._service.revoke(device))
        return device.number

    def set_plain(self, name: str, allowed: bool, folder: str = "") -> int:
        """Let a device, given by name or number, ask without TLS, or forbid it from now on; its number."""
        device = self._find_device(name, folder)
        self._run(lambda: self._service.set_plain(device, allowed))
        return device.number

    def folders(self) -> list[dict[str, Any]]:
        """All folders: name, folder (its ident), seq, live, devices (not revoked)."""
        return [
            {
                "name": folder.name,
                "folder": folder.ident.hex(),
                "seq": folder.head,
                "live": folder.live,
                "devices": sum(not device.revoked for device in self._journal.devices(folder.number)),
            }
            for folder in self._journal.folders()
        ]

    def create_folder(self, name: str) -> None:
        check_name(name)
        self._run(lambda: add_folder(self._service, name))

    def prune(self, days: int, versions: int, grace_s: int = GRACE_S) -> dict[str, int]:
        """Give room back now; what went: versions, chunks, bytes."""
        pruner = Pruner(self._service, self._home.chunks, self._run, days, versions, grace_s)
        return pruner.prune()._asdict()

    def log(self, folder: str = "", before: int = 0, count: int = 100) -> list[dict[str, Any]]:
        """As `GET /v1/log`."""
        number = find_folder(self._service, folder).number
        return history.named(history.log(self._journal, number, before, count), self._service.device)

    def versions(self, path: str, folder: str = "") -> list[dict[str, Any]]:
        """As `GET /v1/versions`."""
        number = find_folder(self._service, folder).number
        return history.named(history.versions(self._journal, number, _path(path)), self._service.device)

    def restore(self, path: str, seq: int, folder: str = "") -> int:
        """Make an old version current again; its new seq."""
        number = find_folder(self._service, folder).number
        restored: int = self._run(lambda: self._service.restore(number, 0, _path(path), seq))
        return restored

    def _find_device(self, name: str, folder: str) -> Device:
        found = [
            device
            for device in self._journal.devices(find_folder(self._service, folder).number if folder else None)
            if not device.revoked and name in (device.name, str(device.number))
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise WrongUse(f"several devices are called {name!r}: give the number or the folder")
        raise WrongUse(f"no device {name!r} that is not revoked: see `toastbox devices`")


def _path(path: str) -> bytes:
    try:
        return path.encode()
    except UnicodeError as error:
        raise WrongUse("a path in the journal is UTF-8") from error


def run_alone(home: Home) -> Run:
    """run for a data folder on which no hub works: each job is flushed by itself."""

    def run(job: Callable[[], Any]) -> Any:
        try:
            result = job()
            home.service.flush()
        except ToastboxError:
            home.service.rollback()
            raise
        return result

    return run


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "invite": Operations.invite,
    "plain_port": Operations.plain_port,
    "devices": Operations.devices,
    "revoke": Operations.revoke,
    "set_plain": Operations.set_plain,
    "folders": Operations.folders,
    "create_folder": Operations.create_folder,
    "prune": Operations.prune,
    "log": Operations.log,
    "versions": Operations.versions,
    "restore": Operations.restore,
}
