"""What the file of a board may say, as tables of fields: each with its kind, its default and what it means.

    product, tier, memory, links, serial      what the board is
    [agent]                                   memory of the agent's parts, by the names of config.AgentSettings
    [system]                                  tier linux: what an image for it is made of
    [firmware]                                tier mcu: which MicroPython it runs
    [flash]                                   how it gets there, and what to do then
    [emulate]                                 how QEMU plays it, where it can

Every error names the key, as in `system.architecture`, and what it may be.
"""

import dataclasses
import re
import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

from toastbox.config import FLAG, GIB, KIB, MIB, AgentSettings, Kind, choice, count, size

T = TypeVar("T")

REQUIRED = object()
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
WORD = re.compile(r"[A-Za-z0-9@=][A-Za-z0-9@._+:=,/*-]{0,199}")
MAX_LIST = 64
MEMORY_KEYS = ("arena", "window", "sqlite_cache")


def _shown(value: Any) -> str:
    return str(value)


def _read_line(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise ValueError(f"one line of text, at most 200 characters, not {value!r}")
    return value


def _read_word(value: Any) -> str:
    if not isinstance(value, str) or not WORD.fullmatch(value):
        raise ValueError(f"one word of letters, digits and ._+:=,/*-, not {value!r}")
    return value


def many(kind: Kind) -> Kind:
    """A list of such values."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > MAX_LIST:
            raise ValueError(f"a list of at most {MAX_LIST} values, not {value!r}")
        try:
            return tuple(map(kind.read, value))
        except ValueError as error:
            raise ValueError(f"a list, in which each is {error}") from None

    return Kind(read, _shown)


LINE, WORD_KIND = Kind(_read_line, _shown), Kind(_read_word, _shown)
WORDS, LINES = many(WORD_KIND), many(LINE)
LINKS = many(choice("ethernet", "wifi", "usb"))


def field(kind: Kind, words: str, default: Any = REQUIRED) -> Any:
    """A key of a table. Without a default it must be there."""
    metadata = {"kind": kind, "words": words}
    if default is REQUIRED:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """What an SD image is made of."""

    architecture: str = field(choice("armel", "armhf", "arm64"), "Debian's name of what the processor runs")
    kernel: str = field(WORD_KIND, "Debian package of the kernel, a linux-image-...")
    early: tuple[str, ...] = field(WORDS, "modules the disk needs, loaded before the root is mounted", ())
    modules: tuple[str, ...] = field(WORDS, "modules loaded later: network, watchdog, USB gadget", ())
    device_tree: tuple[str, ...] = field(WORDS, "device trees of the kernel package, for the boot partition", ())
    overlays: tuple[str, ...] = field(WORDS, "device tree overlays that config.txt names", ())
    boot: str = field(choice("none", "raspberry"), "how the board finds its kernel; none: an emulator is told", "none")
    loader: tuple[str, ...] = field(WORDS, "files of raspi-firmware that start it", ())
    kernel_name: str = field(WORD_KIND, "the kernel's name in the boot partition", "kernel.img")
    config: tuple[str, ...] = field(LINES, "lines for the Raspberry's config.txt", ())
    firmware: tuple[str, ...] = field(WORDS, "firmware files of Wi-Fi, below /lib/firmware; * stands for any", ())
    nvram: tuple[str, ...] = field(
        WORDS, "NAME=FILE: settings of a radio under one more name, in /lib/firmware/brcm", ()
    )
    command_line: str = field(LINE, "more for the kernel's command line", "quiet")
    watchdog: bool = field(FLAG, "whether there is a watchdog in hardware, at /dev/watchdog", False)
    refused: str = field(LINE, "why no image can be made for it yet; -: one can", "-")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Firmware:
    """What a microcontroller runs."""

    port: str = field(choice("rp2", "esp32"), "MicroPython's port")
    build: str = field(WORD_KIND, "MicroPython's name of the board")
    native: str = field(choice("none", "armv6m", "armv7emsp", "xtensawin"), "which native modules it loads", "none")
    buffer: int = field(size(4 * KIB, 64 * KIB), "the one buffer for pages, chunks and hashes", 8704)
    entries: int = field(count(1, 1024), "entries of the journal taken at once", 8)
    volume: int = field(
        count(0, 1 << 32), "address of MicroPython's file system in flash; 0: it is not written whole", 0
    )
    volume_size: int = field(size(0, 64 * MIB), "its size", 0)
    chip: str = field(
        WORD_KIND, "what the maker's file is for: a UF2 family, or the chip number of an ESP image", "any"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flash:
    """How it gets there."""

    how: str = field(choice("card", "disk", "uf2", "esptool"), "card: an image on an SD card; disk: on any disk")
    next: str = field(LINE, "what a person does when it is written")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Emulate:
    """How QEMU plays it."""

    program: str = field(choice("qemu-system-arm", "qemu-system-aarch64"), "the emulator")
    machine: str = field(WORD_KIND, "-machine")
    cpu: str = field(WORD_KIND, "-cpu; none: the machine's own", "none")
    memory: int = field(size(32 * MIB, 8 * GIB), "-m")
    disk: str = field(choice("virtio", "sd"), "where the image is; sd: its size must be a power of two")
    network: str = field(choice("virtio", "usb"), "what the network card is")
    serial: int = field(count(0, 3), "which of its serial ports is the console", 0)
    command_line: str = field(LINE, "more for the kernel's command line, in the emulator only", "quiet")
    device_tree: str = field(WORD_KIND, "one of system.device_tree; none: the machine makes its own", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """One board, checked. agent: settings of config.AgentSettings that it changes."""

    name: str
    product: str
    tier: str
    memory: int
    links: tuple[str, ...]
    serial: tuple[str, ...]
    agent: dict[str, int]
    system: System | None
    firmware: Firmware | None
    flash: Flash
    emulate: Emulate | None

    def as_json(self) -> dict[str, Any]:
        """For programs: what the file says, with the defaults."""
        return dataclasses.asdict(self)


TOP: dict[str, Kind] = {
    "product": LINE,
    "tier": choice("linux", "mcu"),
    "memory": size(64 * KIB, 1024 * GIB),
    "links": LINKS,
    "serial": WORDS,
}
TABLES = ("agent", "system", "firmware", "flash", "emulate")


def parse(name: str, text: str) -> Board:
    """A board from TOML. ValueError: names the key and what it may be."""
    if not NAME.fullmatch(name):
        raise ValueError("a board's file is named by small letters, digits and -, at most 32")
    document = tomllib.loads(text)
    known = (*TOP, *TABLES)
    for key in document:
        if key not in known:
            raise ValueError(f"there is no key {key!r}; the keys are {', '.join(known)}")
    top = {key: _value(document, key, kind) for key, kind in TOP.items()}
    tables = {key: _inner(document, key) for key in TABLES}
    return Board(name=name, **top, **_sections(top["tier"], tables))


def _sections(tier: str, tables: dict[str, dict[str, Any] | None]) -> dict[str, Any]:
    """The tables of this tier: there must be those that it needs, and none that it cannot have."""
    needed, refused = (("agent", "system"), ("firmware",)) if tier == "linux" else (("firmware",), TABLES[:2])
    for key in (*needed, "flash"):
        if tables[key] is None:
            raise ValueError(f"[{key}] is missing: a board of tier {tier} needs it")
    for key in refused:
        if tables[key] is not None:
            raise ValueError(f"[{key}] must not be there: the tier is {tier}")
    return {
        "agent": _agent(tables["agent"] or {}),
        "system": _table(System, "system", tables["system"]),
        "firmware": _table(Firmware, "firmware", tables["firmware"]),
        "flash": _table(Flash, "flash", tables["flash"]),
        "emulate": _table(Emulate, "emulate", tables["emulate"]),
    }


def _inner(document: dict[str, Any], key: str) -> dict[str, Any] | None:
    value = document.get(key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key} must be a table, [{key}], not {value!r}")
    return value


def _value(table: dict[str, Any], key: str, kind: Kind, prefix: str = "") -> Any:
    if key not in table:
        raise ValueError(f"{prefix}{key} is missing")
    try:
        return kind.read(table[key])
    except ValueError as error:
        raise ValueError(f"{prefix}{key} must be {error}") from None


def _agent(values: dict[str, Any]) -> dict[str, int]:
    """Memory settings, each within the agent's own limits, and together too."""
    kinds = {key: AgentSettings.__dataclass_fields__[key].metadata["kind"] for key in MEMORY_KEYS}
    for key in values:
        if key not in kinds:
            raise ValueError(f"there is no key agent.{key}; the keys are {', '.join(kinds)}")
    read = {key: _value(values, key, kinds[key], "agent.") for key in values}
    try:
        AgentSettings(**read)
    except ValueError as error:
        raise ValueError(f"agent.{error}") from None
    return read


def _table(kind_of: Callable[..., T], prefix: str, values: dict[str, Any] | None) -> T | None:
    if values is None:
        return None
    fields = {field.name: field for field in dataclasses.fields(kind_of)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ValueError(f"there is no key {prefix}.{key}; the keys are {', '.join(fields)}")
    given = {}
    for key, one in fields.items():
        if key in values or one.default is dataclasses.MISSING:
            given[key] = _value(values, key, one.metadata["kind"], f"{prefix}.")
    return kind_of(**given)
