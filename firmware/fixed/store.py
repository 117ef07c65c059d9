"""Small records on flash that survive a power cut: the new one is whole under another name before the old one goes.

A record is 8 hex digits of its CRC-32, a line end, the data. Never replaced over the air: both slots rely on it.
"""

import os
from binascii import crc32


def read(name):
    """The data of a record; None if there is none, or none that is whole."""
    for kept in (name, name + ".new"):
        try:
            with open(kept, "rb") as file:
                check, data = file.read(9), file.read()
        except OSError:
            continue
        if check == _check(data):
            return data
    return None


def write(name, data):
    """Raises OSError. littlefs renames in one step; FAT removes first, and then read() finds the new name."""
    with open(name + ".new", "wb") as file:
        file.write(_check(data))
        file.write(data)
    os.rename(name + ".new", name)


def _check(data):
    return b"%08x\n" % (crc32(data) & 0xFFFFFFFF)
