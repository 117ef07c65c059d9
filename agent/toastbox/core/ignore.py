"""Which paths are left out: the rules of gitignore(5), without regular expressions.

A line is a pattern; the last one that matches decides; `!` takes back; a pattern with a `/` before its end is
anchored at the folder's root; a `/` at its end matches folders only; `**` stands for any number of folders.
What lies in an ignored folder is ignored, and no `!` brings it back.

A pattern is split at its slashes, a name's pattern into literal beginning, literal end and what is between: most
are decided by two comparisons. Both matchers, of characters in a name and of names in a path, remember one place
to go back to, the last star: time is at most the product of the lengths, whatever a peer puts in the file.
"""

MAX_RULES = 1000
MAX_PATTERN = 1024
MAX_CACHED = 64

# Tokens of a name's pattern: characters, CharacterClass, and two strings that are no single character.
STAR = "**"
ONE = "??"

POSIX_CLASSES = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "blank": "\t\t  ",
    "cntrl": "\x00\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "xdigit": "09AFaf",
}


class IgnoreRules:
    """The rules of one ignore file. text: its content; bytes that are not UTF-8 make a line void.

    At most MAX_RULES patterns count, and lines up to MAX_PATTERN characters.
    """

    def __init__(self, text: bytes | str) -> None:
        self._rules: list[Rule] = []
        self._folders: dict[bytes, bool] = {}
        data = text.encode() if isinstance(text, str) else text
        if data[:3] == b"\xef\xbb\xbf":
            data = data[3:]
        for line in data.split(b"\n"):
            rule = _parse(line)
            if rule is not None and len(self._rules) < MAX_RULES:
                self._rules.append(rule)
        self._rules = list(reversed(self._rules))  # the last one decides

    def ignored(self, path: bytes, is_folder: bool) -> bool:
        """Whether a path, or a folder it is in, is ignored."""
        if not self._rules:
            return False
        parent = path.rpartition(b"/")[0]
        return (parent != b"" and self._is_inside(parent)) or self._decide(path, is_folder)

    def _is_inside(self, folder: bytes) -> bool:
        """Whether a folder or one above it is ignored; the last answers are kept. Depth costs no stack."""
        known = self._folders.get(folder)
        if known is None:
            at = folder.find(b"/")
            while at >= 0 and not self._decide(folder[:at], True):
                at = folder.find(b"/", at + 1)
            known = at >= 0 or self._decide(folder, True)
            if len(self._folders) >= MAX_CACHED:
                self._folders.clear()
            self._folders[folder] = known
        return known

    def _decide(self, path: bytes, is_folder: bool) -> bool:
        try:
            names = path.decode().split("/")
        except UnicodeError:
            return False  # such a name is not synced anyway
        for rule in self._rules:
            if (is_folder or not rule.folders_only) and rule.matches(names):
                return not rule.negated
        return False


class Rule:
    """One pattern. names: a NamePattern for each name of the path, None for `**`."""

    def __init__(self, pattern: str) -> None:
        self.negated = pattern[:1] == "!"
        if self.negated:
            pattern = pattern[1:]
        self.folders_only = pattern[-1:] == "/"
        if self.folders_only:
            pattern = pattern[:-1]
        self._floating = "/" not in pattern  # matches a name at any depth
        if pattern[:1] == "/":
            pattern = pattern[1:]
        self._names = [None if _is_any_depth(name) else NamePattern(name) for name in pattern.split("/")]

    def matches(self, names: list[str]) -> bool:
        """Whether the path of these names fits, itself, not something above it."""
        if self._floating:
            pattern = self._names[0]
            return pattern is None or pattern.matches(names[-1])
        return _match_path(self._names, names)


class NamePattern:
    """The pattern of one name: literal beginning, tokens, literal end."""

    def __init__(self, text: str) -> None:
        tokens = _tokens(text)
        self._void = tokens is None
        tokens = tokens or []
        start = 0
        while start < len(tokens) and _is_literal(tokens[start]):
            start += 1
        end = len(tokens)
        while end > start and _is_literal(tokens[end - 1]):
            end -= 1
        self._start = "".join([str(token) for token in tokens[:start]])
        self._end = "".join([str(token) for token in tokens[end:]])
        self._middle = tokens[start:end]
        self._fixed = len(self._start) + len(self._end)

    def matches(self, name: str) -> bool:
        if self._void or not name.startswith(self._start):
            return False
        if not self._middle:
            return len(name) == self._fixed
        if len(name) < self._fixed or not name.endswith(self._end):
            return False
        if len(self._middle) == 1 and self._middle[0] is STAR:
            return True
        return _match_name(self._middle, name[len(self._start) : len(name) - len(self._end)])


