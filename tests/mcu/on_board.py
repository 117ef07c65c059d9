"""Runs on MicroPython, real or emulated: the native module's cuts of the golden vectors' inputs.

On the unix port: micropython on_board.py FOLDER_OF_MODULE ROOT, which prints a line for each case that is right.
"""

import binascii
import gc
import hashlib
import sys


def cuts_of(kind, seed, period, size, sizes, most=1000):
    """(SHA-256 of the input as hexadecimal, offsets of the cuts); the input comes in pieces of at most `most`."""
    from chunker_inputs import pieces
    from tbx_native import Chunker

    chunker = Chunker(*sizes)
    digest = hashlib.sha256()
    cuts = []
    base = 0
    for piece in pieces(kind, seed, period, size, most):
        digest.update(piece)
        cuts += [base + end for end in chunker.cuts(piece)]
        base += len(piece)
    gc.collect()
    return binascii.hexlify(digest.digest()).decode(), cuts


def same_by_scan(sizes):
    """Raises unless scan(), fed byte by byte, gives what cuts() gives, and reset() forgets a chunk."""
    from chunker_inputs import take
    from tbx_native import Chunker

    data = take("random", 8, 0, 6000)
    whole = Chunker(*sizes).cuts(data)
    chunker = Chunker(*sizes)
    view = memoryview(data)
    assert [at + 1 for at in range(len(data)) if chunker.scan(view[at : at + 1]) == 1] == whole
    assert len(whole) > 5
    chunker.scan(data[:50])
    chunker.reset()
    assert chunker.cuts(data) == whole
    assert chunker.scan(b"") == -1 and chunker.cuts(bytearray()) == []


def refused(error, call, *arguments):
    """Raises unless call raises error."""
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError(arguments)


def refuses_what_it_must():
    """Raises unless wrong arguments are refused, and the limits are not."""
    from tbx_native import Chunker

    Chunker()
    Chunker(32, 512, 1 << 30)
    Chunker(1 << 24, 1 << 24, 1 << 24)
    wrong = [
        (31, 512, 512),
        (64, 500, 1000),
        (64, 256, 512),
        (513, 512, 1024),
        (64, 512, 511),
        (64, 512, (1 << 30) + 1),
    ]
    wrong += [(-1, 512, 2048), (64, 512, (1 << 32) + 2048), (64, 512, (1 << 64) + 2048), (64, 1 << 25, 1 << 26)]
    for sizes in wrong:
        refused(ValueError, Chunker, *sizes)
    refused(TypeError, Chunker, 64.0)
    refused(TypeError, Chunker, "64")
    refused(TypeError, Chunker, 64, 512, 2048, 1)
    refused(TypeError, Chunker.scan, 5, b"")
    refused(TypeError, Chunker.cuts, object(), b"")
    refused(TypeError, Chunker().scan, 5)


def main(folder, root):
    import json

    sys.path[:0] = [folder, root + "/tests/vectors"]
    refuses_what_it_must()
    same_by_scan((64, 512, 2048))
    with open(root + "/tests/vectors/chunker.json") as file:
        for case in json.load(file):
            sha256, cuts = cuts_of(case["kind"], case["seed"], case["period"], case["size"], case["sizes"])
            assert sha256 == case["sha256"], "input " + case["name"]
            assert cuts == case["cuts"], "cuts of " + case["name"]
            print(case["name"])


if __name__ == "__main__":
    main(*sys.argv[1:])
