"""The least client of a hub: pairs, uploads chunks, commits new files (docs/SPEC.md, sections 2, 3, 4 and 6).

It shares the wire format with the program (toastbox.core) and nothing else, so that it costs little beside the
hub it measures.
"""

import hashlib
import http.client
import json
import os
import ssl

from toastbox.core import auth, bundle, pairing, wire
from toastbox.core.entry import FILE, Entry
from toastbox.core.errors import WireError
from tools.bench.errors import ProgramFailed

TIMEOUT_S = 60.0


class HubClient:
    """One paired device's connection, kept open."""

    def __init__(self, port: int, device: int, key: bytes, epoch: int) -> None:
        self._headers = {
            "Authorization": f"Toastbox {device}:{auth.token(key)}",
            "Content-Type": "application/octet-stream",
        }
        self._epoch = epoch
        self._connection = _connect(port)

    def save(self, files: list[tuple[str, bytes]]) -> None:
        """Uploads and commits new files of one chunk each; raises ProgramFailed unless all are committed."""
        chunks, records = [], []
        for name, content in files:
            digest = hashlib.sha256(content).digest()
            chunks += [bundle.chunk_head(digest, len(content)), content]
            entry = Entry(name.encode(), FILE, size=len(content), content=digest)
            records.append(wire.encode_entry(entry, wire.CONTENT))
        self._post("/v1/chunks", b"".join(chunks))
        answer = self._post("/v1/commit", wire.encode_commit(self._epoch, 0, records))
        _require_committed(answer, len(files))

    def _post(self, path: str, body: bytes) -> bytes:
        return _request(self._connection, path, body, self._headers)


def pair(code: str, port: int, name: str) -> HubClient:
    """Pairs a new device by its code."""
    _, secret = pairing.decode_code(code)
    key = os.urandom(32)
    body = json.dumps({"secret": secret.hex(), "name": name, "key": key.hex()}).encode()
    connection = _connect(port)
    answer = json.loads(_request(connection, "/v1/pair", body, {"Content-Type": "application/json"}))
    connection.close()
    return HubClient(port, answer["device"], key, int(answer["epoch"]))


def _require_committed(answer: bytes, count: int) -> None:
    try:
        statuses = [status for status, _ in wire.decode_answer(answer).results]
    except WireError as error:
        raise ProgramFailed(f"the hub's answer to a commit: {error}") from error
    if statuses != [wire.COMMITTED] * count:
        raise ProgramFailed(f"the hub answered a commit of {count} new files with {statuses}")


def _connect(port: int) -> http.client.HTTPSConnection:
    """A connection on the loopback to the hub this benchmark started: its certificate is not judged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)


def _request(connection: http.client.HTTPSConnection, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ProgramFailed(f"POST {path}: {error!r}") from error
    if answer.status != 200:
        raise ProgramFailed(f"POST {path}: {answer.status} {content[:300].decode(errors='replace')}")
    return content