class CharacterClass:
    """`[...]`: ranges holds the first and last character of each range, one after the other."""

    def __init__(self, negated: bool, ranges: str) -> None:
        self._negated = negated
        self._ranges = ranges

    def holds(self, character: str) -> bool:
        ranges = self._ranges
        inside = False
        for at in range(0, len(ranges), 2):
            inside = inside or ranges[at] <= character <= ranges[at + 1]
        return inside != self._negated


# --- reading patterns


def _parse(line: bytes) -> Rule | None:
    """The rule of a line; None for comments, empty lines and what cannot be read."""
    line = line[:-1] if line.endswith(b"\r") else line
    try:
        pattern = _without_trailing_spaces(line.decode())
    except UnicodeError:
        return None
    if pattern[:1] == "#" or len(pattern) > MAX_PATTERN or pattern in ("", "!", "/", "!/"):
        return None
    return Rule(pattern)


def _without_trailing_spaces(line: str) -> str:
    """An escaped space stays."""
    end = len(line)
    while end and line[end - 1] == " " and not _is_escaped(line, end - 1):
        end -= 1
    return line[:end]


def _is_escaped(line: str, at: int) -> bool:
    count = 0
    while count < at and line[at - count - 1] == "\\":
        count += 1
    return count % 2 == 1


def _is_any_depth(name: str) -> bool:
    """Two stars; git takes more for the same."""
    return len(name) > 1 and name.strip("*") == ""


def _is_literal(token: "str | CharacterClass") -> bool:
    return isinstance(token, str) and len(token) == 1


def _tokens(text: str) -> "list[str | CharacterClass] | None":
    """None for a pattern that git takes to match nothing: an open class, a backslash at the end."""
    tokens: list[str | CharacterClass] = []
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "[":
            found, at = _read_class(text, at)
            if found is None:
                return None
            tokens.append(found)
        elif character == "*":
            if not tokens or tokens[-1] is not STAR:
                tokens.append(STAR)
        elif character == "\\":
            if at == len(text):
                return None
            tokens.append(text[at])
            at += 1
        else:
            tokens.append(ONE if character == "?" else character)
    return tokens


def _read_class(text: str, at: int) -> "tuple[CharacterClass | None, int]":
    """(class whose `[` is at at - 1, position behind it), or (None, at) when it has no end."""
    negated = text[at : at + 1] in ("!", "^")
    at += 1 if negated else 0
    ranges = ""
    first = at
    while at < len(text) and (text[at] != "]" or at == first):
        named = text.find(":]", at + 2) if text[at : at + 2] == "[:" else -1
        if named >= 0:
            ranges += POSIX_CLASSES.get(text[at + 2 : named], "")
            at = named + 2
            continue
        low, at = _read_character(text, at)
        high = low
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("]", ""):
            high, at = _read_character(text, at + 1)
        ranges += low + high
    return (CharacterClass(negated, ranges), at + 1) if at < len(text) else (None, at)


def _read_character(text: str, at: int) -> tuple[str, int]:
    if text[at] == "\\" and at + 1 < len(text):
        return text[at + 1], at + 2
    return text[at], at + 1


# --- matching


def _match_path(patterns: "list[NamePattern | None]", names: list[str]) -> bool:
    """None stands for any number of names, at the end for at least one."""
    at = name_at = 0
    last = back = -1
    while name_at < len(names):
        pattern = patterns[at] if at < len(patterns) else None
        if at < len(patterns) and pattern is None:
            if at + 1 == len(patterns):
                return True
            last, back = at, name_at
            at += 1
        elif pattern is not None and pattern.matches(names[name_at]):
            at += 1
            name_at += 1
        elif last >= 0:
            back += 1
            at, name_at = last + 1, back
        else:
            return False
    return at == len(patterns)


def _match_name(tokens: "list[str | CharacterClass]", name: str) -> bool:
    at = name_at = 0
    star = back = -1
    while name_at < len(name):
        if at < len(tokens) and tokens[at] is STAR:
            star, back = at, name_at
            at += 1
        elif at < len(tokens) and _match_one(tokens[at], name[name_at]):
            at += 1
            name_at += 1
        elif star >= 0:
            back += 1
            at, name_at = star + 1, back
        else:
            return False
    while at < len(tokens) and tokens[at] is STAR:
        at += 1
    return at == len(tokens)


def _match_one(token: "str | CharacterClass", character: str) -> bool:
    if isinstance(token, str):
        return token == character or token is ONE
    return token.holds(character)
