"""A new program out of the synced folder: believed with the owner's signature, put into the slot that is not in use.

    nothing there --a whole, newer, signed file--> unpack beside --every hash is right--> start.try_slot --> reset

docs/SPEC.md, section 14. RSA with SHA-256 (RFC 8017, 8.2): the one signature whose check is seventeen multiplications
and a comparison, which a chip does in a moment and a person can read. What was expected is built and compared whole;
nothing of the signature is parsed. Nothing is replaced in place, and until the last step nothing refers to the new
slot.
"""

import hashlib
import os
import struct
import sys

import start

MAGIC = b"TBU1"
HEAD = "<IHHI"
HEAD_SIZE = 16
ITEM = "<I32sB"
ITEM_SIZE = 37
MAX_INDEX = 4096
LEAST_KEY, MOST_KEY = 256, 512
PREFIX = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"  # SHA-256, DER
FOLDER = "toaster/"


class BadUpdate(Exception):
    """Why a file is not taken."""


def verify(modulus, digest, signature):
    """Whether signature is that of digest (SHA-256) by the key with this modulus and the exponent 65537."""
    size = len(modulus)
    if not LEAST_KEY <= size <= MOST_KEY or len(signature) != size:
        return False
    number, given = int.from_bytes(modulus, "big"), int.from_bytes(signature, "big")
    if given >= number:
        return False
    power = given
    for _ in range(16):
        power = power * power % number
    expected = b"\x00\x01" + b"\xff" * (size - len(PREFIX) - 35) + b"\x00" + PREFIX + digest
    return (power * given % number).to_bytes(size, "big") == expected


def read_index(file, modulus):
    """(version, [(name, size, hash)]) of a file whose signature is right; it stands at the first content then."""
    head = file.read(HEAD_SIZE)
    if len(head) != HEAD_SIZE or head[:4] != MAGIC:
        raise BadUpdate("not an update")
    version, mpy, count, size = struct.unpack(HEAD, head[4:])
    if size > MAX_INDEX:
        raise BadUpdate("its index is too large")
    index, signature = file.read(size), file.read(len(modulus))
    if len(index) != size or not verify(modulus, hashlib.sha256(head + index).digest(), signature):
        raise BadUpdate("it is not signed by this board's owner")
    if mpy != sys.implementation._mpy & 0xFF:
        raise BadUpdate("it is for another MicroPython")
    items, at = [], 0
    for _ in range(count):
        length, digest, named = struct.unpack_from(ITEM, index, at)
        name = index[at + ITEM_SIZE : at + ITEM_SIZE + named].decode()
        items.append((_checked(name), length, digest))
        at += ITEM_SIZE + named
    return version, items


def _checked(name):
    """Signed or not, nothing is written outside the slot."""
    rest = name[len(FOLDER) :]
    if name[: len(FOLDER)] != FOLDER or rest[-4:] != ".mpy" or "/" in rest:
        raise BadUpdate("a name in it is wrong")
    return name


def take(name, modulus, starts, buffer):
    """Unpack into the other slot, to be tried with the next start; the version. Raises BadUpdate, OSError."""
    with open(name, "rb") as file:
        version, items = read_index(file, modulus)
        if version <= start.version_of(starts.slot) or version == starts.bad:
            raise BadUpdate("version %d is not newer, or was rolled back" % version)
        slot = "app/" + starts.other()
        erase(slot)
        for folder in ("", "/toaster"):
            os.mkdir(slot + folder)
        for item in items:
            _unpack(file, slot + "/" + item[0], item[1], item[2], buffer)
    with open(slot + "/version", "w") as file:
        file.write("%d\n" % version)
    starts.try_slot(starts.other())
    return version


def _unpack(file, name, size, digest, buffer):
    view, hashed = memoryview(buffer), hashlib.sha256()
    with open(name, "wb") as out:
        while size:
            count = file.readinto(view[: min(size, len(view))])
            if not count:
                raise BadUpdate("it is cut off")
            hashed.update(view[:count])
            if out.write(view[:count]) != count:
                raise OSError(28)
            size -= count
    if hashed.digest() != digest:
        raise BadUpdate("its content is damaged")


def erase(folder):
    """All that is in a folder, and the folder, if it is there."""
    try:
        listing = list(os.ilistdir(folder))
    except OSError:
        return
    for item in listing:
        name = folder + "/" + item[0]
        if item[1] & 0x4000:
            erase(name)
        else:
            os.remove(name)
    os.rmdir(folder)
