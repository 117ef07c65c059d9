"""Replay a history, or play many: see the top of __init__.py."""

import argparse
import logging
import sys
import time
import traceback

from .history import History


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    failures = 0
    started = time.monotonic()
    for seed in range(options.seed, options.seed + options.count):
        failures += not played(seed, options.trace)
    print(f"{options.count} histories, {failures} failed, {time.monotonic() - started:.1f} s")
    return 1 if failures else 0


def played(seed: int, trace: bool) -> bool:
    try:
        History(seed, print if trace else None).play()
    except Exception as error:
        if trace:
            traceback.print_exc()
        print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
