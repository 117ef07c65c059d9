"""The asking side of a running agent's control socket (device/control.py), without what only the answering side needs:
a board's console stays resident and has no use for an event loop.
"""

import json
import os
import socket
import struct
from typing import Any

from toastbox.errors import HostilePeer, ToastboxError

ANSWER_LIMIT = 8 << 20  # a thousand held names of 4 KiB each, with their reasons
CONNECT_TIMEOUT_S = 2.0
_UCRED = struct.Struct("=iII")  # struct ucred: pid, uid, gid


class RemoteFailure(ToastboxError):
    """What the running agent answered instead of doing it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def address(identity: tuple[int, int]) -> str:
    """Name of the socket for a state folder with this (device, inode)."""
    return "\0toastbox-{:x}-{:x}".format(*identity)


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def is_own(sock: socket.socket) -> bool:
    """Whether the other end is this user's or root's."""
    _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return user in (0, os.geteuid())


def ask(
    identity: tuple[int, int], request: dict[str, Any], timeout_s: float | None = CONNECT_TIMEOUT_S
) -> dict[str, Any] | None:
    """Ask the agent of a state folder; None when none runs. timeout_s: of the answer; None waits for ever.

    RemoteFailure: it refused. HostilePeer: what answers is not an agent of this user.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(CONNECT_TIMEOUT_S)
        try:
            sock.connect(address(identity))
        except ConnectionRefusedError:
            return None
        if os.geteuid() != 0 and not is_own(sock):
            raise HostilePeer("another user's process answers for this folder's agent")
        sock.settimeout(timeout_s)
        answer = _exchange(sock, request)
    if answer.get("ok") is not True:
        raise RemoteFailure(str(answer.get("error", "no reason")), int(answer.get("exit_code", 1)))
    return answer


def _exchange(sock: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    try:
        sock.sendall(encode(request))
        with sock.makefile("rb") as answers:
            line = answers.readline(ANSWER_LIMIT)
        answer = json.loads(line)
    except TimeoutError as error:
        raise RemoteFailure("the agent does not answer: is it stopped?", 1) from error
    except (OSError, ValueError) as error:
        raise RemoteFailure("the agent ended before it answered", 1) from error
    if not isinstance(answer, dict):
        raise HostilePeer("the agent's answer is not one")
    return answer
