"""Run by test_native_micropython.py under MicroPython: the reference chunker on the golden vectors, streamed.

Prints a line for each case that is right; ends with an exception at the first that is not.
"""

import hashlib
import json
import sys

root = sys.argv[1]
sys.path[:0] = [root + "/agent", root + "/tests/vectors"]

from chunker_inputs import pieces  # noqa: E402

from toastbox.core.chunker import Chunker  # noqa: E402


def check(case):
    chunker = Chunker(*case["sizes"])
    digest = hashlib.sha256()
    cuts = []
    base = 0
    for piece in pieces(case["kind"], case["seed"], case["period"], case["size"], 1000):
        digest.update(piece)
        cuts += [base + end for end in chunker.cuts(piece)]
        base += len(piece)
    assert digest.digest() == bytes.fromhex(case["sha256"]), "input " + case["name"]
    assert cuts == case["cuts"], "cuts of " + case["name"]
    print(case["name"])


with open(root + "/tests/vectors/chunker.json") as file:
    for case in json.load(file):
        check(case)
