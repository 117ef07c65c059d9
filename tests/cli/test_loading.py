"""Loading a program: no search for circles of garbage meanwhile, and all of them afterwards."""

import gc

import pytest

from toastbox.loading import loading


def test_circles_are_not_looked_for_while_modules_are_loaded() -> None:
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_they_are_looked_for_again_after_a_failure() -> None:
    with pytest.raises(SystemExit), loading():
        raise SystemExit(2)
    assert gc.isenabled()
