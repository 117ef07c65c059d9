"""What wpa_supplicant says of a card: over the control socket that our images open (its ctrl_interface).

One datagram asks, one answers. A wrong password is not told as such: in the handshake the two ends only see that they
do not agree. The card then leaves that network alone for a time (TEMP-DISABLED), longer after each failure.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # imported when it is used: a console that nobody asks stays small
    import socket

CONTROL = "/run/wpa_supplicant"
TIMEOUT_S = 2.0
MAX_ANSWER = 65536

JOINED = "joined"
REFUSED = "refused: is wifi.password right?"
UNSEEN = "not in sight"
JOINING = "joining"
SECURITY = "in sight, but not joined: is its security another one?"
_ON_THE_WAY = ("AUTHENTICATING", "ASSOCIATING", "ASSOCIATED", "4WAY_HANDSHAKE", "GROUP_HANDSHAKE")


def state(card: str, folder: str = CONTROL) -> dict[str, str]:
    """`network` and `state` (text for people) of the network that the card is to join; {}: none, or nobody tells."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT_S)
            sock.bind("")  # a name of the kernel's choice, to be answered at
            sock.connect(os.path.join(folder, card))
            return _state(sock)
    except OSError:  # no wpa_supplicant for this card, or one that is just ending
        return {}


def _state(sock: socket.socket) -> dict[str, str]:
    networks = _ask(sock, "LIST_NETWORKS").splitlines()[1:]
    if not networks:
        return {}
    fields = [*networks[0].split("\t"), "", "", ""]
    name, flags = unescaped(fields[1]), fields[3]
    return {"network": name, "state": _text(sock, name, flags)}


def _text(sock: socket.socket, name: str, flags: str) -> str:
    now = _value(_ask(sock, "STATUS"), "wpa_state")
    if now == "COMPLETED":
        return JOINED
    if "[TEMP-DISABLED]" in flags:
        return REFUSED
    if now in _ON_THE_WAY:
        return JOINING
    seen = [unescaped(line.split("\t")[-1]) for line in _ask(sock, "SCAN_RESULTS").splitlines()[1:]]
    return SECURITY if name in seen else UNSEEN


def _ask(sock: socket.socket, command: str) -> str:
    sock.send(command.encode())
    return sock.recv(MAX_ANSWER).decode("utf-8", "replace")


def unescaped(text: str) -> str:
    """It writes bytes that are not printable ASCII as \\xNN, and a backslash twice."""
    return text.encode("ascii", "replace").decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def _value(text: str, key: str) -> str:
    return next((line.partition("=")[2] for line in text.splitlines() if line.startswith(key + "=")), "")
