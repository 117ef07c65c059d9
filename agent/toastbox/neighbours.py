"""What is said and believed on a LAN: service names and TXT records (RFC 6763). Pure; the network is in announce.py.

TXT keys: txtvers=1, role (hub or device), id (of a hub the first 16 bytes of its certificate's SHA-256 in hex, of a
device its number), fh (folder hashes, separated by commas: a hub may have several, or tell none), v (program's
version), name. Nothing secret, and nothing that is believed: it only says where a connection is worth a try.

Whatever comes in may come from anyone: every field has one form, everything is bounded, and what does not fit is
dropped whole.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

SERVICE_TYPE = "_toastbox._tcp.local."
TXT_VERSION = "1"
HUB, DEVICE = "hub", "device"

MAX_LABEL = 63  # RFC 6763, section 4.1.1: an instance name, bytes of UTF-8
ROOM_FOR_NUMBER = 5  # what renaming after a conflict may add (RFC 6762, section 9)
MAX_NAME = 64  # characters of a name
MAX_FOLDERS = 14  # as many hashes as a TXT string of 255 bytes holds
MAX_ADDRESSES = 16
MAX_SERVICES = 1000
HASH_DIGITS = 16
HUB_DIGITS = 32


class Service(NamedTuple):
    """What this process offers. folders: folder_hash of each; id: see above."""

    role: str
    id: str
    name: str
    port: int
    folders: tuple[str, ...] = ()
    version: str = ""


class Found(NamedTuple):
    """What somebody claims to offer. url: at the address that is probably nearest."""

    role: str
    id: str
    name: str
    url: str
    address: str
    port: int
    folders: tuple[str, ...]
    version: str


def folder_hash(folder: str) -> str:
    """16 hex digits that tell folders (32 hex digits) apart without naming them."""
    return hashlib.sha256(bytes.fromhex(folder)).hexdigest()[:HASH_DIGITS]


def hub_id(certificate: bytes) -> str:
    """The id of the hub with this certificate (DER): what a pairing code carries, in hex."""
    return hashlib.sha256(certificate).hexdigest()[:HUB_DIGITS]


def instance_label(service: Service) -> str:
    """The instance name: the service's name and what makes it unique among its like.

    Two hubs on boards fresh from the same image start with the same name at the same moment after a power cut, which
    probing does not notice: so names differ by themselves, and renaming is for the rest. Dots would split the name.
    """
    tag = service.id[:6] if service.role == HUB else "-".join((service.id, *(fh[:6] for fh in service.folders[:1])))
    end = f" ({service.role} {tag})"
    name = printable(service.name).replace(".", " ").strip() or "toastbox"
    return cut(name, MAX_LABEL - ROOM_FOR_NUMBER - len(end)) + end


def txt_of(service: Service) -> dict[str, str]:
    return {
        "txtvers": TXT_VERSION,
        "role": service.role,
        "id": service.id,
        "fh": ",".join(service.folders[:MAX_FOLDERS]),
        "v": service.version[:32],
        "name": cut(printable(service.name), MAX_LABEL),
    }


def read_service(txt: Mapping[bytes, bytes | None], port: int | None, address: str) -> Found | None:
    """A claim in its one right form, or None. txt: as zeroconf gives it. address: where it is to be tried."""
    values = {key: _text(value) for key, value in txt.items() if len(key) <= 16}
    role, identifier = values.get(b"role", ""), values.get(b"id", "")
    if values.get(b"txtvers") != TXT_VERSION or not port or not 0 < port < 65536 or not address:
        return None
    if not ((role == HUB and _is_hex(identifier, HUB_DIGITS)) or (role == DEVICE and _is_number(identifier))):
        return None
    folders = tuple(values.get(b"fh", "").split(",")) if values.get(b"fh") else ()
    if len(folders) > MAX_FOLDERS or not all(_is_hex(each, HASH_DIGITS) for each in folders):
        return None
    host = f"[{address}]" if ":" in address else address
    name, version = printable(values.get(b"name", ""))[:MAX_NAME], printable(values.get(b"v", ""))[:32]
    return Found(role, identifier, name, f"https://{host}:{port}", address, port, folders, version)


class Neighbours:
    """Who is there, by instance name; at most MAX_SERVICES: a flood of lies does not push out who came before."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}

    def __len__(self) -> int:
        return len(self._found)

    def put(self, instance: str, found: Found) -> bool:
        """Whether this is news."""
        key = instance.lower()  # DNS names compare without case
        if self._found.get(key) == found or (key not in self._found and len(self) >= MAX_SERVICES):
            return False
        self._found[key] = found
        return True

    def remove(self, instance: str) -> Found | None:
        """What has gone; None: it was not known."""
        return self._found.pop(instance.lower(), None)

    def all(self) -> list[Found]:
        """Hubs first, then by name."""
        return sorted(self._found.values(), key=lambda each: (each.role != HUB, each.name, each.id, each.url))


# --- text


def printable(text: str) -> str:
    """Without what would move a terminal's cursor or hide."""
    return "".join(letter for letter in text if letter.isprintable())


def cut(text: str, size: int) -> str:
    """The longest beginning of at most size bytes of UTF-8."""
    return text.encode()[:size].decode("utf-8", "ignore").rstrip()


def _text(value: bytes | None) -> str:
    try:
        return (value or b"")[:255].decode()
    except UnicodeDecodeError:
        return ""


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and not set(text) - set("0123456789abcdef")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and text[0] != "0" and len(text) <= 10 and int(text) < 2**32


def joined(addresses: Iterable[str]) -> tuple[str, ...]:
    """Addresses without doubles, bounded."""
    return tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]
