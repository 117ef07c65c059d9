"""How commands reach a running hub: a unix socket in its data folder, for its owner (0600) only.

One line of JSON each way: {"do": NAME, "with": {...}} is answered by {"ok": true, "result": ...} or {"ok": false,
"error": TEXT, "exit_code": N}. The operations are those of hub/operations.py.
"""

import asyncio
import contextlib
import json
import os
import socket
from typing import Any

from toastbox.errors import DeviceFailing, ToastboxError
from toastbox.hub.operations import Operations

NAME = "control"
LINE_LIMIT = 64 << 10
ANSWER_LIMIT = 64 << 20
CONNECT_TIMEOUT_S = 2.0
_CLIENTS = 8


class OperationFailed(ToastboxError):
    """What the running hub answered instead of doing it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ControlServer:
    """Serves operations on the socket of a data folder whose lock this process holds."""

    def __init__(self, path: str, operations: Operations) -> None:
        self._path = path
        self._operations = operations
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        sock = _listen(self._path)
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=LINE_LIMIT)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._clients:
                writer.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._path, NAME))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            if len(self._clients) <= _CLIENTS and (line := await reader.readline()):
                answer = await asyncio.to_thread(self._answer, line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):  # ValueError: a line that is too long
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"ok": True, "result": self._operations.do(request["do"], request["with"])}
        except ToastboxError as error:
            return {"ok": False, "error": str(error), "exit_code": error.exit_code}
        except (ValueError, KeyError, TypeError) as error:
            return {"ok": False, "error": f"not a request: {error}", "exit_code": 2}


def ask(path: str, name: str, arguments: dict[str, Any]) -> Any:
    """The result of an operation of the hub that runs on a data folder.

    Raises ConnectionError or FileNotFoundError if none runs, OperationFailed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(CONNECT_TIMEOUT_S)
        with _short_name(path) as address:
            sock.connect(address)
        sock.settimeout(None)
        sock.sendall(json.dumps({"do": name, "with": arguments}).encode() + b"\n")
        with sock.makefile("rb") as answers:
            line = answers.readline(ANSWER_LIMIT)
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise DeviceFailing("the hub ended before it answered") from error
    if not answer["ok"]:
        raise OperationFailed(answer["error"], answer["exit_code"])
    return answer["result"]


def _listen(path: str) -> socket.socket:
    """A listening socket, 0600 from its first moment. What an earlier hub left behind is removed."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, NAME))
    os.fchmod(sock.fileno(), 0o600)
    before = os.umask(0o177)
    try:
        with _short_name(path) as address:
            sock.bind(address)
    finally:
        os.umask(before)
    sock.listen(_CLIENTS)
    return sock


@contextlib.contextmanager
def _short_name(path: str) -> Any:
    """The socket's name by way of a descriptor: the kernel takes 107 bytes, a path may have more."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)
