"""The settings that a console changes, on the board's data partition: lines KEY=VALUE, so that a shell script of the
system can read them too (docs/SPEC.md, section 13).

Only what was set is in the file. What is not comes from the image's defaults (a file of the same form, read only), and
then from the table of core/console_settings. Replaced whole: written beside, flushed, renamed, the folder flushed.
After a power cut it is the old or the new file. What cannot be read is passed over, line by line: a console that does
not start because of its settings could not mend them.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from toastbox.core import console_settings as known
from toastbox.errors import DeviceFailing, DeviceFull

MAX_FILE = 64 << 10
PASSWORD = "console.password"
SCHEME = "pbkdf2"
ROUNDS = 20_000


class SettingsFile:
    """path: written; defaults: read, if it is there."""

    def __init__(self, path: Path, defaults: Path | None = None) -> None:
        self._path = path
        self._defaults = defaults

    def get(self, key: str) -> str:
        return self.all()[key]

    def all(self) -> dict[str, str]:
        """Every setting of the table; the console password as its hash."""
        found = {key: known.default(key) for key in known.names()}
        for path in (self._defaults, self._path):
            read = _read(path) if path is not None else {}
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
            self._path.unlink()
            _flush_folder(self._path.parent)

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


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return {}
    pairs = [line.rstrip("\r").partition("=") for line in text.split("\n")]
    return {key.strip(): value for key, found, value in pairs if found and key.strip() and not key.startswith("#")}


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    beside.rename(path)
    _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
