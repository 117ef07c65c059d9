"""Commands on a hub's data folder, whether a hub runs on it or not.

A running hub is asked over its control socket, so that a revoked device is cut off at once and a restored file is
pushed. If none runs, the data folder is opened and locked for as long as the Admin lives.
"""

import time
from pathlib import Path
from typing import Any

from toastbox.config import load_hub
from toastbox.errors import SafetyRefused
from toastbox.hub import control
from toastbox.hub.home import Home
from toastbox.hub.operations import Operations, run_alone

_WAIT_S = 30.0  # for a hub that is just starting or ending: on a small board it takes half of that


class Admin:
    """Operations on the hub whose data are in the folder `data`; a context manager. See hub/operations.py.

    Raises SafetyRefused if somebody holds the folder but does not answer, OperationFailed.
    """

    def __init__(self, data: str | Path) -> None:
        self._data = str(data)
        self._home: Home | None = None

    def __enter__(self) -> "Admin":
        return self

    def __exit__(self, *_: object) -> None:
        if self._home is not None:
            self._home.close()
            self._home = None

    def invite(self, ttl_s: int, folder: str = "", plain: bool = False) -> str:
        return str(self._do("invite", ttl_s=ttl_s, folder=folder, plain=plain))

    def listens_plain(self) -> bool:
        """Whether the hub listens without TLS; one that does not run, whether its settings say so."""
        return bool(self._do("plain_port")) or (
            self._home is not None and bool(load_hub(Path(self._data) / "config.toml").listen_plain)
        )

    def devices(self) -> list[dict[str, Any]]:
        devices: list[dict[str, Any]] = self._do("devices")
        return devices

    def revoke(self, name: str, folder: str = "") -> int:
        return int(self._do("revoke", name=name, folder=folder))

    def set_plain(self, name: str, allowed: bool, folder: str = "") -> int:
        return int(self._do("set_plain", name=name, allowed=allowed, folder=folder))

    def folders(self) -> list[dict[str, Any]]:
        folders: list[dict[str, Any]] = self._do("folders")
        return folders

    def create_folder(self, name: str) -> None:
        self._do("create_folder", name=name)

    def prune(self, days: int | None = None, versions: int | None = None) -> dict[str, int]:
        """None: as the hub's settings say."""
        settings = load_hub(Path(self._data) / "config.toml")
        days = settings.retention_days if days is None else days
        versions = settings.retention_versions if versions is None else versions
        pruned: dict[str, int] = self._do("prune", days=days, versions=versions)
        return pruned

    def history(self, folder: str = "") -> "FolderHistory":
        """The history of one folder ("" for the only one)."""
        return FolderHistory(self, folder)

    def _do(self, name: str, /, **arguments: Any) -> Any:
        deadline = time.monotonic() + _WAIT_S
        while self._home is None:
            try:
                return control.ask(self._data, name, arguments)
            except (ConnectionError, FileNotFoundError, TimeoutError):
                self._open(deadline)
        return Operations(self._home, run_alone(self._home)).do(name, arguments)

    def _open(self, deadline: float) -> None:
        """Take the data folder, unless a hub that is starting or ending holds it: then come back."""
        try:
            self._home = Home(self._data)
        except SafetyRefused:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


class FolderHistory:
    """History of a folder, as device/remote.py's HubClient gives it to a device."""

    def __init__(self, admin: Admin, folder: str) -> None:
        self._admin = admin
        self._folder = folder

    def log(self, before: int = 0, count: int = 100) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._admin._do("log", folder=self._folder, before=before, count=count)
        return entries

    def versions(self, path: bytes) -> list[dict[str, Any]]:
        text = path.decode(errors="surrogateescape")
        entries: list[dict[str, Any]] = self._admin._do("versions", folder=self._folder, path=text)
        return entries

    def restore(self, path: bytes, seq: int) -> int:
        text = path.decode(errors="surrogateescape")
        return int(self._admin._do("restore", folder=self._folder, path=text, seq=seq))
