"""The settings that a console may change: what each may be, which are secret. Values are text, "" is "not set".

Who keeps them and brings them into force is the edge's affair (device/console_board.py, the firmware). A kind of board
has more than these: a Pi what is in core/console_limits.py, a microcontroller what it says itself.
"""

MODES = ("two-way", "receive-only", "send-only")
HIDDEN = "(set)"
UNSET = "(not set)"


def _is_printable(text: str) -> bool:
    return all([ord(each) >= 32 and ord(each) != 127 and not 0x80 <= ord(each) < 0xA0 for each in text])


def is_ascii(text: str) -> bool:
    return all([32 <= ord(each) < 127 for each in text])


def check_hostname(text: str) -> str:
    """A label of RFC 1123, in lower case."""
    text = text.lower()
    good = all(["a" <= each <= "z" or "0" <= each <= "9" or each == "-" for each in text])
    if not good or not 0 < len(text) < 64 or text[0] == "-" or text[-1] == "-":
        raise ValueError("a host name has 1 to 63 letters, digits and hyphens, no hyphen at the ends")
    return text


def _check_name(text: str) -> str:
    if len(text.encode()) > 64 or not _is_printable(text):
        raise ValueError("a name has at most 64 printable bytes")
    return text


def _check_ssid(text: str) -> str:
    if len(text.encode()) > 32 or not _is_printable(text):
        raise ValueError("a Wi-Fi name has at most 32 printable bytes")
    return text


def _check_wifi_password(text: str) -> str:
    is_key = len(text) == 64 and all([each in "0123456789abcdefABCDEF" for each in text])
    if text and not is_key and not (8 <= len(text) <= 63 and is_ascii(text)):
        raise ValueError("a Wi-Fi password has 8 to 63 ASCII characters (or is a key of 64 hex digits)")
    return text


def _check_country(text: str) -> str:
    text = text.upper()
    if text and not (len(text) == 2 and all(["A" <= each <= "Z" for each in text])):
        raise ValueError("a country is two letters, as DE or GB")
    return text


def _check_ipv4(text: str) -> str:
    parts = text.split(".")
    for part in parts:
        digits = 0 < len(part) <= 3 and all(["0" <= each <= "9" for each in part])
        if not digits or int(part) > 255 or str(int(part)) != part:
            raise ValueError("an address is four numbers, as 192.168.1.20")
    if len(parts) != 4:
        raise ValueError("an address is four numbers, as 192.168.1.20")
    return text


def _check_optional_ipv4(text: str) -> str:
    return _check_ipv4(text) if text else ""


def _check_address(text: str) -> str:
    if text in ("", "dhcp"):
        return "dhcp"
    host, slash, prefix = text.partition("/")
    _check_ipv4(host)
    if not slash or prefix not in [str(size) for size in range(1, 32)]:
        raise ValueError("dhcp, or an address with its prefix, as 192.168.1.20/24")
    return text


def _check_hub(text: str) -> str:
    if not text:
        return ""
    host = text[8:]
    if text[:8] != "https://" or not host or len(text) > 200 or not is_ascii(text) or " " in text or "/" in host:
        raise ValueError("a hub is https://HOST:PORT, or nothing: then it is looked for on the LAN")
    return text


def _check_mode(text: str) -> str:
    if text not in MODES:
        raise ValueError("a mode is one of two-way, receive-only, send-only")
    return text


def _check_console_password(text: str) -> str:
    if text and not (8 <= len(text) <= 64 and is_ascii(text)):
        raise ValueError("a console password has 8 to 64 ASCII characters; empty removes it")
    return text


# key: (check, default, secret, words). check returns the value as it is kept, or raises ValueError.
SETTINGS = {
    "hostname": (check_hostname, "toastbox", False, "name of the board on the network"),
    "name": (_check_name, "", False, "name of the device in conflict copies (as hostname when not set)"),
    "wifi.ssid": (_check_ssid, "", False, "name of the Wi-Fi network"),
    "wifi.password": (_check_wifi_password, "", True, "its password"),
    "wifi.country": (_check_country, "", False, "two letters: which channels are allowed"),
    "network.address": (_check_address, "dhcp", False, "dhcp, or ADDRESS/PREFIX"),
    "network.gateway": (_check_optional_ipv4, "", False, "with a fixed address: the way out"),
    "network.dns": (_check_optional_ipv4, "", False, "with a fixed address: who knows names"),
    "hub": (_check_hub, "", False, "https://HOST:PORT; not set: looked for on the LAN"),
    "mode": (_check_mode, "two-way", False, "two-way, receive-only or send-only"),
    "console.password": (_check_console_password, "", True, "asked for before anything else here"),
}

# What a microcontroller has beyond these (firmware/toaster/console.py), for clients that check what they send.
OF_TOASTERS = ("only", "append", "announce", "push", "safety", "scan")


def add(settings: dict) -> None:  # type: ignore[type-arg]
    """What this kind of board has beyond the others: rows of SETTINGS."""
    SETTINGS.update(settings)


def names() -> list[str]:
    return sorted(SETTINGS)


def is_secret(key: str) -> bool:
    return key in SETTINGS and SETTINGS[key][2]


def check(key: str, value: str) -> str:
    """The value as it is kept. Raises ValueError, saying what it may be; a secret is never repeated."""
    if key not in SETTINGS:
        raise ValueError("there is no setting " + key[:40] + "; 'show' lists them")
    return SETTINGS[key][0](value)


def default(key: str) -> str:
    return SETTINGS[key][1]


def shown(key: str, value: str) -> str:
    """The value for people and programs: of a secret only whether there is one."""
    if is_secret(key):
        return HIDDEN if value else UNSET
    return value
