"""Every command and option. `run` of each is `module:function` below toastbox.cli."""

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from toastbox import __version__, quantity

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

DESCRIPTION = "One folder in sync on every device you own, down to the toaster."
EPILOG = """\
exit codes: 0 done, 1 failed, 2 wrong use, 3 refused for safety
start with: `toastbox hub` on one machine, `toastbox invite` there for each device,
then on the device `toastbox join CODE FOLDER` and `toastbox agent FOLDER`
"""
MOST_INVITE_S = 7 * 86400
DO = ("status", "show", "network", "log", "wifi-scan", "unpair", "reboot", "poweroff")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line. Where that cannot be written the exit code remains: not so in early 3.11s."""

    def error(self, message: str) -> NoReturn:
        with suppress(OSError):
            sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        self.exit(2)

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """argparse keeps quiet when help cannot be written; this raises OSError."""
        (file or sys.stdout).write(self.format_help())


class Version(argparse.Action):
    """Prints the version. argparse's own keeps quiet when that fails."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Raises OSError."""
        print(f"toastbox {__version__}")
        parser.exit()


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """The command line: of a command that there is, that alone, which takes a tenth of the time; else the whole."""
    parser = Parser(
        prog="toastbox",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    every = [
        *(_hub, _invite, _join, _agent, _sync, _status, _top, _pause, _resume, _discover),
        *(_log, _versions, _restore, _devices, _revoke, _plain, _folders, _prune),
        *(_boards, _image, _emulate, _flash, _console),
    ]
    for add in [add for add in every if add.__name__ == f"_{command}"] or every:
        add(commands)
    return parser


Commands = Any  # argparse keeps the type of add_subparsers' answer private


def _command(commands: Commands, name: str, run: str, words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=f"{words}.")
    parser.set_defaults(run=run)
    return parser


def typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of toastbox.quantity for argparse, which shows the text of its own error type only."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be {error}") from None

    return read


def _address(text: str) -> str:
    quantity.parse_address(text)
    return text


def _path(text: str) -> str:
    """Not empty: a script's variable that is not set must not mean the folder it stands in, or the default."""
    if not text:
        raise ValueError(f"a folder, not {text!r}")
    return text


def _lifetime(text: str) -> int:
    seconds = quantity.parse_seconds(text)
    if not 1 <= seconds <= MOST_INVITE_S:
        raise ValueError(f"1 s to 7 days, not {text!r}")
    return seconds


