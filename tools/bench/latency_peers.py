"""Peers measured for one thing only, how soon a new file appears: lsyncd with rsync, and Unison watching."""

import time
from contextlib import ExitStack
from pathlib import Path

from tools.bench import latency, watch
from tools.bench.figures import Figures
from tools.bench.pair import two_sides
from tools.bench.procs import require
from tools.bench.rsync import open_push
from tools.bench.workload import Scale, fill_tree

READY_S = 10.0
LSYNCD_CONFIG = """\
settings {{ nodaemon = true, inotifyMode = "CloseWrite or Modify" }}
sync {{ default.rsync, source = "{folder}", target = "rsync://127.0.0.1:{port}/folder/", delay = 0 }}
"""


def lsyncd_session(work: Path, scale: Scale) -> Figures:
    """lsyncd on A pushing to an rsync daemon on B, the full tree in sync before."""
    require("lsyncd", "lsyncd")
    with open_push(work) as push:
        fill_tree(push.a.folder, scale)
        push.run()
        config = push.a.home / "lsyncd.lua"
        config.write_text(LSYNCD_CONFIG.format(folder=push.a.folder, port=push.port))
        push.processes.start("lsyncd", "lsyncd", config)
        time.sleep(READY_S)
        push.processes.check()
        return latency.measure(push.a.folder, push.b.folder, scale.latency_files)


def unison_session(work: Path, scale: Scale) -> Figures:
    """Unison between two local folders, looking every second: Debian's package has no watcher."""
    require("unison", "unison")
    with ExitStack() as stack:
        a, b, processes = stack.enter_context(two_sides(work, stack))
        manifest = fill_tree(a.folder, scale)
        argv = ("unison", a.folder, b.folder, "-batch", "-auto", "-repeat", "1", "-silent")
        processes.start("unison", *argv, env={"HOME": str(a.home), "UNISON": str(a.home)})
        watch.wait_tree(b.folder, manifest, processes, timeout_s=600)
        time.sleep(READY_S)
        return latency.measure(a.folder, b.folder, scale.latency_files)
