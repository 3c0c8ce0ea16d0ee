"""The sandbox's clock: in its own process, so without a running sandbox."""

from __future__ import annotations

import time

import pytest
from spot_sandbox import clock


@pytest.fixture(autouse=True)
def still():
    """Time stands still but for steps."""
    clock.reset(0)
    yield
    clock.reset(1.0)


def test_calls_run_in_order_each_at_its_own_time():
    begun, seen = clock.time(), []

    def note(name):
        seen.append((name, round(clock.time() - begun)))

    clock.call_later(30, note, "late")
    clock.call_later(10, note, "early")
    clock.call_later(40, note, "beyond")
    clock.advance(30)
    assert seen == [("early", 10), ("late", 30)]
    assert round(clock.time() - begun) == 30


def test_a_call_that_schedules_another_is_followed_within_one_step():
    begun, seen = clock.time(), []

    def tick():
        seen.append(round(clock.time() - begun))
        clock.call_later(60, tick)

    clock.call_later(60, tick)
    clock.advance(200)
    assert seen == [60, 120, 180]


def test_a_cancelled_call_does_not_run():
    seen = []
    clock.call_later(5, seen.append, 1).cancel()
    clock.advance(10)
    assert seen == []


def test_a_failing_call_does_not_stop_the_others(caplog):
    seen = []
    clock.call_later(1, lambda: 1 / 0)
    clock.call_later(2, seen.append, "after")
    clock.advance(3)
    assert seen == ["after"]
    assert "a scheduled step failed" in caplog.text


def test_a_faster_clock_runs_what_is_due_by_itself():
    seen = []
    clock.call_later(3600, seen.append, 1)
    clock.set_speed(100_000)
    deadline = time.monotonic() + 10
    while not seen and time.monotonic() < deadline:
        time.sleep(0.005)
    assert seen == [1]


@pytest.mark.parametrize("seconds", [-1, 366 * 86400 + 1, float("nan")])
def test_only_forward_and_at_most_a_year(seconds):
    with pytest.raises(ValueError, match="cannot advance by"):
        clock.advance(seconds)


@pytest.mark.parametrize("speed", [-0.1, 100_001])
def test_speed_has_bounds(speed):
    with pytest.raises(ValueError, match="out of range"):
        clock.set_speed(speed)
