"""hub, invite, devices, revoke, folders, prune: what runs where the hub's data folder is."""

import argparse
import os
from pathlib import Path

from toastbox.errors import WrongUse

ROOT_DATA = "/var/lib/toastbox"
EMBEDDED = "embedded"


def data_folder(options: argparse.Namespace) -> Path:
    """--data, or where this user's hub keeps its data by default."""
    if options.data:
        return Path(options.data)
    if os.geteuid() == 0:
        return Path(ROOT_DATA)
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(home) / "toastbox-hub"


def refuse_scale(options: argparse.Namespace) -> None:
    """WrongUse: storage that this version does not have."""
    for name in ("journal", "chunks"):
        url = getattr(options, name)
        if url != EMBEDDED:
            raise WrongUse(
                f"--{name} {url!r} is not in this version: leave it out to use what is embedded"
            )
