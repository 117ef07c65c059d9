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

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Wrong use of options ends in SystemExit(2), as argparse does."""
    from toastbox.cli.parser import build_parser

    options = build_parser().parse_args(argv)
    module, _, function = options.run.partition(":")
    try:
        code = int(getattr(import_module(f"toastbox.cli.{module}"), function)(options) or 0)
        sys.stdout.flush()
    except Exception as error:
        if os.environ.get("TOASTBOX_DEBUG"):
            raise
        return report(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def report(error: Exception) -> int:
    """Say what went wrong in one line; the exit code for it."""
    if isinstance(error, BrokenPipeError):  # whoever read our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    from toastbox.output import warn

    known = error if isinstance(error, ToastboxError) else translated(error)
    warn(str(known))
    return known.exit_code


def translated(error: Exception) -> ToastboxError:
    """An error nobody has named yet, as one of ours."""
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        kind = DeviceFull if error.errno in NO_ROOM else DeviceFailing
        return kind(f"{where}{error.strerror or error}")
    kind_name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return ToastboxError(
        f"{kind_name}: {error} (this is a bug: run it again with TOASTBOX_DEBUG=1 and report what it prints)"
    )
