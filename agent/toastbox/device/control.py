"""How `toastbox status`, `pause`, `resume` and `sync` talk to a running agent.

An abstract unix socket (unix(7)): it needs no file, so nothing is left behind by a kill -9 and nothing is
written to the card. Its name is made from device and inode of FOLDER/.toastbox, so every path to the folder
leads to it. Abstract names belong to no user; both sides therefore ask the kernel who the other is
(SO_PEERCRED) and go on only with their own user or root.

Each message is one line of JSON: {"do": COMMAND, ...} of at most 64 KiB, answered by {"ok": true, ...} or
{"ok": false, "error": TEXT, "exit_code": N}. Commands: status, pause, resume, sync (see device/agent.py).
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from toastbox.errors import HostilePeer, SafetyRefused, ToastboxError

REQUEST_LIMIT = 64 << 10
ANSWER_LIMIT = 8 << 20  # a thousand held names of 4 KiB each, with their reasons
MOST_CONNECTIONS = 8
CONNECT_TIMEOUT_S = 2.0
_UCRED = struct.Struct("=iII")  # struct ucred: pid, uid, gid

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class RemoteFailure(ToastboxError):
    """What the running agent answered instead of doing it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def address(identity: tuple[int, int]) -> str:
    """Name of the socket for a state folder with this (device, inode)."""
    return "\0toastbox-{:x}-{:x}".format(*identity)


# --- the agent's side


class ControlServer:
    """Answers requests inside the running event loop. handler: a request's fields to an answer's.

    A ToastboxError of the handler becomes an answer; anything else is a bug and goes to the loop's handler.
    """

    def __init__(self, identity: tuple[int, int], handler: Handler) -> None:
        self._address = address(identity)
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """SafetyRefused: somebody else holds the name."""
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._address, limit=REQUEST_LIMIT)
        except OSError as error:
            raise SafetyRefused(f"another process holds this folder's control socket: {error.strerror}") from error

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if len(self._open) <= MOST_CONNECTIONS and _is_own(writer.get_extra_info("socket")):
                while line := await reader.readline():
                    writer.write(_encode(await self._answer(line)))
                    await writer.drain()
        except (ValueError, ConnectionError):  # ValueError: a longer line than any honest one
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("do"), str):
                raise ValueError("a request names what to do")
        except (ValueError, RecursionError) as error:
            return _failure(f"this is no request: {error}", 2)
        try:
            return {"ok": True, **await self._handler(request)}
        except ToastboxError as error:
            return _failure(str(error), error.exit_code)


def _failure(text: str, exit_code: int) -> dict[str, Any]:
    return {"ok": False, "error": text, "exit_code": exit_code}


def _encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _is_own(sock: socket.socket) -> bool:
    _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return user in (0, os.geteuid())


# --- the command's side


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
        if os.geteuid() != 0 and not _is_own(sock):
            raise HostilePeer("another user's process answers for this folder's agent")
        sock.settimeout(timeout_s)
        answer = _exchange(sock, request)
    if answer.get("ok") is not True:
        raise RemoteFailure(str(answer.get("error", "no reason")), int(answer.get("exit_code", 1)))
    return answer


def _exchange(sock: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    try:
        sock.sendall(_encode(request))
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
