"""A line editor for a serial line: bytes in, lines and an echo out. It knows no port and no command.

The far end is a terminal of unknown width, taken for 80 columns: a longer line scrolls sideways, so that going back
over the end of a row never has to work. What is typed at the end is echoed as it is; any other change draws the row
anew (\\r, prompt, text, erase to the end, cursor back), which also mends what a kernel message left (Ctrl-L).

`secret_from(text)` says from which character on a line is secret (-1: nowhere): that part is echoed as stars, is not
completed and is never in the history. Noise cannot do harm: what is neither a key nor complete UTF-8 is dropped, a
line that is too long is refused whole, never cut.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # MicroPython has no typing
    from collections.abc import Callable

MAX_LINE = 512
MAX_HISTORY = 20
MAX_ESCAPE = 8
COLUMNS = 79

CANCEL = "\x03"
LEAVE = "\x04"
BELL = "\a"
ERASE = "\x1b[K"
TOO_LONG = "\r\nthe line is too long and was dropped"

# Final byte of an escape sequence (with its number) -> what it does. Some terminals send O where others send [.
_ESCAPES = {
    "[A": "older",
    "[B": "newer",
    "[C": "right",
    "[D": "left",
    "[H": "home",
    "[F": "end",
    "[1~": "home",
    "[7~": "home",
    "[4~": "end",
    "[8~": "end",
    "[3~": "delete",
    "[1;5C": "word_right",
    "[1;5D": "word_left",
    "b": "word_left",
    "f": "word_right",
    "d": "delete_word_right",
    "\x7f": "delete_word",
}
_CONTROLS = {
    1: "home",
    2: "left",
    4: "delete",
    5: "end",
    6: "right",
    8: "backspace",
    9: "complete_word",
    11: "delete_to_end",
    12: "redraw",
    14: "newer",
    16: "older",
    20: "swap",
    21: "delete_to_start",
    23: "delete_word",
    25: "yank",
    127: "backspace",
}


class LineEditor:
    """One line at a time. was_secret: the last one had a secret.

    complete(text before the cursor): (where the word begins, [candidates]).
    """

    def __init__(self, complete: "Callable[[str], tuple[int, list[str]]]", secret_from: "Callable[[str], int]") -> None:
        self.out: list[str] = []
        self.text = ""
        self._complete = complete
        self._secret_from = secret_from
        self._history: list[str] = []
        self._killed = ""
        self._after_cr = False
        self._stale = False
        self._rang = False
        self.was_secret = False
        self.start("")

    def start(self, prompt: str, echo: bool = True) -> None:
        """An empty line behind this prompt. echo False: nothing of it is shown, nothing is kept."""
        self.prompt = prompt
        self._echo = echo
        self._escape = ""
        self._partial = b""
        self._stale = False
        self._put("")
        self._emit(prompt)

    def _put(self, text: str) -> None:
        self.text = text
        self._at = len(text)
        self._first = 0
        self._row = -1
        self._draft = ""
        self._too_long = False
        self._hidden = False

    def take(self) -> bytes:
        """What is to be sent to the terminal, once."""
        self._emit("")
        found = "".join(self.out).encode()
        self.out = []
        self._rang = False
        return found

    def _emit(self, text: str) -> None:
        """Behind a row that is out of date only once it is drawn anew: once, however much came in between."""
        if self._stale:
            self._stale = False
            self._draw()
        if text:
            self.out.append(text)

    def _bell(self) -> None:
        if not self._rang:
            self._rang = True
            self.out.append(BELL)

    def feed(self, byte: int) -> "str | None":
        """The line, when this byte ends it; CANCEL; LEAVE (Ctrl-D on an empty line)."""
        after_cr, self._after_cr = self._after_cr, byte == 13
        if byte == 10 and after_cr:
            return None
        if self._escape and byte >= 32:
            self._escaped(byte)
            return None
        self._escape = ""
        if byte in (10, 13):
            return self._enter()
        if byte >= 32 and byte != 127:
            self._typed(byte)
            return None
        self._partial = b""
        return self._control(byte)

    def _control(self, byte: int) -> "str | None":
        if byte == 27:
            self._escape = "\x1b"
        elif byte == 3:
            self._emit("^C\r\n")
            return CANCEL
        elif byte == 4 and not self.text:
            return LEAVE
        elif byte in _CONTROLS:
            getattr(self, "_" + _CONTROLS[byte])()
        return None

    def _escaped(self, byte: int) -> None:
        """A sequence ends with a byte from @ on, but for the [ or O that begins it."""
        if len(self._escape) < MAX_ESCAPE or byte >= 0x40:
            self._escape += chr(byte) if byte < 128 else "?"
        body = self._escape[1:]
        if body in ("[", "O") or (body[0] == "[" and byte < 0x40):
            return
        self._escape = ""
        known = _ESCAPES.get(body.replace("O", "["))
        if known:
            getattr(self, "_" + known)()

    def _enter(self) -> str:
        line, self.was_secret = self.text, self._is_secret()
        if self._too_long:
            self._emit(TOO_LONG)
            line = ""
        if line.strip() and not self.was_secret and self._history[-1:] != [line]:
            self._history.append(line)
            del self._history[:-MAX_HISTORY]
        self._emit("\r\n")
        self._put("")
        return line

    # --- typing

    def _typed(self, byte: int) -> None:
        self._partial += bytes([byte])
        character = _decoded(self._partial)
        if character is None:
            return
        self._partial = b""
        if character:
            self._insert(character)

    def _insert(self, text: str) -> None:
        if len(self.text) + len(text) > MAX_LINE:
            self._too_long = True
            self._bell()
            return
        at_end = self._at == len(self.text)
        self.text = self.text[: self._at] + text + self.text[self._at :]
        self._at += len(text)
        fits = self._at - self._first < COLUMNS - len(self.prompt)
        if self._stale or not at_end or not fits:
            self._redraw()
        elif self._echo:
            self._emit("*" * len(text) if self._is_secret() else text)

    def _shown(self) -> str:
        if not self._echo:
            return ""
        if not self._is_secret():
            return self.text
        start = max(0, self._secret_from(self.text))
        return self.text[:start] + "*" * (len(self.text) - start)

    def _is_secret(self) -> bool:
        """Once a line has been secret it stays so, whatever is changed in front, until nothing of it is left."""
        self._hidden = bool(self.text) and (self._hidden or self._secret_from(self.text) >= 0)
        return self._hidden or not self._echo

    def _redraw(self) -> None:
        self._stale = True

    def _draw(self) -> None:
        room = COLUMNS - len(self.prompt)
        if self._at < self._first:
            self._first = self._at
        elif self._at - self._first >= room:
            self._first = self._at - room + 1
        row = self._shown()[self._first : self._first + room]
        back = len(row) - (self._at - self._first)
        moved = "\x1b[" + str(back) + "D" if back > 0 and self._echo else ""
        self.out.append("\r" + self.prompt + row + ERASE + moved)

    # --- moving and removing

    def _move(self, at: int) -> None:
        self._at = max(0, min(at, len(self.text)))
        self._redraw()

    def _left(self) -> None:
        self._move(self._at - 1)

    def _right(self) -> None:
        self._move(self._at + 1)

    def _home(self) -> None:
        self._move(0)

    def _end(self) -> None:
        self._move(len(self.text))

    def _word_left(self) -> None:
        self._move(self._word_start())

    def _word_right(self) -> None:
        self._move(self._word_end())

    def _word_start(self) -> int:
        at = self._at
        while at and self.text[at - 1] == " ":
            at -= 1
        while at and self.text[at - 1] != " ":
            at -= 1
        return at

    def _word_end(self) -> int:
        at = self._at
        while at < len(self.text) and self.text[at] == " ":
            at += 1
        while at < len(self.text) and self.text[at] != " ":
            at += 1
        return at

    def _remove(self, start: int, end: int, keep: bool = True) -> None:
        """What is removed can be had back by Ctrl-Y, unless it may be secret."""
        if start >= end or end > len(self.text):
            self._bell()
            return
        if keep:
            self._killed = "" if self._is_secret() else self.text[start:end]
        self.text = self.text[:start] + self.text[end:]
        self._at = start
        if len(self.text) < MAX_LINE and start == 0 and not self.text:
            self._too_long = False
        self._redraw()

    def _backspace(self) -> None:
        self._remove(self._at - 1 if self._at else 0, self._at, False)

    def _delete(self) -> None:
        self._remove(self._at, self._at + 1, False)

    def _delete_to_end(self) -> None:
        self._remove(self._at, len(self.text))

    def _delete_to_start(self) -> None:
        self._remove(0, self._at)

    def _delete_word(self) -> None:
        self._remove(self._word_start(), self._at)

    def _delete_word_right(self) -> None:
        self._remove(self._at, self._word_end())

    def _yank(self) -> None:
        if self._killed:
            self._insert(self._killed)

    def _swap(self) -> None:
        """The two characters before the cursor change places."""
        at = self._at
        if at >= 2:
            self.text = self.text[: at - 2] + self.text[at - 1] + self.text[at - 2] + self.text[at:]
            self._redraw()

    # --- history and completion

    def _older(self) -> None:
        if not self._echo or self._row + 1 >= len(self._history):
            self._bell()
            return
        if self._row < 0:
            self._draft = self.text
        self._recall(self._row + 1)

    def _newer(self) -> None:
        if self._row < 0:
            self._bell()
            return
        self._recall(self._row - 1)

    def _recall(self, row: int) -> None:
        draft = self._draft
        self._put(self._history[-1 - row] if row >= 0 else draft)
        self._row, self._draft = row, draft
        self._redraw()

    def forget(self) -> None:
        """Another person may come: nothing of this one is to be seen."""
        self._history = []
        self._killed = ""

    def _complete_word(self) -> None:
        before = self.text[: self._at]
        start, words = self._complete(before)
        if self._is_secret() or not words:
            self._bell()
            return
        common = _common(words)
        added = common[len(before) - start :] + (" " if len(words) == 1 else "")
        if added:
            self._insert(added)
        else:
            self._emit("\r\n" + "  ".join(words) + "\r\n")
            self._redraw()


def _decoded(data: bytes) -> "str | None":
    """The character of these UTF-8 bytes; None: more must come; "": they are none."""
    first = data[0]
    size = 1 if first < 0x80 else 2 if 0xC2 <= first < 0xE0 else 3 if 0xE0 <= first < 0xF0 else 4
    if first in range(0x80, 0xC2) or first > 0xF4 or any([not 0x80 <= each < 0xC0 for each in data[1:]]):
        return data[-1:].decode() if data[-1] < 0x80 else ""
    if len(data) < size:
        return None
    try:
        character = data.decode()
    except UnicodeError:
        return ""
    return "" if 0x80 <= ord(character) < 0xA0 else character


def _common(words: list[str]) -> str:
    """What all of them begin with."""
    first, last = min(words), max(words)
    size = 0
    while size < len(first) and size < len(last) and first[size] == last[size]:
        size += 1
    return first[:size]
