"""Settings: TOML files, read once at start, every key checked, unknown ones refused.

FOLDER/.toastbox/config.toml sets an agent, DATA/config.toml a hub. Both are optional, and so is every key.
A table of settings is a frozen dataclass: each field says its default, what it may be, and in words what it
does; the parser, the error messages and the generated example are all made from that. Options on the command
line come after, by `dataclasses.replace`.
"""

import dataclasses
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from toastbox import quantity
from toastbox.core.schedule import parse_offset, parse_schedule
from toastbox.errors import WrongUse

DEFAULT_PORT = 8269  # T-B-O-X on a telephone's keys; not assigned by IANA
MAX_TEXT = 200
MAX_FILE = 64 << 10
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LEAST_WINDOW = 512 * KIB
BESIDE_WINDOWS = 1088 * KIB  # of the arena: the buffer to read into, listings and alignment (device/parts.py)
NOTHING: Mapping[str, Any] = MappingProxyType({})

T = TypeVar("T")


class Kind(NamedTuple):
    """What a setting may be. read: from TOML's value, raises ValueError; write: the default as TOML."""

    read: Callable[[Any], Any]
    write: Callable[[Any], str]


def setting(default: Any, kind: Kind, words: str) -> Any:
    """A field of a table of settings."""
    return dataclasses.field(default=default, metadata={"kind": kind, "words": words})


def _quoted(value: Any) -> str:
    return f'"{value}"'


def choice(*options: str) -> Kind:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in options:
            raise ValueError(f"one of {', '.join(map(_quoted, options))}, not {value!r}")
        return str(value)

    return Kind(read, _quoted)


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false, not {value!r}")
    return value


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or len(value.encode()) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"text of at most {MAX_TEXT} bytes, not {value!r}")
    return value


def _read_address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f'"HOST:PORT", not {value!r}')
    quantity.parse_address(value)
    return value


def _parsed(parse: Callable[[str], Any]) -> Kind:
    """Text that this can read."""

    def read(value: Any) -> str:
        text = _read_text(value)
        parse(text)
        return text

    return Kind(read, _quoted)


FLAG = Kind(_read_flag, lambda value: "true" if value else "false")
TEXT = Kind(_read_text, _quoted)
ADDRESS = Kind(_read_address, _quoted)
_OPTIONAL_ADDRESS = Kind(lambda value: _read_address(value) if value != "" else "", _quoted)


def _bounded(low: int, high: int, parse: Callable[[str], int], show: Callable[[int], str]) -> Kind:
    def read(value: Any) -> int:
        number = parse(value) if isinstance(value, str) else value
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise ValueError(f"{show(low)} to {show(high)}, not {value!r}")
        return number

    return Kind(read, str)


def count(low: int, high: int) -> Kind:
    """A whole number in these bounds."""
    return _bounded(low, high, int, str)


def seconds(low: int, high: int) -> Kind:
    """Seconds, or text with a unit: "10m"."""
    return _bounded(low, high, quantity.parse_seconds, lambda value: f"{value} s")


def size(low: int, high: int) -> Kind:
    """Bytes, or text with a unit: "8MiB"."""
    kind = _bounded(low, high, quantity.parse_bytes, quantity.show_bytes)
    return Kind(kind.read, lambda value: _quoted(_short_size(value)) if value else "0")


def _short_size(value: int) -> str:
    for unit, factor in (("MiB", MIB), ("KiB", KIB)):
        if value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


