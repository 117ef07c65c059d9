"""Which machine this is, as far as it shows: the addresses that its network hardware was made with.

A card that is copied whole takes everything along that is written on it, inode numbers too. Two hubs then give the same
numbers to other entries, and devices that meet first one and then the other would miss changes in silence. Only the
hardware is another. Containers have none of their own, and are told from nobody.
"""

from contextlib import suppress
from pathlib import Path

MADE_WITH = "0"  # addr_assign_type: neither drawn at random, nor set by somebody (NET_ADDR_PERM, linux/netdevice.h)
NETWORK = Path("/sys/class/net")


def hardware_addresses(network: Path = NETWORK) -> list[str]:
    """Sorted; empty where there is no hardware, or the system does not tell."""
    found = set()
    with suppress(OSError):
        for interface in network.iterdir():
            with suppress(OSError):
                address = (interface / "address").read_text().strip()
                made_with = (interface / "addr_assign_type").read_text().strip() == MADE_WITH
                if made_with and (interface / "device").exists() and address.strip("0:"):
                    found.add(address)
    return sorted(found)


def is_another(known: object, now: list[str]) -> bool:
    """Whether what was written down is of another machine for certain. A card reader or an antenna may come and go."""
    return isinstance(known, list) and bool(known) and bool(now) and not set(map(str, known)) & set(now)
