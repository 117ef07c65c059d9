"""What the tests of the hub's client share."""

import hashlib
import json

from authority import authority
from scripted import ScriptedServer
from toastbox.core.bundle import chunk_head
from toastbox.device.remote import HubClient


def client(server: ScriptedServer, **settings) -> HubClient:
    return HubClient(authority().credentials(server.url), **settings)


def problem(status: int, code: str, **extra) -> bytes:
    return json.dumps({"title": "a title", "status": status, "code": code, **extra}).encode()


def chunk(data: bytes) -> tuple[bytes, bytes]:
    """(hash, bundle record)."""
    digest = hashlib.sha256(data).digest()
    return digest, chunk_head(digest, len(data)) + data
