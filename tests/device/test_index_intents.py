"""Intents share rows: what is read is what was written, in its order, of the batches that are not dropped."""

import sqlite3
from pathlib import Path

import pytest

from toastbox.device.index import Index
from toastbox.device.intents import TOGETHER, Intent

OLD_TABLE = "CREATE TABLE intent(batch INTEGER, staged BLOB, inode INTEGER, record BLOB, expected BLOB)"


def intents_from(number: int, count: int) -> list[Intent]:
    """With and without what is expected, of different sizes; inode numbers as large as they come."""
    return [
        (b"new%d" % at, 2**64 - at, b"record" * (at % 5 + 1), b"expected" if at % 3 else b"")
        for at in range(number, number + count)
    ]


@pytest.mark.parametrize("count", [1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER + 7])
def test_intents_come_back_in_order_until_their_batch_is_dropped(count: int) -> None:
    index = Index(":memory:")
    first, second = intents_from(1, count), intents_from(1000, count)
    index.intend(1, first)
    index.intend(2, second)
    assert index.intents() == first + second
    index.drop_intents(2)
    assert index.intents() == second
    index.drop_intents(3)
    assert index.intents() == []
    index.close()


def test_nothing_to_be_published_is_no_intent() -> None:
    index = Index(":memory:")
    index.intend(1, [])
    assert index.intents() == []
    index.close()


def test_what_a_crash_left_under_version_3_is_taken_up_under_version_4(tmp_path: Path) -> None:
    Index(str(tmp_path / "index.db")).close()
    left = [(b"new7", 77, b"record", b""), (b"-", 78, b"another", b"expected"), (b"=old", 79, b"third", b"as it was")]
    db = sqlite3.connect(tmp_path / "index.db")
    db.executescript(f"DROP TABLE intents; {OLD_TABLE}; PRAGMA user_version = 3")
    db.executemany("INSERT INTO intent VALUES(?, ?, ?, ?, ?)", [(at + 4, *intent) for at, intent in enumerate(left)])
    db.commit()
    db.close()
    index = Index(str(tmp_path / "index.db"))
    assert index.intents() == left
    index.drop_intents(5)
    assert index.intents() == left[1:]
    index.close()
    again = Index(str(tmp_path / "index.db"))
    assert again.intents() == left[1:]
    again.close()
