"""A hub that has nothing but an event stream. Argument: its address. Prints the credentials of one device."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "device"))

from authority import authority
from scripted import Connection, ScriptedServer
from toastbox.core.sse import encode_event

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def stream(connection: Connection) -> None:
    connection.receive()
    event = encode_event("7:1", "head", "1")
    connection.send(HEAD + b"%x\r\n%s\r\n" % (len(event), event))
    connection.receive()


server = ScriptedServer(stream, host=json.loads(sys.argv[1]))
credentials = authority().credentials(server.url).to_json()
print(json.dumps({"kind": "ready", "credentials": credentials}), flush=True)
sys.stdin.read()
