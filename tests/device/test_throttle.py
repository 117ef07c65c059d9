"""The bandwidth limit, on a clock that only moves by sleeping."""

import pytest

from manual import ManualClock
from toastbox.device.throttle import BURST_S, Throttle


def make(rate: float) -> tuple[Throttle, ManualClock]:
    clock = ManualClock()
    return Throttle(rate, clock.monotonic_s, clock.sleep), clock


@pytest.mark.parametrize("piece", [1, 100, 5000])
def test_average_is_the_limit(piece):
    throttle, clock = make(1000)
    for _ in range(20_000 // piece):
        throttle.spend(piece)
    assert clock.now_s - 1000 == pytest.approx(20 - BURST_S)


def test_pause_saves_up_no_more_than_a_burst():
    throttle, clock = make(1000)
    throttle.spend(250)
    clock.now_s += 3600
    throttle.spend(250)
    assert clock.slept == []
    throttle.spend(500)
    assert clock.slept == [pytest.approx(0.5)]


@pytest.mark.parametrize(("rate", "slice_bytes"), [(100, 1024), (40_000, 10_000), (1e9, 65_536)])
def test_slices_flow(rate, slice_bytes):
    assert make(rate)[0].slice_bytes == slice_bytes


@pytest.mark.parametrize("rate", [0, -1])
def test_no_limit_is_not_a_limit_of_nothing(rate):
    with pytest.raises(ValueError):
        make(rate)


def test_a_limit_that_changes_while_it_counts():
    rates = [1000.0]
    clock = ManualClock()
    throttle = Throttle(lambda: rates[0], clock.monotonic_s, clock.sleep)
    throttle.spend(1250)
    assert clock.slept == [pytest.approx(1.0)]
    rates[0] = 0
    throttle.spend(10**9)
    assert len(clock.slept) == 1 and throttle.slice_bytes == 65_536
    rates[0] = 500
    throttle.spend(500)
    assert clock.slept[1:] == [pytest.approx(1.0)]
