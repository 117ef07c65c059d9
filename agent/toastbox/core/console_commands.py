"""What can be asked of a board: names, arguments, help, completion, and answers as text.

A command is (name, arguments); the same names and arguments stand in a machine's request. What they do is the edge's
affair: it gives back a result made of dicts, lists, text, numbers, booleans and None.
"""

from toastbox.core import console_settings

MAX_TEXT = 512
MAX_LOG = 200

# name: (usage, words). In machine mode a blank in the name is a hyphen.
COMMANDS = {
    "help": ("help", "this list"),
    "status": ("status", "what the board does, and how far it is"),
    "show": ("show", "all settings; secrets only as (set)"),
    "set": ("set KEY VALUE", "change a setting; a secret may be left out, then it is asked for"),
    "wifi scan": ("wifi scan", "networks in reach"),
    "pair": ("pair CODE", "join the hub that 'toastbox invite' printed this code on"),
    "unpair": ("unpair", "leave the hub; files stay"),
    "log": ("log [COUNT]", "last lines of the log"),
    "network": ("network", "links and addresses"),
    "reboot": ("reboot", "start again"),
    "poweroff": ("poweroff", "stop; then the power may be cut"),
    "factory-reset": ("factory-reset", "erase settings, pairing and files (asks for a phrase)"),
    "logout": ("logout", "ask for the password again"),
}
MACHINE_ONLY = ("hello", "auth")
KEYS_HELP = "keys: arrows, Home, End, Tab completes, Ctrl-A/E/U/K/W/Y, Ctrl-L draws the line again, Ctrl-C drops it"


class UsageError(ValueError):
    """The line or the request is wrong; the text says what is right."""


class Command:
    """What is to be done. source: SHELL, MACHINE or IMPROV of core/console.py."""

    __slots__ = ("args", "name", "source")

    def __init__(self, name: str, args: dict, source: str) -> None:  # type: ignore[type-arg]
        self.name = name
        self.args = args
        self.source = source


def machine_name(name: str) -> str:
    return name.replace(" ", "-")


# --- from a line


def parse(line: str) -> "tuple[str, dict] | None":  # type: ignore[type-arg]
    """(name, arguments) of a typed line; None: an empty one. Raises UsageError."""
    words = line.split(None, 1)
    if not words:
        return None
    name, rest = words[0], words[1].strip() if len(words) > 1 else ""
    if name == "wifi":
        name, rest = "wifi " + rest.split(" ")[0], rest.partition(" ")[2]
        if name not in COMMANDS:
            raise UsageError("usage: wifi scan")
    if name not in COMMANDS:
        raise UsageError("there is no command '" + plain(name[:30]) + "'; 'help' lists them")
    if name == "set":
        return name, _parse_set(rest)
    if name == "pair":
        if not rest:
            raise UsageError("usage: pair CODE")
        return name, {"code": rest}
    if name == "log":
        if rest and not (len(rest) < 4 and all(["0" <= each <= "9" for each in rest])):
            raise UsageError("usage: log [COUNT]")
        return name, {"count": int(rest or "20")}
    if rest:
        raise UsageError("usage: " + COMMANDS[name][0])
    return machine_name(name), {}


def _parse_set(rest: str) -> dict:  # type: ignore[type-arg]
    """values {KEY: VALUE}, or ask KEY: a secret that has still to be typed."""
    words = rest.split(None, 1)
    if not words or (len(words) == 1 and not console_settings.is_secret(words[0])):
        raise UsageError("usage: set KEY VALUE (\"\" for nothing); 'show' lists the keys")
    if len(words) == 1:
        return {"ask": words[0]}
    return {"values": {words[0]: unquoted(words[1])}}


def unquoted(text: str) -> str:
    """Without the quotes around it, if it has a pair of them: for blanks at the ends, and for nothing."""
    text = text.strip()
    if len(text) >= 2 and text[0] in "\"'" and text[-1] == text[0]:
        return text[1:-1]
    return text


# --- from a request


