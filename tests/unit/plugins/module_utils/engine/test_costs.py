# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instance hours to dollars."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.costs import cost, dollars, price_over
from ansible_collections.spot.platform.plugins.module_utils.engine.timeline import Stay

START = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
ON_DEMAND = {"m5.large": 0.1, "c5.large": 0.08}
SPOT = {("a", "m5.large"): [(START - timedelta(days=1), 0.03)], ("a", "c5.large"): [(START, 0.02)]}


def at(hours):
    return START + timedelta(hours=hours)


def stay(begin, end=None, lifecycle="spot", kind="m5.large", capacity=2, name="i-1"):
    return Stay(name, "a", kind, lifecycle, capacity, at(begin), at(begin), None if end is None else at(end))


def of(stays, hours=10, target=4, base=0, spot=None):
    return cost(stays, SPOT if spot is None else spot, ON_DEMAND, START, at(hours), target, base)


def test_spot_and_on_demand_at_their_prices():
    found = of([stay(0), stay(0, lifecycle="on_demand", name="i-2")])
    assert [(part.spent, part.all_on_demand) for part in found.parts] == [(300_000, 1_000_000), (1_000_000, 1_000_000)]
    assert (dollars(found.spent), dollars(found.all_on_demand), found.savings_percent) == (1.3, 2.0, 35.0)
    assert found.fallback_share == 0.5
    assert of([stay(0), stay(0, lifecycle="on_demand", name="i-2")], base=2).fallback_share == 0.0


def test_the_overlap_of_a_replacement_is_paid_but_not_compared():
    found = of([stay(0, 6), stay(4, name="i-2")], target=2)
    assert found.spent == 360_000
    assert found.all_on_demand == 1_000_000


def test_only_the_period_counts():
    assert of([stay(-5, 5)]).spent == 150_000
    assert of([stay(-5, -1)]).parts == ()


def test_a_price_that_changed_counts_for_as_long_as_it_held():
    history = [(at(-9), 0.03), (at(2), 0.05), (at(3), 0.01)]
    assert price_over(history, START, at(4)) / 3600 == pytest.approx(0.03 * 2 + 0.05 + 0.01)
    assert price_over(history, at(-20), at(-10)) / 3600 == pytest.approx(0.3)
    assert price_over(history, at(2.5), at(2.75)) / 3600 == pytest.approx(0.0125)
    assert price_over(history, at(5), at(6)) / 3600 == pytest.approx(0.01)


def test_a_type_without_a_price_is_left_out_of_both_sums_and_named():
    found = of([stay(0), stay(0, kind="x9.huge", name="i-2")])
    assert found.unpriced == ("x9.huge",)
    assert [part.id for part in found.parts] == ["i-1"]


def test_nothing_ran():
    found = of([])
    assert (found.spent, found.all_on_demand, found.savings_percent, found.fallback_share) == (0, 0, None, 0.0)


def test_sums_are_exactly_their_parts_and_saving_never_beats_the_prices():
    dice = random.Random(1)
    for _problem in range(50):
        stays = []
        for number in range(20):
            begin = dice.uniform(-2, 9)
            end = dice.choice([None, begin + dice.uniform(0.01, 5)])
            lifecycle, kind = dice.choice(["spot", "on_demand"]), dice.choice(["m5.large", "c5.large"])
            stays.append(stay(begin, end, lifecycle, kind, dice.choice([1, 2, 4]), f"i-{number}"))
        found = of(stays, target=10, base=2)
        assert found.spent == sum(part.spent for part in found.parts)
        assert 0 <= found.fallback_share <= 1
        assert found.savings_percent is None or found.savings_percent <= 75.0
