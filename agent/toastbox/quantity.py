"""Quantities as people write them: `8MiB`, `500kB`, `10m`, `1d`, `HOST:PORT`; and back.

Every parser takes text and raises ValueError saying what it would have taken.
"""

BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _scaled(text: str, units: dict[str, int], example: str) -> int:
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text.strip()[len(digits) :].strip().lower()
    if unit not in units or len(digits) > 18:
        raise ValueError(f"a number and a unit such as {example}, not {text!r}")
    try:
        value = float(digits) if "." in digits else int(digits)
    except ValueError:
        raise ValueError(f"a number and a unit such as {example}, not {text!r}") from None
    if value < 0:
        raise ValueError(f"not negative, as {text!r} is")
    return int(value * units[unit])


def parse_bytes(text: str) -> int:
    """Bytes from `512`, `8MiB` (2**20), `500kB` (10**3), `1.5 GB`; units in any case."""
    return _scaled(text, BYTES, "8MiB or 500kB")


def parse_seconds(text: str) -> int:
    """Whole seconds from `90`, `90s`, `10m`, `2h`, `1d`, `1w`."""
    return _scaled(text, SECONDS, "10m or 1d")


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) from `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `*:PORT` (host "": every address).

    Port 0: any that is free.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address in brackets, as in [::1]:8269, not {text!r}")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"HOST:PORT with a port of 0 to 65535, not {text!r}")
    return "" if host == "*" else host, int(port)


def show_address(host: str, port: int) -> str:
    """The inverse of parse_address."""
    return f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"


def show_bytes(count: int) -> str:
    """`512 B`, `8.0 KiB`, `1.5 GiB`: three figures or so, for people."""
    steps = max(0, min((count.bit_length() - 1) // 10, 4))
    unit = ("B", "KiB", "MiB", "GiB", "TiB")[steps]
    return f"{count} B" if steps == 0 else f"{count / (1 << 10 * steps):.1f} {unit}"