def check(name: object, args: dict) -> "tuple[str, dict]":  # type: ignore[type-arg]
    """(name, arguments) of a machine's request. Raises UsageError."""
    if name not in MACHINE_ONLY and (name not in [machine_name(each) for each in COMMANDS] or name == "logout"):
        raise UsageError("there is no such command")
    kinds: dict = {  # type: ignore[type-arg]
        "set": {"values": dict},
        "pair": {"code": str, "hub": str},
        "log": {"count": int},
        "auth": {"password": str},
        "reboot": {"boot": str},
        "factory-reset": {"phrase": str},
    }
    wanted = kinds.get(name, {})
    for key, value in args.items():
        if key not in wanted:
            raise UsageError("there is no argument '" + plain(str(key)[:30]) + "'")
        if not isinstance(value, wanted[key]) or isinstance(value, bool):
            raise UsageError("the argument '" + key + "' is of another kind")
    _check_sizes(str(name), args)
    return str(name), dict(args)


def _check_sizes(name: str, args: dict) -> None:  # type: ignore[type-arg]
    for needed, key in (("set", "values"), ("pair", "code"), ("auth", "password")):
        if name == needed and not args.get(key):
            raise UsageError("the argument '" + key + "' is missing")
    texts = list(args.get("values", {}).items()) + [
        args.get(key, "") for key in ("code", "hub", "password", "phrase", "boot")
    ]
    for each in texts:
        for text in each if isinstance(each, tuple) else (each,):
            if not isinstance(text, str) or len(text) > MAX_TEXT:
                raise UsageError("an argument is no text, or too long")
    if not 0 <= args.get("count", 1) <= MAX_LOG:
        raise UsageError("count must be 0 to 200")


# --- completion, and what is secret


def complete(text: str) -> "tuple[int, list[str]]":
    """(where the word begins, how it may go on)."""
    start = text.rfind(" ") + 1
    before, word = text[:start].split(), text[start:]
    if not before:
        options = sorted(set([name.split(" ")[0] for name in COMMANDS]))
    elif before == ["wifi"]:
        options = ["scan"]
    elif before == ["set"]:
        options = console_settings.names()
    elif before == ["set", "mode"]:
        options = list(console_settings.MODES)
    elif before == ["set", "network.address"]:
        options = ["dhcp"]
    else:
        options = []
    return start, [each for each in options if each[: len(word)] == word]


def secret_from(text: str) -> int:
    """Where on this line a secret begins; -1: nowhere. A code is one: whoever has it first is the device."""
    words = text.split(None, 2)
    lead = len(text) - len(text.lstrip())
    if len(words) > 1 and words[0] == "pair":
        return text.find(words[1], lead + 4)
    if len(words) > 2 and words[0] == "set" and console_settings.is_secret(words[1]):
        return text.find(words[1], lead + 3) + len(words[1]) + 1
    return -1


# --- answers as text


def help_text() -> str:
    """All commands and settings."""
    lines = [_aligned([COMMANDS[name] for name in COMMANDS]), "", "settings:"]
    lines.append(_aligned([(key, console_settings.SETTINGS[key][3]) for key in console_settings.names()]))
    return "\n".join(lines + ["", KEYS_HELP])


def plain(text: str) -> str:
    """Text that does nothing to a terminal."""
    return "".join([each if each >= " " and not "\x7f" <= each < "\xa0" else "?" for each in text])


def render(value: object) -> str:
    """A result in lines: a dict as NAME VALUE, a list of dicts as a table, else a line for each."""
    if isinstance(value, dict):
        return _aligned([(plain(str(key)), _short(value[key])) for key in value])
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            heads = list(value[0])
            rows = [[_short(row.get(head)) for head in heads] for row in value]
            return _columns([[head.upper() for head in heads]] + rows)
        return "\n".join([_short(each) for each in value])
    return "" if value is None else "\n".join([plain(line) for line in str(value).split("\n")])


def _short(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join([_short(each) for each in value]) or "-"
    if isinstance(value, dict):
        return ", ".join([plain(str(key)) + " " + _short(value[key]) for key in value]) or "-"
    return plain(str(value))


def _aligned(rows: list) -> str:  # type: ignore[type-arg]
    return _columns([[name, words] for name, words in rows])


def _columns(rows: "list[list[str]]") -> str:
    widths = [max([len(row[at]) for row in rows]) for at in range(len(rows[0]) if rows else 0)]
    lines = []
    for row in rows:
        cells = [cell + " " * (width - len(cell)) for cell, width in zip(row, widths)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