@dataclasses.dataclass(frozen=True, slots=True)
class AgentSettings:
    """Settings of an agent. Sizes in bytes, times in seconds."""

    name: str = setting("", TEXT, "Name in conflict copies and announcements. Empty: as paired.")
    board: str = setting(
        "", TEXT, "The board this runs on (`toastbox boards`): its memory settings, shown to others. Empty: not said."
    )
    mode: str = setting(
        "two-way",
        choice("two-way", "receive-only", "send-only"),
        "Which way changes go. receive-only: nothing from here reaches the hub.\nsend-only: nothing comes here.",
    )
    push: str = setting(
        "events",
        choice("events", "webhook"),
        "How the hub tells of changes. events: on a connection this device keeps open; works behind NAT.\n"
        "webhook: the hub posts to this device, which must be reachable; no connection is held.",
    )
    listen: str = setting(
        "*:0", ADDRESS, "Where LAN peers and the hub's posts reach this device. Port 0: any that is free."
    )
    announce: bool = setting(True, FLAG, "Announce this device on the LAN by zeroconf, and look for others.")
    lan_peers: bool = setting(True, FLAG, "Give chunks to devices of this folder on the LAN, and fetch theirs.")
    limit_up: int = setting(0, size(0, 1000 * GIB), "Most bytes a second sent. 0: no limit.")
    limit_down: int = setting(0, size(0, 1000 * GIB), "Most bytes a second fetched. 0: no limit.")
    limit_schedule: str = setting(
        "",
        _parsed(parse_schedule),
        "Other limits at some times of the day: FROM-TO UP/DOWN, ... as in 08:00-18:00 100kB/1MB. Until the\n"
        "board's clock has been set (it has no battery), the strictest of all limits counts.",
    )
    limit_offset: str = setting("+00:00", _parsed(parse_offset), "Of the schedule's times from UTC: +HH:MM or -HH:MM.")
    compress: str = setting(
        "auto",
        choice("auto", "always", "never"),
        "Compress what goes to the hub and comes from it. auto: when that is faster, which is measured.",
    )
    accept_deletes: bool = setting(
        False, FLAG, "Pass on the deletion of more than half of 50 or more files without asking."
    )
    safety_pull_s: int = setting(
        900, seconds(10, 604800), "Ask the hub this often (give or take a quarter) when no push was heard."
    )
    arena: int = setting(8 * MIB, size(0, GIB), "Memory for file records and transfer buffers. It never grows.")
    window: int = setting(
        1280 * KIB,
        size(LEAST_WINDOW, 64 * MIB),
        "Of the arena: each of the buffers that are sent in turn; three, or two where the arena holds no more.",
    )
    sqlite_cache: int = setting(MIB, size(64 * KIB, GIB), "Page cache of the index.")
    ahead: int = setting(
        GIB,
        size(0, 1000 * GIB),
        "Large files are fetched while another device still uploads them. If it never finishes that was in vain:\n"
        "most bytes fetched in vain between two starts. 0: nothing is fetched before it is whole.",
    )

    def __post_init__(self) -> None:
        least = 2 * self.window + BESIDE_WINDOWS
        if self.arena < least:
            more = _short_size(BESIDE_WINDOWS)
            words = f"arena must hold two windows and {more} more: it must be {_short_size(least)} at least"
            if self.window > LEAST_WINDOW:
                smaller = _short_size(2 * LEAST_WINDOW + BESIDE_WINDOWS)
                words += f", or {smaller} with a window of {_short_size(LEAST_WINDOW)}"
            raise ValueError(words)


@dataclasses.dataclass(frozen=True, slots=True)
class HubSettings:
    """Settings of a hub. Times in seconds unless the name says days."""

    name: str = setting("", TEXT, "Name in announcements. Empty: the host's name.")
    listen: str = setting(f"*:{DEFAULT_PORT}", ADDRESS, "Where devices reach the hub.")
    listen_plain: str = setting(
        "",
        _OPTIONAL_ADDRESS,
        "Where devices reach the hub that lack the memory for TLS and were allowed to do without (`toastbox plain`):\n"
        "requests are signed, but can be read on the way. Empty: nowhere.",
    )
    announce: bool = setting(True, FLAG, "Announce the hub on the LAN by zeroconf.")
    retention_days: int = setting(90, count(0, 36500), "Old versions are kept at least this long.")
    retention_versions: int = setting(
        10, count(0, 1_000_000), "So many newest old versions of a path are kept however old they are."
    )
    prune_interval_s: int = setting(
        86400, seconds(0, 31_536_000), "How often old versions are pruned. 0: only by `toastbox prune`."
    )
    max_connections: int = setting(20_000, count(8, 1_000_000), "Connections at once, of all devices.")
    max_connections_per_device: int = setting(8, count(2, 1000), "Connections at once of one device.")
    max_body: int = setting(
        64 * MIB,
        size(MIB, 64 * MIB),
        "Largest request body. Refused devices make their batches smaller.",
    )
    header_timeout_s: int = setting(10, seconds(1, 300), "How long a peer may take to send a request's head.")


