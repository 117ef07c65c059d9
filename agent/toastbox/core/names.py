"""What a path may be called, in which order paths are sorted, and how a conflict copy is named.

A *key* is a path with every `/` replaced by byte 0. Keys in byte order list a folder before its content and a whole
sub-tree without interruption, which the paths themselves do not (`a`, `a-b`, `a/x`).
"""

MAX_PATH = 4096
MAX_NAME = 255
STATE_FOLDER = b".toastbox"


def key_of(path: bytes) -> bytes:
    return path.replace(b"/", b"\0")


def path_of(key: bytes) -> bytes:
    return key.replace(b"\0", b"/")


def parent_of(path: bytes) -> bytes:
    """The folder a path is in; b"" for the root."""
    at = path.rfind(b"/")
    return path[:at] if at >= 0 else b""


def children_range(key: bytes) -> tuple[bytes, bytes]:
    """(low, high): every key below a folder is above low and below high."""
    return key + b"\0", key + b"\1"


def why_bad(path: bytes) -> str:
    """Why a path may not be in a journal, or "" (docs/SPEC.md, section 1)."""
    if not 0 < len(path) <= MAX_PATH:
        return "the path is empty or longer than 4096 bytes"
    if b"\0" in path:
        return "the name has a zero byte"
    try:
        path.decode()
    except UnicodeError:
        return "the name is not UTF-8"
    if path[:9] == STATE_FOLDER and (len(path) == 9 or path[9:10] == b"/"):
        return "the name is reserved for toastbox"
    if len(path) <= MAX_NAME and b"." not in path and path[:1] != b"/" and path[-1:] != b"/" and b"//" not in path:
        return ""
    return _why_bad_component(path)


def _why_bad_component(path: bytes) -> str:
    for name in path.split(b"/"):
        if not name:
            return "the path has an empty component"
        if name == b"." or name == b"..":
            return "the path has a component . or .."
        if len(name) > MAX_NAME:
            return "the name is longer than 255 bytes"
    return ""


def conflict_path(path: bytes, device_name: str, seq: int) -> bytes:
    """`name (conflict DEVICE SEQ).ext` beside path; the stem is cut so that the name fits in 255 bytes."""
    at = path.rfind(b"/") + 1
    above, name = path[:at], path[at:]
    dot = name.rfind(b".")
    if dot <= 0 or len(name) - dot > 32:
        dot = len(name)
    stem, extension = name[:dot], name[dot:]
    mark = b" (conflict " + _clean(device_name) + b" " + str(seq).encode() + b")"
    return above + cut_utf8(stem, MAX_NAME - len(mark) - len(extension)) + mark + extension


def _clean(device_name: str) -> bytes:
    kept = "".join(c for c in device_name if c >= " " and c not in "/\\:\x7f").strip()
    return cut_utf8(kept.encode(), 64) or b"device"


def cut_utf8(text: bytes, size: int) -> bytes:
    """The first `size` bytes, less what would be a part of a character."""
    if len(text) <= size:
        return text
    while size > 0 and text[size] & 0xC0 == 0x80:
        size -= 1
    return text[:size]
