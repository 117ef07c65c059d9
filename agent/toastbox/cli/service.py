"""The agent as an image starts it: as `toastbox agent FOLDER --board BOARD`, but sooner on the LAN.

    python -m toastbox.cli.service FOLDER BOARD

Reading a command line, and the board's file, needs modules that a small board loads for a second: here that is after
the announcing. What the board's file says is about memory alone, so nothing that is announced depends on it.
"""

import os
import sys
from collections.abc import Sequence

from toastbox.config import AgentSettings
from toastbox.device.begin import run
from toastbox.device.state import Store


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM; the exit code."""
    folder, board = argv
    try:
        serve(folder, board)
    except Exception as error:
        from toastbox.cli import report

        return report(error)
    except KeyboardInterrupt:
        return 1
    return 0


def serve(folder: str, board: str) -> None:
    set_up_log()
    with Store.open(folder) as store, store.locked(), store.healing():

        def complete() -> AgentSettings:
            from toastbox.cli.device import settings_of

            return settings_of(store, board)

        run(store, store.settings(), complete)


def set_up_log() -> None:
    """TOASTBOX_LOG=info: what a run did with its memory, in a line on stderr at its end. Else only what goes wrong."""
    import logging

    level = os.environ.get("TOASTBOX_LOG", "warning").upper()
    logging.basicConfig(level=level if level in ("INFO", "DEBUG") else "WARNING", format="%(message)s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
