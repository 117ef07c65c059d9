"""One shot of `discover`. Arguments, JSON: seconds, the id that is enough or ""."""

import json
import sys
import time

from toastbox.announce import discover

start = time.monotonic()
timeout_s, wanted = json.loads(sys.argv[1]), json.loads(sys.argv[2])
found = discover(timeout_s, lambda each: each.id == wanted)
took_s = time.monotonic() - start
print(json.dumps({"kind": "list", "found": [each._asdict() for each in found], "took_s": took_s}), flush=True)
sys.stdin.read()