def _revision(text: str) -> int:
    if not _is_number(text):
        raise ValueError(f"a number as `toastbox versions` prints it, not {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not _is_number(text):
        raise ValueError(f"a number above 0, not {text!r}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19 and int(text) > 0


def _data(parser: argparse.ArgumentParser, words: str = "the hub's data folder") -> None:
    parser.add_argument(
        "--data", metavar="DIR", type=typed(_path), help=f"{words} (default: see `toastbox hub --help`)"
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _listen(parser: argparse.ArgumentParser, words: str) -> None:
    parser.add_argument("--listen", metavar="HOST:PORT", type=typed(_address), help=words)


# --- a device and its folder


def _join(commands: Commands) -> None:
    parser = _command(commands, "join", "device:join", "Pair this device with a hub and bind a folder")
    parser.add_argument("code", metavar="CODE", help="what `toastbox invite` printed; - reads it from stdin")
    parser.add_argument(
        "folder", metavar="FOLDER", type=typed(_path), help="made when missing; what is in it is shared"
    )
    parser.add_argument("--hub", metavar="URL", help="https://HOST:PORT (default: looked for on the LAN)")
    parser.add_argument("--name", metavar="NAME", help="of this device (default: the host's name)")
    parser.add_argument("--again", action="store_true", help="pair a folder anew that is paired already")


def _agent(commands: Commands) -> None:
    parser = _command(commands, "agent", "device:agent", "Keep a joined folder in sync until stopped")
    parser.add_argument("folder", metavar="FOLDER", type=typed(_path), help="settings: FOLDER/.toastbox/config.toml")
    _listen(parser, "where LAN peers and the hub's posts reach this device (default: any free port)")
    parser.add_argument("--board", metavar="NAME", help="the board this runs on: its memory settings, shown to others")
    parser.add_argument("--no-announce", action="store_true", help="be silent on the LAN")
    _accept_deletes(parser)
    _budget(parser)


def _sync(commands: Commands) -> None:
    parser = _command(commands, "sync", "device:sync", "Sync once, until nothing is left to do, and exit")
    parser.add_argument("folder", metavar="FOLDER", type=typed(_path))
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, change nothing")
    _accept_deletes(parser)
    _budget(parser)


def _accept_deletes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept-deletes", action="store_true", help="deleting more than half of 50 or more files is meant"
    )


def _budget(parser: argparse.ArgumentParser) -> None:
    """Memory: before what config.toml and the board say."""
    for name, words in (
        ("arena", "memory for file records and transfer buffers"),
        ("sqlite-cache", "page cache of the index"),
        ("window", "of the arena: each buffer that is sent"),
    ):
        parser.add_argument(f"--{name}", metavar="SIZE", type=typed(quantity.parse_bytes), help=f"{words}, as 4MiB")


def _status(commands: Commands) -> None:
    parser = _command(commands, "status", "look:status", "Show state, cursor, names held back and why, and memory")
    parser.add_argument("folder", metavar="FOLDER", type=typed(_path))
    _json(parser)


def _top(commands: Commands) -> None:
    parser = _command(commands, "top", "top:top", "Show live where a running agent's memory and time are")
    parser.add_argument("folder", metavar="FOLDER", type=typed(_path))
    parser.add_argument("--once", action="store_true", help="one interval, then exit")
    parser.add_argument(
        "--interval", metavar="S", type=typed(quantity.parse_seconds), default=1, help="seconds between two looks (1)"
    )
    _json(parser)


def _pause(commands: Commands) -> None:
    parser = _command(commands, "pause", "look:pause", "Let a folder rest, over restarts too, until resumed")
    parser.add_argument("folder", metavar="FOLDER", type=typed(_path))


def _resume(commands: Commands) -> None:
    parser = _command(commands, "resume", "look:resume", "End a pause")
    parser.add_argument("folder", metavar="FOLDER", type=typed(_path))


def _discover(commands: Commands) -> None:
    parser = _command(commands, "discover", "look:discover", "List hubs and devices on the LAN")
    _json(parser)
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=typed(quantity.parse_seconds),
        default=3,
        help="(default: 3)",
    )


# --- history


def _place(parser: argparse.ArgumentParser) -> None:
    _data(parser, "ask the hub whose data folder this is, not the device's hub")
    parser.add_argument("--folder", metavar="NAME", help="with --data: which of the hub's folders")


def _log(commands: Commands) -> None:
    parser = _command(commands, "log", "history:log", "List what changed last")
    parser.add_argument(
        "place", metavar="FOLDER", type=typed(_path), nargs="?", default=".", help="joined (default: here)"
    )
    parser.add_argument("--count", metavar="N", type=typed(_count), default=50, help="(default: 50)")
    parser.add_argument("--before", metavar="SEQ", type=typed(_revision), help="older than this")
    _place(parser)
    _json(parser)


def _versions(commands: Commands) -> None:
    parser = _command(commands, "versions", "history:versions", "List the versions of a file on the hub")
    parser.add_argument("path", metavar="PATH", help="in a joined folder; with --data: inside the folder")
    _place(parser)
    _json(parser)


def _restore(commands: Commands) -> None:
    parser = _command(commands, "restore", "history:restore", "Make an old version the newest again")
    parser.add_argument("path", metavar="PATH", help="as for `toastbox versions`")
    parser.add_argument("seq", metavar="SEQ", type=typed(_revision), help="the version's number")
    _place(parser)


# --- the hub


def _hub(commands: Commands) -> None:
    parser = _command(commands, "hub", "hub:hub", "Run a hub")
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=typed(_path),
        help="journal, chunks, certificate, config.toml "
        "(default: /var/lib/toastbox for root, else $XDG_DATA_HOME/toastbox-hub)",
    )
    _listen(parser, "where devices reach it (default: *:8269)")
    parser.add_argument(
        "--listen-plain",
        metavar="HOST:PORT",
        type=typed(_address),
        help="also without TLS, signed, for devices that were allowed that (default: nowhere)",
    )
    parser.add_argument("--no-announce", action="store_true", help="be silent on the LAN")
    parser.add_argument("--journal", metavar="URL", default="embedded", help="(default: embedded, SQLite)")
    parser.add_argument("--chunks", metavar="URL", default="embedded", help="(default: embedded, packs)")
    parser.add_argument(
        "--restored",
        action="store_true",
        help="the data is from a backup: have devices compare anew",
    )


def _invite(commands: Commands) -> None:
    parser = _command(commands, "invite", "hub:invite", "Print a pairing code, alone on stdout")
    _data(parser)
    parser.add_argument(
        "--ttl",
        metavar="TIME",
        type=typed(_lifetime),
        default="10m",
        help="its lifetime (default: 10m)",
    )
    parser.add_argument("--folder", metavar="NAME", help="made when missing (default: the only one)")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="for a board without TLS: what it sends is signed, but can be read",
    )


def _devices(commands: Commands) -> None:
    parser = _command(commands, "devices", "hub:devices", "List paired devices")
    _data(parser)
    _json(parser)


def _revoke(commands: Commands) -> None:
    parser = _command(commands, "revoke", "hub:revoke", "Cut a device off at once, for good")
    parser.add_argument("name", metavar="NAME", help="as `toastbox devices` prints it")
    _data(parser)
    parser.add_argument("--folder", metavar="NAME", help="when devices of two folders have this name")


def _plain(commands: Commands) -> None:
    parser = _command(commands, "plain", "hub:plain", "Let a device do without TLS: signed, but readable on the way")
    parser.add_argument("name", metavar="NAME", help="as `toastbox devices` prints it")
    parser.add_argument("state", choices=("on", "off"))
    _data(parser)
    parser.add_argument("--folder", metavar="NAME", help="when devices of two folders have this name")


