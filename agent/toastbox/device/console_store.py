"""The settings that a console changes, on the board's data partition: lines KEY=VALUE, so that a shell script of the
system can read them too (docs/SPEC.md, section 13).

Only what was set is in the file. What is not comes from the image's defaults (a file of the same form, read only), and
then from the table of core/console_settings. Replaced whole: written beside, flushed, renamed, the folder flushed.
After a power cut it is the old or the new file. What cannot be read is passed over, line by line: a console that does
not start because of its settings could not mend them.
"""

from __future__ import annotations

import os
from contextlib import suppress

from toastbox.core import console_limits
from toastbox.core import console_settings as known
from toastbox.errors import DeviceFailing, DeviceFull

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing and pathlib take a megabyte of a process that only waits for keys
    from collections.abc import Mapping

MAX_FILE = 64 << 10
known.add(console_limits.SETTINGS)

PASSWORD = "console.password"
SCHEME = "pbkdf2"
ROUNDS = 20_000


class SettingsFile:
    """path: written; defaults: read, if it is there."""

    def __init__(self, path: str | os.PathLike[str], defaults: str | os.PathLike[str] = "") -> None:
        self._path = os.fspath(path)
        self._defaults = os.fspath(defaults)

    def get(self, key: str) -> str:
        return self.all()[key]

    def all(self) -> dict[str, str]:
        """Every setting of the table; the console password as its hash."""
        found = {key: known.default(key) for key in known.names()}
        for path in (self._defaults, self._path):
            read = _read(path) if path else {}
            found.update({key: value for key, value in read.items() if key in found and _is_good(key, value)})
        return found

    def set(self, values: Mapping[str, str]) -> None:
        """Keep these, which were checked. DeviceFull, DeviceFailing: nothing is changed."""
        kept = {**_read(self._path), **values}
        if PASSWORD in values:
            kept[PASSWORD] = hashed(values[PASSWORD]) if values[PASSWORD] else ""
        text = "".join(f"{key}={value}\n" for key, value in sorted(kept.items()))
        try:
            _replace(self._path, text.encode())
        except OSError as error:
            kind = DeviceFull if error.errno in (28, 122, 27) else DeviceFailing
            raise kind(f"the settings cannot be written: {error.strerror}") from error

    def forget(self) -> None:
        """Back to the image's own."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
            _flush_folder(os.path.dirname(self._path))

    def has_password(self) -> bool:
        return bool(self.get(PASSWORD))

    def is_password(self, text: str) -> bool:
        """Whether this is the console's password, in the same time for every wrong one."""
        import hmac

        parts = self.get(PASSWORD).split("$")
        if len(parts) != 4 or parts[0] != SCHEME:
            return hmac.compare_digest(self.get(PASSWORD).encode(), text.encode())  # of an image's defaults
        return hmac.compare_digest(hashed(text, bytes.fromhex(parts[2]), int(parts[1])), self.get(PASSWORD))


def hashed(text: str, salt: bytes = b"", rounds: int = ROUNDS) -> str:
    """As a password is kept."""
    import hashlib  # OpenSSL: some megabytes, needed for passwords only

    salt = salt or os.urandom(16)
    digest = hashlib.pbkdf2_hmac("sha256", text.encode(), salt, rounds)
    return f"{SCHEME}${rounds}${salt.hex()}${digest.hex()}"


def _is_good(key: str, value: str) -> bool:
    if key == PASSWORD:
        return True
    try:
        return known.check(key, value) == value
    except ValueError:
        return value == "" and known.default(key) == ""


def _read(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return {}
    pairs = [line.rstrip("\r").partition("=") for line in text.split("\n")]
    return {key.strip(): value for key, found, value in pairs if found and key.strip() and not key.startswith("#")}


def _replace(path: str, data: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    beside = path + ".new"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.rename(beside, path)
    _flush_folder(folder)


def _flush_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
