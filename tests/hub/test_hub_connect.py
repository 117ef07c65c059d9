"""Queries of many keys or rows at once."""

import sqlite3

import pytest

from toastbox.hub.journal.connect import Lookup

_KNOWN = [b"key%d" % n for n in range(0, 1200, 2)]


@pytest.fixture
def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE row (folder INTEGER, key BLOB, PRIMARY KEY (folder, key))")
    connection.executemany("INSERT INTO row VALUES (1, ?)", [(key,) for key in _KNOWN])
    connection.executemany("INSERT INTO row VALUES (2, ?)", [(b"key%d" % n,) for n in range(1200)])
    return connection


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 257, 289, 600])
def test_lookup_finds_what_is_there_once_whatever_the_number_of_keys(table: sqlite3.Connection, count: int) -> None:
    keys = [b"key%d" % n for n in range(count)]
    asked, found = [], []
    for part, rows in Lookup("SELECT key FROM row WHERE folder = ? AND key IN ({})").find(table, 1, keys):
        asked += part
        found += [key for (key,) in rows]
    assert asked == keys
    assert sorted(found) == sorted(set(keys) & set(_KNOWN))


def test_lookup_has_few_forms() -> None:
    connection = sqlite3.connect(":memory:")
    forms = set[str]()
    connection.set_trace_callback(forms.add)
    for count in range(33, 257):
        for _ in Lookup("SELECT ?, x FROM (SELECT x'00' AS x) WHERE x IN ({})").find(connection, 1, [b"\0"] * count):
            pass
    assert len(forms) == 7
