"""When not to believe a folder, and how long to wait."""

from toastbox.core.backoff import delay_s
from toastbox.core.guard import Root, judge_root, too_many_deletes

HOME = Root("ext4 1234", 2)


def test_more_than_half_of_fifty_is_too_many():
    for deleted, live, outcome in [
        (0, 0, False),
        (49, 49, False),
        (25, 50, False),
        (26, 50, True),
        (50, 50, True),
        (50, 100, False),
        (51, 100, True),
    ]:
        assert too_many_deletes(deleted, live) == outcome, (deleted, live)


def test_known_root_is_believed():
    assert judge_root(HOME, HOME, 3, 3) == ""
    assert judge_root(HOME, HOME, 0, 0) == ""
    assert judge_root(HOME, HOME, 1, 1000) == ""


def test_other_roots_are_not_believed():
    assert "gone" in judge_root(HOME, None, 0, 3)
    assert "file system" in judge_root(HOME, Root("tmpfs 9", 2), 3, 3)
    assert "not the one" in judge_root(HOME, Root("ext4 1234", 3), 3, 3)
    assert "empty" in judge_root(HOME, HOME, 0, 3)


def test_delay_doubles_up_to_its_cap_and_is_spread():
    assert [delay_s(attempt, 1.0, 1.0, 60.0) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert delay_s(3, 0.0, 1.0, 60.0) == 2
    assert delay_s(10**9, 1.0, 0.5, 60.0) == 60
    assert delay_s(0, 1.0, 1.0, 60.0) == 1