def _folders(commands: Commands) -> None:
    parser = _command(commands, "folders", "hub:folders", "List the hub's folders")
    _data(parser)
    _json(parser)


def _prune(commands: Commands) -> None:
    parser = _command(commands, "prune", "hub:prune", "Drop versions past their retention, free their room")
    _data(parser)


# --- boards


def _boards(commands: Commands) -> None:
    parser = _command(commands, "boards", "boards:boards", "List the boards that are known")
    _json(parser)


# --- a board's serial line


def _speed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 300 <= int(text[:9]) <= 4_000_000):
        raise ValueError(f"a speed in baud, as 115200, not {text!r}")
    return int(text)


def _console(commands: Commands) -> None:
    parser = _command(commands, "console", "console:console", "Set up a board over its serial line")
    parser.add_argument(
        "port",
        metavar="PORT",
        nargs="?",
        help="or socket://HOST:PORT of an emulator (default: the only port); alone: by hand",
    )
    parser.add_argument("--list", action="store_true", help="list the serial ports of this machine")
    parser.add_argument("--speed", metavar="BAUD", type=typed(_speed), default=115200, help="(default: 115200)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting; may be repeated")
    parser.add_argument(
        "--secret",
        metavar="KEY=FILE",
        action="append",
        default=[],
        help="a setting whose value is in a file; - is stdin",
    )
    parser.add_argument("--pair", metavar="CODE", help="what `toastbox invite` printed; - reads it from stdin")
    parser.add_argument("--do", metavar="COMMAND", action="append", default=[], choices=DO, help=f"{', '.join(DO)}")
    parser.add_argument("--password-file", metavar="FILE", help="of a console that has a password; - is stdin")
    parser.add_argument(
        "--wait", metavar="S", type=typed(quantity.parse_seconds), default=0, help="for the board to answer"
    )
    parser.add_argument("--all", metavar="SCRIPT", help="set up many boards at once, as a TOML script says")
    _json(parser)


def _image(commands: Commands) -> None:
    parser = _command(commands, "image", "image:image", "Build an SD card image for a board, from Debian packages")
    parser.add_argument("board", metavar="BOARD", help="as `toastbox boards` lists it")
    parser.add_argument("out", metavar="OUT", help="the image; compressed when its name ends in .xz")
    parser.add_argument("--hostname", metavar="NAME", help="(default: toastbox-XXXX, from its serial number)")
    parser.add_argument("--wifi", metavar="SSID", help="the network it joins")
    parser.add_argument("--wifi-password-file", metavar="F", help="a file that has the password, alone; - is stdin")
    parser.add_argument("--wifi-country", metavar="CC", help="two letters: which channels are allowed")
    parser.add_argument(
        "--ssh-key", metavar="F", help="public key that may log in as root; without one there is no SSH"
    )
    parser.add_argument("--join", metavar="CODE", help="pair at the first start with this code of `toastbox invite`")
    parser.add_argument("--hub-url", metavar="URL", help="of the hub, where it is not on the LAN")
    parser.add_argument("--size", metavar="S", type=typed(quantity.parse_bytes), default=0, help="(default: least)")
    parser.add_argument("--hub", action="store_true", help="the board is the hub")
    parser.add_argument("--renew", action="store_true", help="look for newer packages first (security fixes)")


def _emulate(commands: Commands) -> None:
    parser = _command(
        commands, "emulate", "image:emulate", "Boot an image in QEMU, the serial console on this terminal"
    )
    parser.add_argument(
        "image", metavar="IMAGE", help="what `toastbox image` made; it is written to, as a card would be"
    )
    parser.add_argument(
        "--memory", metavar="S", type=typed(quantity.parse_bytes), default=0, help="(default: the board's)"
    )
    parser.add_argument("--login", action="store_true", help="a root shell on the serial line instead of the console")
    parser.add_argument("--network", metavar="NETDEV", default="user", help="QEMU's -netdev (default: user)")
    parser.add_argument("--serial", metavar="CHARDEV", default="mon:stdio", help="QEMU's -serial (default: here)")


def _flash(commands: Commands) -> None:
    parser = _command(
        commands, "flash", "flash:flash", "Write an image to a card, or MicroPython and the program to a chip"
    )
    parser.add_argument("board", metavar="BOARD", help="as `toastbox boards` lists it")
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a block device such as /dev/sdX, or a file; for a microcontroller its UF2 drive, its serial "
        "port, or a file that ends in .uf2 or .img",
    )
    parser.add_argument("--firmware", metavar="F", help="microcontrollers: the MicroPython build, from its makers")
    parser.add_argument(
        "--checksum", metavar="HEX", help="the build's SHA-256, from its makers' page, if it is not known here"
    )
    parser.add_argument("--update-key", metavar="F", help="KEY.board of `make firmware-update`: whose updates it takes")
    parser.add_argument("--image", metavar="F", help="raw or .xz (default: BOARD.img here)")
    parser.add_argument(
        "--really", metavar="TARGET", help="for a disk that is not removable: its name again, to say that it is meant"
    )
