# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.forecasts import COVERAGE, forecast, weekday_factors

START = date(2025, 10, 1)
WEEK = (1.2, 1.2, 1.2, 1.2, 1.1, 0.6, 0.5)


def series(days, dice, noise=0.0, weekly=True, drift=0.0, outliers=0.0, level=100.0):
    costs = {}
    for number in range(days):
        day = START + timedelta(days=number)
        level *= 1 + dice.gauss(0, drift)
        cost = level * (WEEK[day.weekday()] if weekly else 1.0) * (1 + dice.gauss(0, noise))
        if dice.random() < outliers:
            cost *= 5
        costs[day] = max(0.0, cost)
    return costs


def month_of(costs, today):
    return sum(cost for day, cost in costs.items() if (day.year, day.month) == (today.year, today.month))


def backtest(count, **shape):
    """The part of months, forecast on a day of each, that ended in the band, and the median error."""
    dice = random.Random(11)
    inside, errors = 0, []
    for _number in range(count):
        costs = series(123, dice, **shape)
        today = START + timedelta(days=92 + dice.randint(2, 24))
        known = {day: cost for day, cost in costs.items() if day < today}
        found, truth = forecast(known, today), month_of(costs, today)
        inside += found.low <= truth <= found.high
        errors.append(abs(found.expected - truth) / truth)
    return inside / count, sorted(errors)[count // 2]


def test_a_month_that_goes_on_as_it_did_is_forecast_exactly():
    costs = series(123, random.Random(1))
    today = date(2026, 1, 10)
    found = forecast({day: cost for day, cost in costs.items() if day < today}, today)
    assert found.expected == pytest.approx(month_of(costs, today), rel=0.01)
    assert found.high - found.low < 0.05 * found.expected
    assert (found.days_over, found.days_left) == (9, 22)
    assert found.spent == pytest.approx(sum(cost for day, cost in costs.items() if date(2026, 1, 1) <= day < today))


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ({"noise": 0.1}, 0.05),
        ({"noise": 0.1, "weekly": False}, 0.05),
        ({"noise": 0.3}, 0.12),
        ({"noise": 0.05, "drift": 0.02}, 0.08),
        ({"noise": 0.1, "drift": 0.01}, 0.08),
    ],
)
def test_as_many_months_end_in_the_band_as_it_says(shape, error):
    inside, typical = backtest(300, **shape)
    assert COVERAGE - 0.12 <= inside <= COVERAGE + 0.17
    assert typical <= error


def test_days_that_are_far_off_do_not_move_the_forecast():
    costs = series(123, random.Random(3), noise=0.05)
    today = date(2026, 1, 20)
    known = {day: cost for day, cost in costs.items() if day < today}
    calm = forecast(known, today)
    wild = forecast({**known, date(2025, 12, 24): 5000.0, date(2026, 1, 16): 3000.0}, today)
    assert wild.expected - wild.spent == pytest.approx(calm.expected - calm.spent, rel=0.1)


def test_without_a_week_there_is_none_and_with_one_the_weekdays_are_alike():
    days = {START + timedelta(days=number): 10.0 for number in range(6)}
    assert forecast(days, START + timedelta(days=6)) is None
    assert forecast({}, START) is None
    days[START + timedelta(days=6)] = 10.0
    found = forecast(days, START + timedelta(days=7))
    assert found.expected == pytest.approx(310) and found.low == found.high == found.expected


def test_a_day_without_an_entry_cost_nothing():
    days = {START + timedelta(days=number): 10.0 for number in range(0, 28, 2)}
    assert forecast(days, START + timedelta(days=28)).spent == pytest.approx(140)


def test_weekdays_that_cost_less_have_smaller_factors():
    costs = series(56, random.Random(1))
    factors = weekday_factors(list(costs), list(costs.values()))
    assert factors == {weekday: pytest.approx(factor, rel=0.02) for weekday, factor in enumerate(WEEK)}
    assert sum(factors.values()) == pytest.approx(7)
