"""Rules for paths: which are allowed, in what order they sort, what a conflict copy is called."""

MAX_PATH = 4096
MAX_NAME = 255
STATE_FOLDER = b".toastbox"

MAX_DEVICE_NAME = 64
MAX_EXTENSION = 32


def key_of(path: bytes) -> bytes:
    """The key of a path: sorted as bytes, a folder comes right before all that is in it."""
    return path.replace(b"/", b"\0")


def path_of(key: bytes) -> bytes:
    """The path of a key."""
    return key.replace(b"\0", b"/")


def parent_of(path: bytes) -> bytes:
    """The folder above; b"" for the root."""
    return path.rpartition(b"/")[0]


def children_range(key: bytes) -> tuple[bytes, bytes]:
    """(low, high): what is below a folder has low < key < high. b"" is the root."""
    return (key + b"\0", key + b"\1") if key else (b"", b"\xff")


def why_bad(path: bytes) -> str:
    """Why a path may not be synced, "" if it may (docs/SPEC.md, section 1).

    A million paths come by here: those that are plain leave without a loop. They are looked into as text, for CPython
    makes an exception, and drops it, each time that bytes are looked for in bytes.
    """
    try:
        text = path.decode("utf-8")
    except UnicodeError:
        return _why_bad(path)
    if (
        text
        and len(path) <= MAX_NAME
        and "\0" not in text
        and "//" not in text
        and "/." not in text
        and text[0] not in "/."
        and text[-1] != "/"
        and (STRICT_DECODER or well_formed(path))
    ):
        return ""
    return _why_bad(path)


def _why_bad(path: bytes) -> str:
    """The same for paths that need a closer look."""
    if not 0 < len(path) <= MAX_PATH:
        return "the path is empty or longer than 4096 bytes"
    if b"\0" in path:
        return "the path holds a zero byte"
    names = path.split(b"/")
    for name in names:
        if name in (b"", b".", b".."):
            return "the path is not plain: empty name, . or .."
        if len(name) > MAX_NAME:
            return "a name is longer than 255 bytes"
    if names[0] == STATE_FOLDER:
        return "this name is kept for Toastbox itself"
    return "" if is_utf8(path) else "not UTF-8"


# --- UTF-8


def is_utf8(data: bytes) -> bool:
    """Whether data is well-formed UTF-8 (RFC 3629)."""
    try:
        data.decode("utf-8")
    except UnicodeError:
        return False
    return STRICT_DECODER or well_formed(data)


def well_formed(data: bytes) -> bool:
    """RFC 3629 byte by byte, for a platform whose decoder lets surrogates and overlong forms through."""
    at = 0
    while at < len(data):
        length = _sequence_length(data, at)
        if not length:
            return False
        at += length
    return True


def _sequence_length(data: bytes, at: int) -> int:
    """Length of the character at data[at], 0 if it is malformed."""
    first = data[at]
    if first < 0x80:
        return 1
    if not 0xC2 <= first <= 0xF4:
        return 0
    length = 2 + (first >= 0xE0) + (first >= 0xF0)
    if at + length > len(data):
        return 0
    second = data[at + 1]
    if not SECOND_LOW.get(first, 0x80) <= second <= SECOND_HIGH.get(first, 0xBF):
        return 0
    for follow in data[at + 2 : at + length]:
        if not 0x80 <= follow <= 0xBF:
            return 0
    return length


# RFC 3629: no overlong forms (E0, F0), no surrogates (ED), nothing above U+10FFFF (F4).
SECOND_LOW = {0xE0: 0xA0, 0xF0: 0x90}
SECOND_HIGH = {0xED: 0x9F, 0xF4: 0x8F}


def _decoder_is_strict() -> bool:
    try:
        b"\xed\xa0\x80".decode("utf-8")
    except UnicodeError:
        return True
    return False


STRICT_DECODER = _decoder_is_strict()


def cut_utf8(text: bytes, length: int) -> bytes:
    """At most `length` bytes from the start of UTF-8 text, no character cut in two."""
    if len(text) <= length:
        return text
    length = max(length, 0)
    while length and text[length] & 0xC0 == 0x80:
        length -= 1
    return text[:length]


# --- conflict copies


def conflict_path(path: bytes, device_name: str, seq: int) -> bytes:
    """Where a version goes that lost to entry `seq`: `name (conflict DEVICE SEQ).ext`, beside the winner.

    Applied to its own result it counts, `(conflict DEVICE SEQ 2)`: when a name is taken there is a next one.
    Where not even that fits into 4096 bytes, a folder further up is taken.
    """
    parent, _, leaf = path.rpartition(b"/")
    stem, extension = _split_extension(leaf)
    mark = b" (conflict " + clean_name(device_name) + b" " + str(seq).encode()
    stem, count = _split_count(stem, mark)
    if count:
        mark += b" " + str(count).encode()
    tail = mark + b")" + extension
    while len(parent) + 1 + len(tail) > MAX_PATH:
        parent = parent_of(parent)
    room = min(MAX_NAME, MAX_PATH - len(parent) - 1) - len(tail)
    name = cut_utf8(stem, room) + tail
    return parent + b"/" + name if parent else name


def clean_name(device_name: str) -> bytes:
    """A device's name as part of a file name: no separators, no control characters, at most 64 bytes."""
    kept = "".join([c for c in device_name if c >= " " and c not in "/\\:\x7f"]).strip()
    return cut_utf8(kept.encode(), MAX_DEVICE_NAME) or b"device"


def _split_extension(leaf: bytes) -> tuple[bytes, bytes]:
    """("name", ".ext"); a leading dot starts no extension, nor does one followed by a long text."""
    dot = leaf.rfind(b".")
    if dot <= 0 or len(leaf) - dot > MAX_EXTENSION:
        return leaf, b""
    return leaf[:dot], leaf[dot:]


def _split_count(stem: bytes, mark: bytes) -> tuple[bytes, int]:
    """The stem without an equal mark before, and the number of the next copy (0: the first)."""
    at = stem.rfind(mark)
    if at < 0 or not stem.endswith(b")"):
        return stem, 0
    count = stem[at + len(mark) : -1]
    if count == b"":
        return stem[:at], 2
    if count[:1] == b" " and count[1:].isdigit() and len(count) < 12:
        return stem[:at], int(count[1:]) + 1
    return stem, 0
