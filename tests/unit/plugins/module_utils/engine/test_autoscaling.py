# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoscaler's decision: demand, supply and notices in one, with its reasons."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import (
    ASK_AGAIN,
    ASK_SOON,
    Observation,
    Policy,
    decide,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import Share
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, Pool, Record, learn
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import LOAD, Budget, Metric, Point, Scaling
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance

NOW = 1_000_000.0
POOLS = [Pool(f"us-east-1{zone}/m5.large", f"us-east-1{zone}", 0.02) for zone in "abc"]
A, B, C = (pool.id for pool in POOLS)
OLD = Memory(NOW - 60, {pool.id: Record(up_hours=48.0, seen_at=NOW - 60) for pool in POOLS})
CLOSED = learn(learn(OLD, NOW - 900, [], [], [A, B, C]), NOW - 10, [], [], [A, B, C])
"""All pools have just refused again: it is not time to ask them."""
POLICY = Policy(Scaling(2, 20), on_demand_base=1)


def some(pool, count, serving=True, **more):
    return [Instance(f"i-{pool}-{number}", pool, 1, NOW - 9000, serving, **more) for number in range(count)]


def seen(*instances, target=4, **more):
    return Observation(NOW, target, [one for part in instances for one in part], POOLS, OLD, 0.06, **more)


def test_a_fleet_that_has_all_it_wants_is_left_alone():
    decision = decide(seen(some(None, 1), some(A, 3)), POLICY)
    assert (decision.kind, decision.acts, decision.ask_again_seconds) == ("steady", False, ASK_AGAIN)
    assert (decision.serving, decision.expected, decision.short, decision.fallback) == (4, 4, 0, 0)


def test_a_notice_starts_the_replacement_in_the_same_step():
    going = some(A, 3, leaving=True)
    decision = decide(seen(some(None, 1), going, lost=[A]), POLICY)
    assert sum(decision.moves.spot.values()) + decision.moves.on_demand >= 3 and A not in decision.moves.spot
    assert not set(decision.moves.end) & {one.id for one in going}, "they serve until what replaces them does"
    assert decision.ask_again_seconds == ASK_SOON
    assert any("3 instances told to go" in reason for reason in decision.reasons)
    assert any(f"{A} took an instance away" in reason for reason in decision.reasons)


def test_what_is_to_be_replaced_is_no_loss_of_its_pool_and_goes_when_the_replacement_serves():
    bad = some(A, 1, leaving=True, replaced=True)
    first = decide(seen(some(None, 1), bad, some(B, 2)), POLICY)
    assert sum(first.moves.spot.values()) == 1 and first.moves.on_demand == 0 and first.moves.end == ()
    assert first.memory.records[A].losses < 0.1 and first.memory.records[A].closed_at is None
    assert first.memory.records[A].up_hours > 48, "it still holds an instance, so it grows older"
    assert any("1 instance to be replaced" in reason for reason in first.reasons)
    assert not any("told to go" in reason for reason in first.reasons)
    young = decide(seen(some(None, 1), bad, some(B, 2), some(C, 1, serving=False)), POLICY)
    assert not young.acts, "it stays until what replaces it serves"
    served = decide(seen(some(None, 1), bad, some(B, 2), some(C, 1)), POLICY)
    assert served.moves.end == (bad[0].id,) and served.moves.spot == {}


def test_an_on_demand_instance_of_the_base_is_replaced_by_on_demand_and_counted_until_it_goes():
    bad = some(None, 1, leaving=True, replaced=True)
    first = decide(seen(bad, some(A, 3)), POLICY)
    assert (first.kind, first.moves.on_demand, first.moves.spot, first.moves.end) == ("moved", 1, {}, ())
    assert (first.on_demand, first.fallback) == (2, 0), "the group is not to replace the one that goes by Spot"
    new = [Instance("i-new", None, 1, NOW - 60, True)]
    last = decide(seen(bad, new, some(A, 3)), POLICY)
    assert (last.kind, last.moves.end, last.on_demand) == ("moved", ("i-None-0",), 1)


def test_an_instance_to_be_replaced_that_nobody_needs_goes_at_once():
    bad = some(A, 1, leaving=True, replaced=True)
    decision = decide(seen(some(None, 1), bad, some(B, 3)), POLICY)
    assert (decision.moves.spot, decision.moves.end) == ({}, (bad[0].id,))


def test_on_demand_stands_in_where_all_pools_refuse_and_goes_when_spot_serves():
    short = decide(replace(seen(some(None, 1)), memory=CLOSED), POLICY)
    assert (short.kind, short.moves.on_demand, short.on_demand, short.fallback) == ("fallback", 3, 4, 3)
    assert short.expected == 4 and short.short == 0
    back = decide(seen(some(None, 4), some(A, 3)), POLICY)
    assert back.kind == "returned" and len(back.moves.end) == 3 and back.fallback == 0
    young = decide(seen(some(None, 4), some(A, 3, serving=False)), POLICY)
    assert not any("None" in name for name in young.moves.end), "not before the Spot Instances serve"


