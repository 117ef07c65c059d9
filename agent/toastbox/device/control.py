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
from collections.abc import Awaitable, Callable
from typing import Any

from toastbox.device.asking import RemoteFailure, address, ask, encode, is_own
from toastbox.errors import SafetyRefused, ToastboxError

__all__ = ["ControlServer", "RemoteFailure", "address", "ask"]

REQUEST_LIMIT = 64 << 10
MOST_CONNECTIONS = 8

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


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
            if len(self._open) <= MOST_CONNECTIONS and is_own(writer.get_extra_info("socket")):
                while line := await reader.readline():
                    writer.write(encode(await self._answer(line)))
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
