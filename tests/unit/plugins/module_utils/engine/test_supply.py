# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of supply: what is learned of pools, what a fleet is best made of, and how it gets there."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.composition import Terms, compose, uncovered
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import (
    HOUR,
    Memory,
    Pool,
    Prospect,
    Record,
    base_hazard,
    expected_losses,
    learn,
    open_chance,
    prospects,
    together,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance, Seen, Stakes, step

A, B, C = Pool("a", "us-east-1a", 1.0), Pool("b", "us-east-1b", 1.0), Pool("c", "us-west-2a", 1.0)
STAKES = Stakes(worth=10.0, on_demand_price=3.0, outage_hours=0.05)
DAY = 24 * HOUR


def aged(**hours):
    """A memory of pools that have been up for so many hours and hold instances at time 0."""
    return Memory(0.0, {name: Record(up_hours=up, seen_at=0.0) for name, up in hours.items()})


def running(pool, count=1, serving=True, launched_at=-DAY, leaving=False, first=1):
    return [Instance(f"{pool}{number}", pool, 1, launched_at, serving, leaving) for number in range(first, first + count)]


def seen(instances, memory, target=3, pools=(A, B, C), now=60.0, **events):
    return Seen(now, target, 0, instances, pools, memory, **events)


def test_the_hazard_falls_with_the_known_up_time_and_its_integral_is_what_is_expected():
    hours = [1 / 6, 1.0, 6.0, 48.0]
    assert sorted((base_hazard(one) for one in hours), reverse=True) == [base_hazard(one) for one in hours]
    steps = [number / 1000 for number in range(6000)]
    assert expected_losses(6.0) == pytest.approx(sum(base_hazard(one) for one in steps) / 1000, rel=0.01)


def test_a_pool_that_holds_an_instance_grows_older_and_a_loss_takes_most_of_its_age():
    memory = learn(aged(a=10.0), HOUR, ["a"], [], [])
    assert memory.records["a"].up_hours == pytest.approx(11.0)
    lost = learn(memory, HOUR + 60, [], ["a"], []).records["a"]
    assert lost.up_hours <= 0.5
    assert lost.closed_at == HOUR + 60
    assert lost.losses == pytest.approx(1.0)


def test_a_refusal_says_nothing_of_losses_where_the_pool_was_not_known_to_be_open():
    record = learn(Memory(), 0.0, [], [], ["a"]).records["a"]
    assert (record.losses, record.expected, record.closed_at) == (0.0, 0.0, 0.0)


def test_a_closed_pool_is_the_likelier_open_again_the_longer_ago_it_refused():
    record = Record(closed_at=0.0, refused_at=600.0)
    chances = [open_chance(record, 600.0 + wait) for wait in (0, 600, 3600, DAY)]
    assert chances[0] == pytest.approx(0.0)
    assert chances == sorted(chances)
    assert chances[-1] < 1


def test_a_pool_whose_region_has_no_room_elsewhere_is_more_hazardous():
    shut = Record(closed_at=0.0, refused_at=60.0)
    calm = prospects([A, B], Memory(60.0, {"a": Record(5.0, 60.0), "b": Record(5.0, 60.0)}), 60.0, ["a", "b"])
    scarce = prospects([A, B], Memory(60.0, {"a": Record(5.0, 60.0), "b": shut}), 60.0, ["a"])
    assert scarce["a"].hazard > 3 * calm["a"].hazard


def test_pools_that_were_lost_together_are_no_longer_taken_for_two():
    memory = aged(a=5.0, c=5.0)
    before = together(memory, A, C)
    for _loss in range(4):
        memory = learn(memory, memory.at + 60, [], ["a", "c"], [])
    assert together(memory, A, C) > 5 * before


def test_without_spares_what_is_lost_is_uncovered_and_spares_cover_the_first():
    assert uncovered(-2, 0.5) == pytest.approx(2.5)
    assert uncovered(0, 0.5) == pytest.approx(0.5)
    assert uncovered(1, 0.5) == pytest.approx(0.5 - 1 + 2.718281828**-0.5)
    assert uncovered(3, 0.5) < uncovered(2, 0.5)


@pytest.mark.parametrize(("hazard", "on_demand"), [(0.05, 0), (5.0, 3)], ids=["safe", "hazardous"])
def test_on_demand_is_taken_where_spot_with_its_risk_costs_more(hazard, on_demand):
    best = compose([Prospect(A, hazard, 1.0)], {"a": 3}, 3, Terms(3, 0, 3.0, 1.5, 0.1, 0.05), lambda one, other: 0.0)
    assert best.on_demand == on_demand
    assert best.total >= 3


def test_a_spare_is_kept_where_shortage_is_dear_and_not_where_it_is_cheap():
    pools = [Prospect(Pool(name, f"us-{name}-1a", 1.0), 0.3, 1.0) for name in ("east", "west", "north", "south")]

    def spares(risk_price):
        return compose(pools, {}, 0, Terms(3, 0, 3.0, risk_price, 0.1, 0.05), lambda one, other: 0.05).spares

    assert spares(0.5) == 0
    assert spares(5.0) >= 1


def test_no_zone_holds_more_than_its_part_of_the_target():
    pools = [Prospect(A, 0.01, 1.0), Prospect(B, 0.2, 1.0), Prospect(C, 0.2, 1.0)]
    best = compose(pools, {}, 0, Terms(4, 0, 3.0, 0.5, 0.1, 0.05, most_of_zone=0.5), lambda one, other: 0.1)
    assert max(best.spot.values()) <= 2 + best.spares


def composed(pools, **more):
    """The best of pools that are alike but for their prices, with nothing held."""
    promised = [Prospect(pool, 0.05, 0.9, full=pool.full) for pool in pools]
    facts = {"target": 6, "base": 0, "on_demand_price": 3.0, "risk_price": 1.5, "entry_price": 0.09, "outage": 0.05}
    return compose(promised, {}, 0, Terms(**{**facts, **more}), lambda one, other: together(Memory(), one.pool, other.pool))


def many(zone, count, price):
    return [Pool(f"{zone}{number}", zone, price + number / 100) for number in range(count)]


@pytest.mark.parametrize("target", [2, 6, 11, 500])
def test_where_the_best_pools_are_full_by_the_share_of_their_zone_other_zones_stand_in_and_not_on_demand(target):
    """As many as are looked at anyway are in the first zone, and a large fleet is built in large steps."""
    best = composed([*many("us-east-1a", 10, 1.0), *many("us-east-1b", 2, 1.5)], target=target, most_of_zone=0.5)
    zones = {zone: sum(units for pool, units in best.spot.items() if pool.startswith(zone)) for zone in ("us-east-1a", "us-east-1b")}
    assert all(units <= max(1, target // 2) + best.spares for units in zones.values())
    assert sum(zones.values()) >= target - target % 2 and best.on_demand <= target % 2


def test_so_many_pools_are_looked_at_as_the_share_of_a_pool_makes_needful():
    best = composed(many("us-east-1a", 20, 1.0), target=20, most_of_pool=0.05)
    assert (best.on_demand, len(best.spot)) == (0, 20)


def test_a_pool_that_takes_no_more_is_not_counted_on():
    full = [replace(pool, full=True) for pool in many("us-east-1b", 3, 1.2)]
    best = composed([*many("us-east-1a", 10, 1.0), *full, *many("us-east-1b", 4, 1.5)[3:]], most_of_zone=0.5)
    assert best.on_demand == 0 and best.spot["us-east-1b3"] >= 3


def test_a_lost_instance_is_replaced_where_there_is_room_in_the_same_step():
    took = step(seen(running("a", 2), aged(a=48.0, b=48.0), lost=["b"]), STAKES)
    assert took.moves.short == 1
    assert took.moves.spot.get("a", 0) >= 1
    assert took.moves.end == ()


def test_where_nothing_is_known_to_have_room_on_demand_is_asked_for_at_once_and_the_pools_too():
    took = step(seen([], aged(a=10.0), lost=["a", "b", "c"]), STAKES)
    assert took.moves.on_demand == 3
    assert set(took.moves.spot) == {"a", "b", "c"}


def test_on_demand_stays_until_its_replacement_serves():
    memory = aged(a=48.0)
    spot = running("a", 3, serving=False, launched_at=50.0)
    stand_in = [Instance(f"od{number}", None, 1, -HOUR, True) for number in range(3)]
    assert step(seen([*spot, *stand_in], memory), STAKES).moves.end == ()
    ended = step(seen([*running("a", 3, launched_at=0.0), *stand_in], memory), STAKES).moves.end
    assert sorted(ended) == ["od0", "od1", "od2"]


def test_an_instance_that_was_told_to_go_counts_for_nothing_and_is_not_ended_by_us():
    leaving = running("b", 1, leaving=True)
    took = step(seen([*running("a", 2), *leaving], aged(a=48.0, b=5.0), lost=["b"]), STAKES)
    assert took.moves.short == 1
    assert leaving[0].id not in took.moves.end


def test_the_same_arguments_give_the_same_step():
    arguments = seen(running("a", 1), aged(a=2.0, b=1.0), refused=["c"])
    assert step(arguments, STAKES) == step(arguments, STAKES)


@pytest.mark.parametrize("target, base", [(5, 0), (12, 3), (61, 2), (500, 7)])
def test_instances_come_whole_and_never_undershoot_the_target(target, base):
    pools = [Prospect(Pool("a", "us-east-1a", 1.0, 2), 0.1, 1.0), Prospect(Pool("b", "us-east-1b", 1.1, 4), 0.1, 1.0)]
    terms = Terms(target, base, 3.0, 0.5, 0.1, 0.05, most_of_zone=0.6, on_demand_capacity=2)
    best = compose(pools, {}, 0, terms, lambda one, other: 0.1)
    assert best.spot["a"] % 2 == 0 and best.spot["b"] % 4 == 0
    assert target + best.spares <= best.total <= 1.2 * (target + best.spares) + 4


def test_no_pool_holds_more_than_its_part_of_the_target():
    pools = [Prospect(A, 0.01, 1.0), Prospect(B, 0.2, 1.0)]
    best = compose(pools, {}, 0, Terms(4, 0, 3.0, 0.0, 0.0, most_of_pool=0.5), lambda one, other: 0.1)
    assert best.spot["a"] <= 2 and best.total == 4


def test_without_fallback_there_is_no_on_demand_beyond_the_base():
    took = step(seen([], aged(a=10.0), lost=["a", "b", "c"]), replace(STAKES, fallback=False))
    assert took.moves.on_demand == 0 and took.best.on_demand == 0 and took.moves.short == 3


def test_where_a_refusal_is_known_at_once_nothing_is_asked_for_besides():
    """The pools are not known to have room: a delayed answer is hedged, one that comes at once is waited for."""
    hedged, waited = (step(seen([], Memory()), replace(STAKES, answered=answered)) for answered in (False, True))
    assert hedged.moves.on_demand == 3 and len(hedged.moves.spot) == 3
    assert waited.moves.on_demand == waited.best.on_demand and sum(waited.moves.spot.values()) <= 3


def test_a_closed_pool_is_asked_again_when_its_time_has_come():
    memory = learn(learn(Memory(), -4000.0, [], [], ["a", "b", "c"]), 0.0, [], [], ["a", "b", "c"])
    stand_in = running(None, 3)
    now, later = (step(seen(stand_in, memory, now=at), STAKES).moves.spot for at in (60.0, 600.0))
    assert now == {} and set(later) == {"a", "b", "c"}


def test_after_a_drought_the_closed_pools_of_a_region_are_not_all_asked_at_once():
    """All of them may give again: what they give is beyond the target."""
    names = [f"p{number}" for number in range(40)]
    pools = [A, B, C, *(Pool(name, "us-east-1d", 1.0, 2) for name in names)]
    memory = learn(learn(aged(a=48.0, b=48.0, c=48.0), -4000.0, ["a", "b", "c"], [], names), 0.0, ["a", "b", "c"], [], names)
    fleet = [one for pool in ("a", "b", "c") for one in running(pool, 4)]
    few, all_of_them = (
        step(seen(fleet, memory, 12, pools, now=600.0), replace(STAKES, answered=answered)).moves.spot for answered in (True, False)
    )
    assert set(all_of_them) >= set(names)
    assert 0 < sum(few.values()) <= 4, "a quarter of the target, in whole instances"


def test_those_told_to_go_are_ended_when_the_target_is_served_without_them():
    leaving = [replace(one, id=f"gone-{one.id}", leaving=True) for one in running("b", 1)]
    short = step(seen([*running("a", 2), *leaving], aged(a=48.0, b=5.0)), STAKES).moves.end
    served = step(seen([*running("a", 3), *leaving], aged(a=48.0, b=5.0)), STAKES).moves.end
    assert not any(name.startswith("gone-") for name in short)
    assert [name for name in served if name.startswith("gone-")] == [one.id for one in leaving]


@pytest.mark.parametrize("seed", range(40))
def test_what_serves_is_never_taken_below_the_target(seed):
    dice = random.Random(seed)
    pools = [Pool(name, f"us-east-1{name}", dice.uniform(0.8, 1.4), dice.choice((1, 2))) for name in "abc"]
    instances = [
        Instance(
            f"i-{number}",
            dice.choice(("a", "b", "c", None)),
            dice.choice((1, 2)),
            -dice.uniform(0, 9000),
            dice.random() < 0.7,
            dice.random() < 0.1,
        )
        for number in range(dice.randrange(12))
    ]
    target = dice.randrange(1, 9)
    arguments = Seen(60.0, target, dice.randrange(2), instances, pools, aged(a=dice.uniform(0, 50), b=1.0))
    stakes = Stakes(dice.choice((3.0, 30.0)), 3.0, 0.05, answered=dice.random() < 0.5)
    moves = step(arguments, stakes).moves
    serving = sum(one.capacity for one in instances if one.serving and not one.leaving)
    left = sum(one.capacity for one in instances if one.serving and one.id not in moves.end)
    assert left >= min(target, serving)
    whole = {pool.id: pool.capacity for pool in pools}
    assert all(units % whole[name] == 0 for name, units in moves.spot.items())


@pytest.mark.parametrize("told", ["by the pool", "by its own refusal"])
def test_of_a_pool_that_has_no_more_than_it_gave_no_more_is_asked(told):
    """It keeps what it holds; what is missing comes from elsewhere, On-Demand in the end."""
    pools = [replace(A, full=told == "by the pool")]
    refused = ["a"] if told == "by its own refusal" else []
    arguments = seen(running("a", 2), aged(a=48.0), target=5, pools=pools, refused=refused)
    took = step(arguments, replace(STAKES, answered=True))
    assert took.moves.spot == {} and took.moves.on_demand == 3 and took.moves.end == ()
    assert took.best.spot == {"a": 2}


def test_a_base_in_one_large_instance_is_no_fallback_so_no_pool_is_held_to_grow_old():
    """The base of 2 units is one instance of 4; all that has no place in the best fleet goes."""
    pools = [replace(A, capacity=2), replace(B, capacity=4), replace(C, capacity=4)]
    base = Instance("base", None, 4, -DAY, True)
    fleet = [Instance(f"a{number}", "a", 2, -DAY, True) for number in range(8)]
    young = [Instance("b1", "b", 4, -HOUR, True), Instance("c1", "c", 4, -HOUR, True)]
    memory = aged(a=48.0, b=0.2, c=0.2)
    stakes = replace(STAKES, on_demand_capacity=2, answered=True)
    taken = step(Seen(60.0, 16, 2, [base, *fleet, *young], pools, memory), stakes)
    assert {"b1", "c1"} <= set(taken.moves.end) and "base" not in taken.moves.end


def test_pools_are_held_to_grow_old_for_no_more_units_than_on_demand_stands_in_for():
    pools = [Pool(name, f"us-east-1{name}", 1.0, 4) for name in "abc"]
    standing_in = [Instance(f"o{number}", None, 2, -DAY, True) for number in range(4)]
    young = [Instance(f"{name}1", name, 4, 0.0, True) for name in "abc"]
    stakes = Stakes(1000.0, 1.1, 0.5, answered=True)
    taken = step(Seen(60.0, 8, 4, [*standing_in, *young], pools, aged(a=0.01, b=0.01, c=0.01)), stakes)
    assert not taken.best.spot and len(taken.moves.end) == 2, "one of 4 units is held, as On-Demand stands in for 4"
