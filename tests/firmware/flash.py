"""Runs under MicroPython: flash whose power is cut at the nth write, torn or not.

The block device is a file, so that what was written before the cut is there for the next run.
"""

import os
import vfs

BLOCK = 1024


def end():
    """At once: an exception would close files on its way, and so write on, through a littlefs that was interrupted."""
    with open("/proc/self/stat") as file:
        os.system("kill -9 " + file.read().split()[0])


class Flash:
    """written: bytes programmed. The nth write ends the process, with half of it done when torn."""

    def __init__(self, name, blocks, cut, torn):
        self.blocks = blocks
        self.file = open(name, "r+b")
        self.cut, self.torn = cut, torn
        self.writes = self.written = 0

    def readblocks(self, number, view, offset=0):
        self.file.seek(number * BLOCK + offset)
        self.file.readinto(view)

    def writeblocks(self, number, view, offset=0):
        self.writes += 1
        self.written += len(view)
        cut = self.writes == self.cut
        self.file.seek(number * BLOCK + offset)
        if not cut or self.torn:
            self.file.write(view[: len(view) // 2] if cut else view)
        if cut:
            self.file.flush()
            end()

    def ioctl(self, what, argument):
        return {4: self.blocks, 5: BLOCK, 6: 0}.get(what)


def mount(name, blocks, cut, torn):
    """A littlefs volume at /flash, made when it is not there."""
    fresh = False
    try:
        os.stat(name)
    except OSError:
        fresh = True
        with open(name, "wb") as made:
            for _ in range(blocks):
                made.write(b"\xff" * BLOCK)
    flash = Flash(name, blocks, cut, torn)
    if fresh:
        vfs.VfsLfs2.mkfs(flash, progsize=128)
    vfs.mount(vfs.VfsLfs2(flash, progsize=128), "/flash")
    return flash
