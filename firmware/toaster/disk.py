"""The folder on littlefs or FAT, as core wants to see it: kinds, sizes, times, listings in order of key.

Every byte that is written is counted. No names of a folder are in memory but a window of them: it is listed again
for the next window, which costs reads of flash and no memory.
"""

import errno
import os
import time

from toastbox.core.entry import FILE, FOLDER
from toastbox.core.names import STATE_FOLDER

WINDOW = 32
_FOLDER = 0x4000
RESERVE = 16384  # bytes of flash that stay free for the state file and the file system itself


class Disk:
    """root: where the folder is, without / at its end. written: bytes that went to flash since the start."""

    def __init__(self, root):
        self.root = root
        self.written = 0
        for name in ("", "/stage"):
            self._make(root + "/.toastbox" + name)

    def now(self):
        return int(time.time()) & 0xFFFFFFFF

    def inner(self, name):
        return self.root + "/.toastbox/" + name

    def where(self, path):
        return self.root + "/" + path.decode()

    def write(self, file, data):
        """All of data. Raises OSError, ENOSPC also for a write that was cut short."""
        count = file.write(data)
        if count != len(data):
            raise OSError(errno.ENOSPC)
        self.written += count
        return count

    def look(self, path):
        """(kind, size, mtime in s) of what is at a path; None for nothing."""
        try:
            found = os.stat(self.where(path))
        except OSError:
            return None
        if found[0] & _FOLDER:
            return (FOLDER, 0, 0)
        return (FILE, found[6], int(found[8]) & 0xFFFFFFFF)

    def free(self):
        found = os.statvfs(self.root)
        return max(found[0] * found[3] - RESERVE, 0)

    def walk(self, after=b"", window=WINDOW):
        """(path, is folder) of all that is in the folder with a key after `after`, in order of key."""
        stack = [[b"", self._names(b"", after.partition(b"\0")[0], window, True), 0]]
        while stack:
            level = stack[-1]
            folder, names, at = level
            if at == len(names):
                more = self._names(folder, names[-1][0], window) if len(names) == window else []
                if more:
                    level[1], level[2] = more, 0
                else:
                    stack.pop()
                continue
            level[2] += 1
            name, is_folder = names[at]
            path = folder + b"/" + name if folder else name
            key = path.replace(b"/", b"\0")
            if key > after:
                yield path, is_folder
            if is_folder and (key + b"\1" > after):
                start = b""
                if after.startswith(key + b"\0"):
                    start = after[len(key) + 1 :].partition(b"\0")[0]
                stack.append([path, self._names(path, start, window, True), 0])

    def _names(self, folder, after, window, inclusive=False):
        """The lowest names of a folder above (or from) one: [(name, is folder)], sorted."""
        found = []
        try:
            listing = os.ilistdir(self.where(folder) if folder else self.root or "/")
            for item in listing:
                name = item[0].encode() if isinstance(item[0], str) else item[0]
                if (name > after or (inclusive and name == after)) and not (name == STATE_FOLDER and not folder):
                    found.append((name, item[1] == _FOLDER))
                    if len(found) >= 2 * window:
                        found.sort()
                        del found[window:]
        except OSError:
            return []
        found.sort()
        del found[window:]
        return found

    def replace(self, old, new):
        """Rename over what is there. FAT removes first: whoever calls can do it again after a power cut."""
        os.rename(old, new)

    def move(self, old, new):
        self.make_parents(new)
        os.rename(self.where(old), self.where(new))

    def make_folder(self, path):
        self.make_parents(path)
        self._make(self.where(path))

    def make_parents(self, path):
        at = path.find(b"/")
        while at > 0:
            self._make(self.where(path[:at]))
            at = path.find(b"/", at + 1)

    def remove(self, path):
        _quietly(os.remove, self.where(path))

    def remove_folder(self, path):
        _quietly(os.rmdir, self.where(path))

    def publish(self, staged, path):
        self.make_parents(path)
        self.replace(self.stage(staged), self.where(path))

    def stage(self, number):
        return self.inner("stage/%d" % number)

    def staged(self):
        """Names in the stage."""
        return sorted([item[0] for item in os.ilistdir(self.inner("stage"))])

    def discard(self, name):
        _quietly(os.remove, self.inner("stage/" + str(name)))

    def _make(self, name):
        try:
            os.mkdir(name)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise


def _quietly(work, name):
    try:
        work(name)
    except OSError:
        pass
