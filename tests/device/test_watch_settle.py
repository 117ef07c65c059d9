"""When changes are due: a table of times, no kernel."""

from toastbox.device.settle import (
    MAX_PENDING,
    QUIET_MAX_S,
    QUIET_S,
    RUSH_GAP_S,
    RUSH_PAUSE_S,
    RUSH_READS,
    SETTLE_MAX_S,
    SETTLE_S,
    Rush,
    Settle,
)


def test_steps_of_one_save_come_together():
    settle = Settle()
    settle.complete(b"a", False, 10)
    settle.complete(b"b", False, 10 + SETTLE_S / 2)
    assert not settle.take(10 + SETTLE_S)
    assert settle.take(10 + SETTLE_S * 1.5).paths == {b"a": False, b"b": False}
    assert settle.due_s() is None


def test_stream_of_changes_does_not_wait_for_ever():
    settle, now_s = Settle(), 10.0
    while not (batch := settle.take(now_s)):
        settle.complete(b"a", False, now_s)
        now_s += SETTLE_S / 2
    assert batch.paths
    assert SETTLE_MAX_S <= now_s - 10 <= SETTLE_MAX_S + SETTLE_S


def test_writer_that_never_pauses_is_looked_at_after_ten_seconds():
    settle, now_s = Settle(), 0.0
    while not (batch := settle.take(now_s)):
        settle.writing(b"log", now_s)
        now_s += QUIET_S / 2
    assert batch.paths == {b"log": False}
    assert QUIET_MAX_S <= now_s <= QUIET_MAX_S + QUIET_S


def test_closing_ends_the_wait_and_writing_on_renews_it():
    settle = Settle()
    settle.writing(b"a", 0)
    settle.complete(b"a", False, 0.1)
    settle.writing(b"a", 0.101)
    assert not settle.take(0.5)
    settle.complete(b"a", False, 0.6)
    assert settle.take(0.6 + SETTLE_S).paths == {b"a": False}


def test_attributes_do_not_hasten_a_file_being_written():
    settle = Settle()
    settle.writing(b"a", 0)
    settle.attributes(b"a", 0.1)
    settle.attributes(b"b", 0.1)
    assert settle.take(0.5).paths == {b"b": False}


def test_tree_flag_is_kept_when_the_path_changes_again():
    settle = Settle()
    settle.complete(b"a", True, 0)
    settle.complete(b"a", False, 0)
    assert settle.take(1).paths == {b"a": True}


def test_too_many_paths_become_their_folders():
    settle = Settle()
    for number in range(MAX_PENDING + 1):
        settle.complete(b"folder%d/%d" % (number % 3, number), False, 0)
    assert settle.take(1).paths == {b"folder0": True, b"folder1": True, b"folder2": True}


def test_too_many_folders_become_everything():
    settle = Settle()
    for number in range(MAX_PENDING + 1):
        settle.complete(b"%d/file" % number, False, 0)
    batch = settle.take(1)
    assert batch.everything and not batch.paths


def test_too_many_open_files_are_bounded():
    settle = Settle()
    for number in range(3 * MAX_PENDING):
        settle.writing(b"%d" % number, 0)
    assert len(settle._writing) <= MAX_PENDING
    assert settle.take(1).everything


def test_everything_swallows_single_paths():
    settle = Settle()
    settle.writing(b"a", 0)
    settle.complete(b"b", False, 0)
    settle.everything(0)
    assert settle.take(1).everything
    assert settle.due_s() is None


def test_a_save_now_and_then_is_read_at_once_and_a_rush_in_lots():
    rush = Rush()
    assert not any(rush.goes_on(10 + second) for second in range(100))
    times = [200 + RUSH_GAP_S / 2 * number for number in range(RUSH_READS + 5)]
    assert [rush.goes_on(time_s) for time_s in times] == [False] * RUSH_READS + [True] * 5
    assert rush.goes_on(times[-1] + RUSH_PAUSE_S)
    assert not rush.goes_on(times[-1] + RUSH_PAUSE_S + RUSH_GAP_S)
