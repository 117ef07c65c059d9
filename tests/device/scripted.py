"""An HTTPS server that does exactly what a test says, byte by byte, good manners or not."""

import socket
import ssl
import threading
from collections.abc import Callable
from typing import BinaryIO

from authority import authority


class Request:
    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body


class Connection:
    """One accepted connection. Scripts read requests from it and send what they like."""

    def __init__(self, sock: ssl.SSLSocket, requests: list[Request]) -> None:
        self.socket = sock
        self._file: BinaryIO = sock.makefile("rb")
        self._requests = requests

    def receive(self) -> Request | None:
        """The next request; None when the client has gone."""
        line = self._file.readline().decode()
        if not line:
            return None
        method, target, _ = line.split()
        headers = {}
        while line := self._file.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        request = Request(method, target, headers, self._file.read(int(headers.get("content-length", 0))))
        self._requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, body: bytes = b"", status: int = 200, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)


Script = Callable[[Connection], None]


class ScriptedServer:
    """Runs scripts in turn, one for each connection, the last one for all further ones."""

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._scripts = list(scripts)
        self._context = context or authority().server_context()
        self._listening = socket.create_server((host, 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"https://{host}:{self.port}"
        self.requests: list[Request] = []
        self.connections = 0
        self.errors: list[Exception] = []
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> "ScriptedServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in self._open:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in self._threads)

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listening.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(raw, script), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket, script: Script) -> None:
        try:
            secured = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            self._open.append(secured)
            secured.do_handshake()
            with secured:
                script(Connection(secured, self.requests))
        except (OSError, ValueError) as error:  # the client broke off, as many tests want
            self.errors.append(error)


def answering(body: bytes = b"", status: int = 200, *headers: str) -> Script:
    """A well-behaved server that gives the same answer to everything."""

    def script(connection: Connection) -> None:
        while connection.receive():
            connection.answer(body, status, *headers)

    return script
