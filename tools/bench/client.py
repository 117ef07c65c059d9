"""The least client of a hub: pairs, uploads chunks, commits new files (docs/SPEC.md, sections 2, 3, 4 and 6).

Written from the specification alone and not from the program, so that it measures the hub and not our agent.
"""

import hashlib
import hmac
import http.client
import json
import os
import ssl
import struct

from tools.bench.errors import ProgramFailed

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32
CODE_PREFIX = "TBX1-"
FILE_KIND = 1
FORM_CONTENT = 1
TIMEOUT_S = 60.0

# kind, flags, path length, revision replaced, time, size, device, form, padding: section 2, from offset 4
RECORD = struct.Struct("<BBHQqQIB3x")
COMMIT_HEAD = struct.Struct("<4sIQII")
ANSWER_HEAD = struct.Struct("<4sIQQ")
STATUS = struct.Struct("<IIQ")


class HubClient:
    """One paired device's connection, kept open."""

    def __init__(self, port: int, device: int, key: bytes, epoch: int) -> None:
        token = hmac.digest(key, b"toastbox token 1", "sha256").hex()
        self._headers = {
            "Authorization": f"Toastbox {device}:{token}",
            "Content-Type": "application/octet-stream",
        }
        self._epoch = epoch
        self._connection = _connect(port)

    def save(self, files: list[tuple[str, bytes]]) -> None:
        """Uploads and commits new files of one chunk each; raises ProgramFailed unless all are committed."""
        named = [(name.encode(), hashlib.sha256(content).digest(), content) for name, content in files]
        self._post("/v1/chunks", b"".join(_bundle_item(digest, content) for _, digest, content in named))
        records = b"".join(_record(path, digest, len(content)) for path, digest, content in named)
        head = COMMIT_HEAD.pack(b"TBC1", len(named), self._epoch, 0, 0)
        answer = self._post("/v1/commit", head + records)
        for offset in range(ANSWER_HEAD.size, len(answer), STATUS.size):
            status, _, _ = STATUS.unpack_from(answer, offset)
            if status != 0:
                raise ProgramFailed(f"the hub answered a commit of new files with status {status}")
        if len(answer) != ANSWER_HEAD.size + STATUS.size * len(named):
            raise ProgramFailed(f"the hub's answer to {len(named)} records has {len(answer)} bytes")

    def _post(self, path: str, body: bytes) -> bytes:
        return _request(self._connection, path, body, self._headers)


def pair(code: str, port: int, name: str) -> HubClient:
    """Pairs a new device by its code."""
    secret = _decode(code)[17:27]
    key = os.urandom(32)
    body = json.dumps({"secret": secret.hex(), "name": name, "key": key.hex()}).encode()
    connection = _connect(port)
    answer = json.loads(_request(connection, "/v1/pair", body, {"Content-Type": "application/json"}))
    connection.close()
    return HubClient(port, answer["device"], key, int(answer["epoch"]))


def _connect(port: int) -> http.client.HTTPSConnection:
    """A connection on the loopback to the hub this benchmark started: its certificate is not judged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)


def _request(
    connection: http.client.HTTPSConnection, path: str, body: bytes, headers: dict[str, str]
) -> bytes:
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ProgramFailed(f"POST {path}: {error!r}") from error
    if answer.status != 200:
        raise ProgramFailed(f"POST {path}: {answer.status} {content[:300].decode(errors='replace')}")
    return content


def _bundle_item(digest: bytes, content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + digest + content


def _record(path: bytes, digest: bytes, size_bytes: int) -> bytes:
    fixed = RECORD.pack(FILE_KIND, 0, len(path), 0, 0, size_bytes, 0, FORM_CONTENT)
    return struct.pack("<I", len(fixed) + len(path) + len(digest)) + fixed + path + digest


def _decode(code: str) -> bytes:
    """The 29 bytes of a pairing code; bits left over at its end are padding."""
    digits = code.upper().removeprefix(CODE_PREFIX).replace("-", "").replace(" ", "")
    number = 0
    for digit in digits:
        number = number * 32 + ALPHABET.index(digit)
    return (number >> (len(digits) * 5 % 8)).to_bytes(len(digits) * 5 // 8, "big")
