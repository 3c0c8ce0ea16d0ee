# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instance hours to dollars."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.costs import Use, cost, dollars, estimated, price_over
from ansible_collections.spot.platform.plugins.module_utils.engine.money import UNITS
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


def test_an_instance_larger_than_the_base_is_no_fallback():
    large = stay(0, lifecycle="on_demand", capacity=4, name="i-2")
    assert of([stay(0), large], base=2).fallback_share == 0.0
    assert of([stay(0), large], base=0).fallback_share == round(4 / 6, 4)
    second = stay(5, lifecycle="on_demand", capacity=4, name="i-3")
    assert of([stay(0), large, second], base=2, hours=10).fallback_share == round(4 * 5 / (6 * 5 + 10 * 5), 4)


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


def test_days_and_pools_add_up_to_the_whole_and_so_do_their_shares():
    dice = random.Random(2)
    for _problem in range(30):
        stays = [
            stay(begin := dice.uniform(-2, 60), begin + dice.uniform(0.01, 40), dice.choice(["spot", "on_demand"]), name=f"i-{number}")
            for number in range(12)
        ]
        found = of(stays, hours=72, target=8, base=2)
        for key in (lambda one: one.day, lambda one: (one.zone, one.instance_type, one.lifecycle), lambda one: one.id):
            parts = found.by(key).values()
            assert sum(part.spent for part in parts) == found.spent
            assert sum(part.all_on_demand for part in parts) == found.all_on_demand
        assert len(found.by(lambda one: one.day)) <= 4


def test_each_day_begins_at_midnight_in_utc():
    found = of([stay(0)], hours=36)
    by_day = found.by(lambda one: str(one.day))
    assert {day: cost.spent for day, cost in by_day.items()} == {"2026-01-31": 360_000, "2026-02-01": 720_000}


def test_on_demand_above_the_base_is_what_the_fallback_cost():
    stays = [stay(0, lifecycle="on_demand", name=f"i-{number}") for number in range(3)]
    assert sum(one.fallback for one in of(stays, base=2).slices) == pytest.approx(2_000_000, abs=len(stays))
    assert sum(one.fallback for one in of(stays, base=6).slices) == 0
    assert sum(one.fallback for one in of([stay(0)], base=0).slices) == 0


def test_what_was_spent_on_interrupted_instances_is_told():
    taken = Stay("i-2", "a", "m5.large", "spot", 2, at(1), at(1), at(4), interrupted=True)
    found = of([stay(0), taken])
    assert {one.id: one.interrupted for one in found.slices} == {"i-1": 0, "i-2": 90_000}


def test_a_commitment_is_compared_with_where_every_type_has_a_rate():
    rates = {"m5.large": 0.06}
    given = (SPOT, ON_DEMAND, START, at(10), 4, 0)
    assert cost([stay(0)], *given, rates).committed == 600_000
    assert cost([stay(0), stay(0, kind="c5.large", name="i-2")], *given, rates).committed is None
    assert cost([stay(0)], *given).committed is None


def test_what_runs_is_booked_by_day():
    use = Use("web", "compute", "us-east-1", "spot", at(6), at(20), [(at(0), 0.1), (at(12), 0.2)])
    found = estimated([use, use], START, at(15))
    assert {key[0].isoformat(): units / UNITS for key, units in found.items()} == {
        "2026-01-31": pytest.approx(2 * 6 * 0.1),
        "2026-02-01": pytest.approx(2 * 3 * 0.2),
    }
    assert estimated([use], at(20), at(30)) == {}