def load_agent(path: Path, defaults: Mapping[str, Any] = NOTHING) -> AgentSettings:
    """Settings of the agent whose config.toml is `path`; defaults for what it does not say. Raises WrongUse."""
    return _load(AgentSettings, path, defaults)


def with_board(settings: AgentSettings, path: Path) -> AgentSettings:
    """What the board's console wrote goes before these settings. path: of the same form, need not be there."""
    try:
        text = _read_file(path)
        said = parse(AgentSettings, text)
        return dataclasses.replace(settings, **{name: getattr(said, name) for name in _document(text)})
    except FileNotFoundError:
        return settings
    except (OSError, ValueError) as error:
        raise WrongUse(f"{path} cannot be read ({error}): remove it, and set it again at the console") from error


def load_hub(path: Path) -> HubSettings:
    """Settings of the hub whose config.toml is `path`; defaults when there is none. Raises WrongUse."""
    return _load(HubSettings, path, NOTHING)


def changed(settings: T, values: Mapping[str, Any]) -> T:
    """The settings with these in their place, as options of a command give them. WrongUse: says what is wrong."""
    fields = {field.name: field for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    checked = {}
    for name, value in values.items():
        try:
            checked[name] = fields[name].metadata["kind"].read(value)
        except ValueError as error:
            raise WrongUse(f"--{name.replace('_', '-')} must be {error}") from error
    try:
        return dataclasses.replace(settings, **checked)  # type: ignore[type-var]
    except ValueError as error:
        raise WrongUse(str(error)) from error


def example(table: type) -> str:
    """A TOML file in which every setting is explained and commented out, with its default."""
    lines = ["# Settings and their defaults. Remove the '# ' before a setting to change it.", ""]
    for field in dataclasses.fields(table):
        kind: Kind = field.metadata["kind"]
        lines += [f"## {line}" for line in field.metadata["words"].splitlines()]
        lines += [f"# {field.name} = {kind.write(field.default)}", ""]
    return "\n".join(lines)


def write_example(path: Path, table: type) -> None:
    """Put the example at `path`, and the folders above it, unless a file is there; nobody else may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError), open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(example(table))


def _load(table: type[T], path: Path, defaults: Mapping[str, Any]) -> T:
    try:
        return parse(table, _read_file(path), defaults)
    except FileNotFoundError:
        return table(**defaults)
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WrongUse(f"{path}: {error}") from error


def _read_file(path: Path) -> str:
    """A settings file whole. ValueError: it is none. Nothing waits for the other end of a pipe in its place."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no file but a device or a pipe")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"longer than {MAX_FILE} bytes: it is no settings file")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not text: mend it, or remove it for the defaults") from None


def _document(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply: it is no settings file") from None


def parse(table: type[T], text: str, defaults: Mapping[str, Any] = NOTHING) -> T:
    """A table of settings from TOML, defaults where it is silent. ValueError: names the key and what it may be."""
    fields = {field.name: field for field in dataclasses.fields(table)}  # type: ignore[arg-type]
    values = dict(defaults)
    for key, value in _document(text).items():
        if key not in fields:
            raise ValueError(f"there is no setting {key!r}; the settings are {', '.join(fields)}")
        kind: Kind = fields[key].metadata["kind"]
        try:
            values[key] = kind.read(value)
        except ValueError as error:
            raise ValueError(f"{key} must be {error}") from error
    return table(**values)
