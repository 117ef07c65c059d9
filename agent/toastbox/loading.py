"""While a program is loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Modules are imported inside: what they make stays, and is not searched for circles of garbage again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
