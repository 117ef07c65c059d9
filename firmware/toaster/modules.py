"""Modules that are not always needed leave the heap again."""

import gc
import sys

import toaster


def forget(name):
    """Nothing may refer to what is in it any more."""
    sys.modules.pop("toaster." + name, None)
    if hasattr(toaster, name):
        delattr(toaster, name)
    gc.collect()
