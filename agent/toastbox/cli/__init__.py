"""The command line. Each command is a function of a module that is imported when it runs, so that `toastbox
status` starts quickly and an agent never holds what only a hub needs.

A failure is one line on stderr that says what to do, and an exit code: 0 done, 1 failed, 2 wrong use, 3
refused for safety (toastbox/errors.py). TOASTBOX_DEBUG=1 lets tracebacks through.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from toastbox.errors import DeviceFailing, DeviceFull, ToastboxError
from toastbox.loading import loading

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Wrong use of options ends in SystemExit(2), as argparse does."""
    open_standard_streams()
    try:
        code = _run(argv)
        sys.stdout.flush()
    except Exception as error:
        if os.environ.get("TOASTBOX_DEBUG"):
            raise
        return report(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def open_standard_streams() -> None:
    """Descriptors 0 to 2 that were closed at the start lead nowhere from now on. Else the next file that is opened,
    a database perhaps, would have the number of stderr, and get what is printed there."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (found := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(found, True)
    os.close(found)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _run(argv: Sequence[str] | None) -> int:
    with loading():
        from toastbox.cli.parser import build_parser

        try:
            words = sys.argv[1:] if argv is None else argv
            options = build_parser(words[0] if words else "").parse_args(words)
        except SystemExit:
            sys.stdout.flush()  # help that could not be written is a failure like any other
            raise
        name, _, function = options.run.partition(":")
        module = import_module(f"toastbox.cli.{name}")
    return int(getattr(module, function)(options) or 0)


def report(error: Exception) -> int:
    """Say what went wrong in one line; the exit code for it."""
    try:
        sys.stdout.flush()
    except OSError:  # what it still holds goes nowhere, else the interpreter fails with it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # whoever read our output has gone: nobody is left to tell
        return 1
    from toastbox.output import warn

    known = error if isinstance(error, ToastboxError) else translated(error)
    warn(str(known))
    return known.exit_code


def translated(error: Exception) -> ToastboxError:
    """An error nobody has named yet, as one of ours."""
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        kind = DeviceFull if error.errno in NO_ROOM else DeviceFailing
        return kind(f"{where}{error.strerror or error}")
    kind_name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return ToastboxError(
        f"{kind_name}: {error} (this is a bug: run it again with TOASTBOX_DEBUG=1 and report what it prints)"
    )
