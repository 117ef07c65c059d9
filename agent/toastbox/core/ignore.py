"""Which paths are left out: the rules of gitignore(5), without regular expressions.

A line is a pattern; the last one that matches decides; `!` takes back; a pattern with a `/` before its end is anchored
at the folder's root; a `/` at its end matches folders only; `**` stands for any number of folders. What lies in an
ignored folder is ignored, and no `!` brings it back.
"""

ANY_DEPTH = None
MAX_RULES = 1000


class Rule:
    """One pattern. segments: tokens for each path component; ANY_DEPTH for `**`."""

    __slots__ = ("folders_only", "negated", "segments")

    def __init__(self, text: str) -> None:
        self.negated = text[:1] == "!"
        text = text[1:] if self.negated else text
        self.folders_only = text[-1:] == "/"
        text = text[:-1] if self.folders_only else text
        anchored = "/" in text
        names = text[1:].split("/") if text[:1] == "/" else text.split("/")
        self.segments = [ANY_DEPTH if name == "**" else _tokens(name) for name in names]
        if not anchored:
            self.segments.insert(0, ANY_DEPTH)

    def matches(self, names: list[str]) -> bool:
        return _match_path(self.segments, 0, names, 0)


class IgnoreRules:
    """The rules of one ignore file. text: its content; at most MAX_RULES patterns count."""

    def __init__(self, text: str) -> None:
        self._rules: list[Rule] = []
        for line in text.split("\n")[: 4 * MAX_RULES]:
            pattern = _pattern(line)
            if pattern.strip("!/") and len(self._rules) < MAX_RULES:
                self._rules.append(Rule(pattern))

    def ignored(self, path: bytes, is_folder: bool) -> bool:
        """Whether a path, or a folder it is in, is ignored."""
        if not self._rules:
            return False
        try:
            names = path.decode().split("/")
        except UnicodeError:
            return False
        for depth in range(1, len(names)):
            if self._decide(names[:depth], True):
                return True
        return self._decide(names, is_folder)

    def _decide(self, names: list[str], is_folder: bool) -> bool:
        for rule in reversed(self._rules):
            if (is_folder or not rule.folders_only) and rule.matches(names):
                return not rule.negated
        return False


def _pattern(line: str) -> str:
    """The pattern of a line: "" for comments; trailing spaces go unless escaped."""
    line = line.rstrip("\r")
    if line[:1] == "#":
        return ""
    end = len(line)
    while end > 0 and line[end - 1] == " " and _slashes(line, end - 1) % 2 == 0:
        end -= 1
    return line[:end]


def _slashes(line: str, end: int) -> int:
    """How many backslashes stand before position `end`."""
    count = 0
    while end - count > 0 and line[end - count - 1] == "\\":
        count += 1
    return count


# A token is a character, or a tuple: ("*",), ("?",), ("[", negated, [(low, high), ...]).
STAR = ("*",)
ONE = ("?",)


def _tokens(name: str) -> list:  # type: ignore[type-arg]
    tokens: list = []  # type: ignore[type-arg]
    at = 0
    while at < len(name):
        character = name[at]
        at += 1
        if character == "*":
            if not tokens or tokens[-1] is not STAR:
                tokens.append(STAR)
        elif character == "?":
            tokens.append(ONE)
        elif character == "[":
            token, at = _class(name, at)
            tokens.append(token)
        elif character == "\\" and at < len(name):
            tokens.append(name[at])
            at += 1
        else:
            tokens.append(character)
    return tokens


def _class(name: str, at: int):  # type: ignore[no-untyped-def]
    """(token, position behind it) of a class whose `[` is at at - 1; a `[` without an end matches nothing."""
    start = at
    negated = name[at : at + 1] in ("!", "^") and at < len(name)
    at += 1 if negated else 0
    ranges = []
    first = True
    while at < len(name) and (first or name[at] != "]"):
        low, at = _class_character(name, at)
        high = low
        if name[at : at + 1] == "-" and at + 1 < len(name) and name[at + 1] != "]":
            high, at = _class_character(name, at + 1)
        ranges.append((low, high))
        first = False
    if at >= len(name):
        return ("[", False, []), start if start >= len(name) else len(name)
    return ("[", negated, ranges), at + 1


def _class_character(name: str, at: int) -> tuple[str, int]:
    if name[at] == "\\" and at + 1 < len(name):
        return name[at + 1], at + 2
    return name[at], at + 1


def _match_path(segments: list, at: int, names: list[str], name_at: int) -> bool:  # type: ignore[type-arg]
    while at < len(segments):
        segment = segments[at]
        if segment is ANY_DEPTH:
            if at + 1 == len(segments):
                return name_at < len(names)
            return any(_match_path(segments, at + 1, names, skip) for skip in range(name_at, len(names)))
        if name_at >= len(names) or not _match_name(segment, names[name_at]):
            return False
        at += 1
        name_at += 1
    return name_at == len(names)


def _match_name(tokens: list, name: str) -> bool:  # type: ignore[type-arg]
    """Match with one place to go back to, the last star: time is at most the product of the lengths."""
    token_at = name_at = 0
    star = back = -1
    while name_at < len(name):
        if token_at < len(tokens) and tokens[token_at] is STAR:
            star, back = token_at, name_at
            token_at += 1
        elif token_at < len(tokens) and _match_one(tokens[token_at], name[name_at]):
            token_at += 1
            name_at += 1
        elif star >= 0:
            back += 1
            token_at, name_at = star + 1, back
        else:
            return False
    while token_at < len(tokens) and tokens[token_at] is STAR:
        token_at += 1
    return token_at == len(tokens)


def _match_one(token, character: str) -> bool:  # type: ignore[no-untyped-def]
    if isinstance(token, str):
        return token == character
    if token is ONE:
        return True
    inside = False
    for low, high in token[2]:
        inside = inside or low <= character <= high
    return inside != token[1]
