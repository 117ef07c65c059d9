"""Links, addresses and Wi-Fi networks as the kernel tells them, read without other programs where possible."""

import socket
import struct
from array import array
from fcntl import ioctl
from pathlib import Path
from typing import Any

from toastbox.device import console_wifi

CARDS = Path("/sys/class/net")
SIOCGIFADDR = 0x8915
SIOCGIWESSID = 0x8B1B
MAX_NETWORKS = 40


def cards() -> list[str]:
    try:
        return sorted(path.name for path in CARDS.iterdir() if path.name != "lo" and path.is_dir())
    except OSError:
        return []


def wireless() -> list[str]:
    return [name for name in cards() if (CARDS / name / "wireless").exists() or (CARDS / name / "phy80211").exists()]


def ipv4(card: str) -> str:
    """Its first IPv4 address; "": none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = ioctl(sock.fileno(), SIOCGIFADDR, struct.pack("256s", card.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def network_of(card: str) -> str | None:
    """The Wi-Fi network that it has joined (wireless extensions); "": none; None: its driver does not tell."""
    name = array("B", bytes(36))
    request = struct.pack("16sPHH", card.encode()[:15], name.buffer_info()[0], 32, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = ioctl(sock.fileno(), SIOCGIWESSID, request)
        except OSError:
            return None
    size = struct.unpack("16sPHH", answer[: struct.calcsize("16sPHH")])[2]
    return name.tobytes()[:size].rstrip(b"\0").decode("utf-8", "replace")


def describe() -> dict[str, Any]:
    """For each card its state, hardware and IP addresses; then the way out and who knows names."""
    found: dict[str, Any] = {}
    for card in cards():
        state = _text(CARDS / card / "operstate")
        mac = _text(CARDS / card / "address")
        found[card] = {"state": state, "mac": mac, "addresses": [each for each in (ipv4(card), *_ipv6(card)) if each]}
        if wifi := console_wifi.state(card) if card in wireless() else {}:
            found[card]["wifi"] = wifi
    found["gateway"] = parse_gateway(_text(Path("/proc/net/route")))
    lines = _text(Path("/etc/resolv.conf")).splitlines()
    found["dns"] = [line.split()[1] for line in lines if line.startswith("nameserver ") and len(line.split()) > 1]
    return found


def parse_gateway(table: str) -> str:
    """The way out in /proc/net/route, whose addresses are little-endian hex; "": none."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[1] == "00000000" and int(fields[3], 16) & 2:
            return socket.inet_ntoa(struct.pack("<I", int(fields[2], 16)))
    return ""


def _ipv6(card: str) -> list[str]:
    rows = [line.split() for line in _text(Path("/proc/net/if_inet6")).splitlines()]
    return [
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0])) for row in rows if len(row) == 6 and row[5] == card
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


# --- Wi-Fi


def parse_iw(text: str) -> list[dict[str, Any]]:
    """`iw dev CARD scan`: strongest first, each name once, hidden ones not."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        if line.startswith("BSS "):
            found.append({"ssid": "", "signal": -100, "security": "open"})
            continue
        if not found:
            continue
        name, _, value = line.strip().partition(":")
        if name == "SSID":
            found[-1]["ssid"] = _unescaped(value.strip())
        elif name == "signal":
            found[-1]["signal"] = int(float(value.split()[0]))
        else:
            found[-1]["security"] = _security(found[-1]["security"], line.strip())
    return _strongest(found)


def _security(before: str, line: str) -> str:
    order = ("open", "wep", "wpa", "wpa2", "wpa3")
    now = "open"
    if line.startswith("capability:") and "Privacy" in line:
        now = "wep"
    elif line.startswith("WPA:"):
        now = "wpa"
    elif line.startswith("RSN:"):
        now = "wpa2"
    elif line.startswith("* Authentication suites:") and "SAE" in line:
        now = "wpa3"
    return max(before, now, key=order.index)


def _unescaped(text: str) -> str:
    """iw writes bytes that are not printable ASCII as \\xNN."""
    raw = text.encode("utf-8", "replace").decode("unicode_escape", "replace") if "\\x" in text else text
    try:
        return raw.encode("latin-1").decode() if raw != text else text
    except UnicodeError:
        return raw


def parse_hook_scan(text: str) -> list[dict[str, Any]]:
    """Lines SIGNAL, SECURITY, NAME of an image's own program."""
    found = []
    for line in text.splitlines():
        fields = line.split("\t", 2)
        if len(fields) == 3 and fields[0].lstrip("-").isdecimal():
            found.append({"ssid": fields[2], "signal": int(fields[0]), "security": fields[1] or "open"})
    return _strongest(found)


def _strongest(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    best: dict[str, dict[str, Any]] = {}
    for each in sorted(found, key=lambda each: -each["signal"]):
        if each["ssid"].strip("\0"):
            best.setdefault(each["ssid"], each)
    return list(best.values())[:MAX_NETWORKS]
