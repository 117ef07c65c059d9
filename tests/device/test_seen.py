"""What looks at a path show of one file."""

from typing import Any

import pytest

from toastbox.device.seen import seen_of
from toastbox.native.scan import FILE, Record

STAGED = Record(b"new1", FILE, 0o100644, 5, 1_000, 2_000, 77, 3)


def test_a_staged_file_that_shows_the_same_is_taken_on_with_path_and_ctime() -> None:
    seen = seen_of(b"", STAGED)
    at_its_path = STAGED._replace(name=b"b", ctime_ns=2_500)
    assert seen.moved(b"a/b", at_its_path)
    assert (seen.path, seen.key, seen.ctime_ns) == (b"a/b", b"a\0b", 2_500)
    assert seen.shows(at_its_path) and seen.signature == seen_of(b"a/b", at_its_path).signature


@pytest.mark.parametrize(
    "changed",
    [{"size": 6}, {"mtime_ns": 1_001}, {"inode": 78}, {"device": 4}, {"mode": 0o100755}, {"mode": 0o120644}],
    ids=str,
)
def test_anything_else_at_the_path_leaves_what_the_stage_showed(changed: dict[str, Any]) -> None:
    seen = seen_of(b"", STAGED)
    assert not seen.moved(b"a/b", STAGED._replace(ctime_ns=2_500, **changed))
    assert (seen.path, seen.ctime_ns) == (b"", 2_000)
