"""What this device was told: one record, conf/settings. Bytes are text in it, as it is JSON."""

import json
from binascii import a2b_base64, b2a_base64, hexlify

import store

_BYTES = ("key", "certificate")


def load(name):
    """A dictionary; empty when there is no whole record."""
    data = store.read(name)
    settings = json.loads(data) if data else {}
    for field in _BYTES:
        if field in settings:
            settings[field] = a2b_base64(settings[field])
    return settings


def paired(host, port, fingerprint, told, key):
    """Settings of a board that was just paired. told: the hub's answer."""
    found = {name: told[name] for name in ("device", "name", "folder")}
    found.update({"hub": host, "port": port, "hub_id": hexlify(fingerprint).decode(), "key": key})
    return found


def save(name, settings):
    """Raises OSError; then the old record holds."""
    plain = dict(settings)
    for field in _BYTES:
        if field in plain:
            plain[field] = b2a_base64(plain[field]).decode().strip()
    store.write(name, json.dumps(plain).encode())