def test_an_instance_larger_than_the_base_is_no_fallback():
    first = decide(seen(some(A, 2), target=6, on_demand_capacity=4), replace(POLICY, on_demand_base=2))
    assert (first.kind, first.moves.on_demand, first.on_demand, first.fallback) == ("moved", 4, 4, 0)
    large = [Instance("i-large", None, 4, NOW - 9000, True)]
    there = decide(seen(large, some(A, 2), target=6, on_demand_capacity=4), replace(POLICY, on_demand_base=2))
    assert (there.kind, there.fallback) == ("steady", 0)
    young = [Instance("i-young", None, 4, NOW - 100, True)]
    second = decide(seen(large, young, some(A, 2), target=6, on_demand_capacity=4), replace(POLICY, on_demand_base=2))
    assert (second.kind, second.moves.end, second.fallback) == ("returned", ("i-young",), 0)


def test_without_fallback_the_shortage_is_said():
    decision = decide(replace(seen(some(None, 1)), memory=CLOSED), replace(POLICY, fallback=False))
    assert decision.moves.on_demand == 0 and decision.kind == "waiting" and decision.short == 3
    assert any("fallback: none" in reason for reason in decision.reasons)


def test_the_demand_sets_the_target():
    metric = Metric("custom", LOAD, 10.0, series=tuple(Point(NOW - age, 70.0, 4.0) for age in range(900, 0, -60)))
    decision = decide(seen(some(None, 1), some(A, 3)), replace(POLICY, scaling=Scaling(2, 20, metrics=(metric,))))
    assert (decision.kind, decision.target) == ("scaled", 7) and decision.expected >= 7


def test_a_budget_limits_the_target_by_what_a_unit_costs_now():
    metric = Metric("custom", LOAD, 10.0, series=tuple(Point(NOW - age, 170.0, 4.0) for age in range(900, 0, -60)))
    scaling = Scaling(2, 20, metrics=(metric,), budget=Budget(0.3))
    decision = decide(seen(some(None, 1), some(A, 3)), replace(POLICY, scaling=scaling))
    assert decision.target == 10, "0.06 and three times 0.02 are 0.03 on the mean"
    assert decision.demand.limited_by == "budget"


def test_what_is_paid_for_is_used_first():
    decision = decide(seen(some(None, 1), some(A, 3), paid=3), POLICY)
    assert decision.best.on_demand == 3 and decision.moves.on_demand == 2
    assert any("paid for" in reason for reason in decision.reasons)


def test_what_is_carried_for_other_regions_is_in_the_target_and_not_in_the_demand():
    decision = decide(seen(some(None, 1), some(A, 5), target=6, lent=2), POLICY)
    assert (decision.target, decision.demand.target, decision.kind) == (6, 4, "steady")


def test_a_dearer_profile_never_expects_less():
    short = seen(some(None, 1), some(A, 1))
    expected = [decide(short, replace(POLICY, profile=name)).expected for name in ("cost", "balanced", "availability")]
    assert expected == sorted(expected) and expected[0] >= 4


def test_recommendations_to_leave_move_nothing_by_themselves_however_many_there_are():
    held = seen(some(None, 1), some(A, 3))
    for _time in range(20):
        decision = decide(replace(held, warned=[A]), POLICY)
        assert not decision.acts
        held = replace(held, memory=decision.memory)
    assert held.memory.records[A].hints > 5


def test_recommendations_to_leave_raise_the_risk_where_something_is_sought():
    short = seen(some(None, 1), some(A, 2))
    calm, warned = decide(short, POLICY), decide(replace(short, warned=[A]), POLICY)
    assert warned.prospects[A].hazard > calm.prospects[A].hazard
    assert warned.prospects[B].hazard == calm.prospects[B].hazard
    memory = warned.memory
    for _time in range(20):
        memory = decide(replace(short, warned=[A], memory=memory), POLICY).memory
    later = decide(replace(short, memory=memory), POLICY)
    assert later.prospects[A].hazard > 2 * calm.prospects[A].hazard and A not in later.moves.spot


def test_what_is_carried_for_other_regions_is_no_demand_of_its_own():
    metric = Metric("custom", LOAD, 10.0, series=tuple(Point(NOW - age, 40.0, 4.0) for age in range(900, 0, -60)))
    policy = replace(POLICY, scaling=Scaling(2, 20, metrics=(metric,)))
    decision = decide(seen(some(None, 1), some(A, 4), target=6, lent=2), policy)
    assert (decision.demand.target, decision.target, decision.lent) == (4, 6, 2)
    assert "2 instances of the target are carried for other regions" in decision.reasons


def test_the_part_that_all_regions_agreed_on_is_the_target():
    share = Share("us-east-1", 4, 7, 0, 3, 0, 0, ("carries 3 instances for eu-west-1",))
    decision = decide(seen(some(None, 1), some(A, 3), share=share), POLICY)
    assert (decision.target, decision.lent, decision.expected) == (7, 3, 7)
    assert "carries 3 instances for eu-west-1" in decision.reasons
