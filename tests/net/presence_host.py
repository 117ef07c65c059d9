"""A process on the LAN: announces what its first argument says, prints what it finds, leaves when stdin ends.

Arguments, JSON: the service as a list of Service's fields, or null; whether to look for others.
"""

import asyncio
import json
import sys

from toastbox.announce import Presence
from toastbox.neighbours import Found, Service


def say(kind: str, **values: object) -> None:
    print(json.dumps({"kind": kind, **values}), flush=True)


def listener(kind: str):
    def heard(found: Found) -> None:
        say(kind, **found._asdict())

    return heard


async def main() -> None:
    fields, browse = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    service = Service(*fields[:4], tuple(fields[4]), fields[5]) if fields else None
    presence = Presence(service, listener("found") if browse else None, listener("lost") if browse else None)
    await presence.start()
    await presence.ready()
    say("ready", name=presence.name, trouble=presence.trouble)
    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            break
        say("known", count=len(presence.neighbours))
    await presence.stop()


asyncio.run(main())
