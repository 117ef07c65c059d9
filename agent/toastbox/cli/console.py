"""console: a board's serial line from the PC, by hand, scripted, or many at once."""

import argparse
import sys
from pathlib import Path
from typing import Any

from toastbox.errors import ToastboxError, WrongUse
from toastbox.output import Progress, printable, say, say_json, say_table

MAX_SECRET = 4096


def console(options: argparse.Namespace) -> int:
    """One of: list, all, scripted, by hand."""
    if options.list:
        return list_ports(options)
    if options.all:
        if options.port or options.set or options.secret or options.pair or options.do:
            raise WrongUse("with --all everything is in the script: leave PORT, --set, --secret, --pair and --do out")
        from toastbox.cli.console_fleet import provision

        return provision(Path(options.all), options.speed, options.json)
    from toastbox.cli.console_port import Wire, only_port

    wire = Wire(options.port or only_port(), options.speed)
    wire.open()
    try:
        if options.set or options.secret or options.pair or options.do or options.json:
            return scripted(wire, options)
        from toastbox.cli.console_terminal import talk

        return talk(wire)
    finally:
        wire.close()


def list_ports(options: argparse.Namespace) -> int:
    from toastbox.cli.console_port import ports

    found = ports()
    if options.json:
        say_json([each._asdict() for each in found])
    else:
        say_table(("PORT", "NAME", "USB"), found)
    return 0


# --- scripted


def scripted(wire: Any, options: argparse.Namespace) -> int:
    """Settings first, all in one; then the pairing; then what --do names. Stops at the first that fails."""
    from toastbox.cli.console_client import Client

    password = read_secret(options.password_file) if options.password_file else ""
    steps = plan(options)
    results: dict[str, Any] = {}
    client = Client(wire)
    with Progress() as progress:
        progress.show(f"waiting for the board on {wire.port}")
        results["board"] = client.connect(password, **({"wait_s": options.wait} if options.wait else {}))
        password = next_password(steps, password)
        for at, (name, args) in enumerate(steps):
            progress.show(f"{name} ...")
            results[name] = client.ask(name, **args)
            if name == "reboot" and at + 1 < len(steps):
                client.await_return(password)
    if options.json:
        say_json(results)
    else:
        show(results)
    return 0


def plan(options: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """(command, arguments) in the order in which they are to be done."""
    values = dict(split_setting(each) for each in options.set)
    values.update((key, read_secret(place)) for key, place in map(split_setting, options.secret))
    steps: list[tuple[str, dict[str, Any]]] = []
    if values:
        steps.append(("set", {"values": check_settings(values)}))
    if options.pair:
        code = sys.stdin.readline(MAX_SECRET).strip() if options.pair == "-" else options.pair
        steps.append(("pair", {"code": check_code(code)}))
    return steps + [(name, {}) for name in options.do]


def next_password(steps: list[tuple[str, dict[str, Any]]], password: str) -> str:
    """The console's after these steps."""
    for _, args in steps:
        password = args.get("values", {}).get("console.password", password)
    return password


def split_setting(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found:
        raise WrongUse(f"a setting is KEY=VALUE, not {text!r}")
    return key.strip(), value


def check_settings(values: dict[str, str]) -> dict[str, str]:
    """Wrong ones are told before a board is asked."""
    from toastbox.core import console_limits
    from toastbox.core.console_settings import OF_TOASTERS, add, check

    add(console_limits.SETTINGS)
    try:
        # A microcontroller has some of its own, and may do without TLS: it judges that itself.
        own = {key for key, value in values.items() if key in OF_TOASTERS or (key == "hub" and value[:7] == "http://")}
        return {key: value if key in own else check(key, value) for key, value in values.items()}
    except ValueError as error:
        raise WrongUse(str(error)) from error


def check_code(code: str) -> str:
    from toastbox.core.pairing import decode_code

    try:
        decode_code(code)
    except ValueError as error:
        raise WrongUse(f"this is not a pairing code ({error}): copy it whole, or ask for another") from error
    return code


def read_secret(place: str) -> str:
    """The first line of a file; - is stdin."""
    try:
        if place == "-":
            return sys.stdin.readline(MAX_SECRET).rstrip("\r\n")
        with Path(place).open(encoding="utf-8") as file:
            return file.readline(MAX_SECRET).rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        raise ToastboxError(f"{place} cannot be read: {error}") from error


def show(results: dict[str, Any]) -> None:
    """Each answer under the name of its command, but for the greeting."""
    from toastbox.core.console_commands import render

    for name, result in results.items():
        if name != "board":
            say(f"{name}:")
            for line in (render(result) or "done").splitlines():
                say(f"  {printable(line)}")
