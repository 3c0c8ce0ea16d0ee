"""Instances of stateful applications are launched where their data are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling
from ansible_collections.spot.platform.plugins.module_utils.engine.homes import Homes, Rooms, rooms_of
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, Pool
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Scaling
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance

A, B, C = "us-east-1a", "us-east-1b", "us-east-1c"
NOW = 1_000_000.0
POOLS = (Pool(f"{A}/m5.large", A, 0.05), Pool(f"{B}/m5.large", B, 0.02), Pool(f"{C}/m5.large", C, 0.01))
ONE_EACH = Homes({A: 1, B: 1})


def instance(zone, name=None, pool=True, **more):
    return Instance(name or f"i-{zone[-1]}", f"{zone}/m5.large" if pool else None, 1, NOW - 9000, True, zone=zone, **more)


def decided(instances, homes, target=2, refused=(), pools=POOLS, **more):
    observation = autoscaling.Observation(
        now=NOW, target=target, instances=instances, pools=pools, memory=Memory(), on_demand_price=0.1, homes=homes, refused=refused
    )
    return autoscaling.decide(observation, autoscaling.Policy(Scaling(target, target), **more))


def test_what_is_missing_is_launched_where_a_volume_has_nobody():
    found = decided([instance(B)], ONE_EACH)
    assert found.moves.spot == {f"{A}/m5.large": 1} and not found.moves.on_demand
    assert "it has its data volumes where they are: 1 in us-east-1a, 1 in us-east-1b" in found.reasons
    without = decided([instance(B)], None)
    assert set(without.moves.spot) == {f"{C}/m5.large"}, "the cheapest pool, where nothing ties it"


def test_where_spot_refuses_on_demand_is_launched_in_the_same_zone():
    found = decided([instance(B)], ONE_EACH, refused=[f"{A}/m5.large"])
    assert found.moves.on_demand == 1 and found.rooms.zones[A] == 1 and found.rooms.anywhere == 0
    assert f"{C}/m5.large" not in found.moves.spot


def test_nothing_that_serves_is_moved_for_a_better_price():
    dear = [replace(pool, price=0.09 if pool.zone == A else pool.price) for pool in POOLS]
    assert not decided([instance(A), instance(B)], ONE_EACH, pools=dear).acts
    assert decided([instance(A), instance(B)], None, pools=dear).acts


def test_on_demand_that_stands_in_stays_for_the_volume_is_with_it():
    assert not decided([instance(A, pool=False), instance(B)], ONE_EACH).acts


def test_who_is_told_to_go_is_replaced_in_its_zone_and_ends_before_the_other_serves():
    going = instance(A, leaving=True)
    first = decided([going, instance(B)], ONE_EACH)
    assert first.moves.spot == {f"{A}/m5.large": 1} and not first.moves.end
    coming = replace(instance(A, "i-new"), serving=False)
    then = decided([going, instance(B), coming], ONE_EACH)
    assert then.moves.end == (going.id,) and not then.moves.spot


def test_a_volume_that_may_move_lets_its_instance_be_anywhere():
    found = decided([instance(B)], Homes({B: 1}, movable=1))
    assert found.moves.spot == {f"{C}/m5.large": 1}


def test_above_the_number_of_volumes_instances_are_anywhere():
    found = decided([instance(A), instance(B)], ONE_EACH, target=3)
    assert found.moves.spot == {f"{C}/m5.large": 1}
    assert sum(decided([], Homes(), target=2).moves.spot.values()) == 2


def test_where_one_zone_has_no_room_for_all_the_best_pools_of_the_others_are_asked_in_the_same_step():
    found = decided([], Homes({A: 1, B: 1, C: 1}), target=3)
    assert found.moves.spot == {f"{zone}/m5.large": 1 for zone in (A, B, C)} and not found.moves.on_demand


def test_who_has_no_data_ends_first():
    holders = frozenset({"i-a", "i-b"})
    stray = instance(A, "i-stray", pool=False)
    found = decided([instance(A), stray, instance(B)], Homes({A: 1, B: 1}, holders=holders))
    assert found.moves.end == ("i-stray",)
    fewer = decided([instance(A), instance(B)], Homes({A: 1, B: 1}, holders=holders), target=1)
    assert len(fewer.moves.end) == 1 and fewer.moves.end[0] in holders


@pytest.mark.parametrize(
    "homes, zones, target, rooms",
    [
        (ONE_EACH, [], 2, Rooms({A: 1, B: 1})),
        (ONE_EACH, [A], 2, Rooms({A: 0, B: 1})),
        (ONE_EACH, [A, A], 2, Rooms({A: 0, B: 1})),
        (ONE_EACH, [C], 3, Rooms({A: 1, B: 1})),
        (Homes({A: 1}, 1), [C], 2, Rooms({A: 1})),
        (Homes({A: 1}, 1), [], 2, Rooms({A: 1}, 1)),
        (Homes({A: 2}), [A], 3, Rooms({A: 1}, 1)),
    ],
)
def test_rooms(homes, zones, target, rooms):
    assert rooms_of(homes, [instance(zone, f"i-{number}") for number, zone in enumerate(zones)], target) == rooms
