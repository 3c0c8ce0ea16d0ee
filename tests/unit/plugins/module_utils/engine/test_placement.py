# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet can do of a step: Spot as a whole, nothing moved, nothing taken away that is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling, supply
from ansible_collections.spot.platform.plugins.module_utils.engine.placement import ANY, of_fleet
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, Pool
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Scaling

NOW, HOUR = 1_800_000_000.0, 3600.0
POOLS = tuple(
    Pool(f"x-1{zone}/{kind}", f"x-1{zone}", price, 2, "m5")
    for zone in "abc"
    for kind, price in (("m5.large", 0.015), ("m6i.large", 0.016))
)
STAKES = supply.Stakes(10.0, 0.05, 0.05)


def instances(prefix: str, pool: str | None, count: int, age: float = 5 * HOUR, serving: bool = True) -> list:
    return [supply.Instance(f"{prefix}{n}", pool, 2, NOW - age, serving) for n in range(count)]


def stepped(fleet: list, target: int = 8, base: int = 2, memory: Memory = Memory(), **more: object) -> supply.Moves:
    """The moves of the fleet at its next step."""
    step = supply.step(supply.Seen(NOW, target, base, fleet, POOLS, memory, **more), STAKES)
    return of_fleet(fleet, step, target, STAKES.worth)


BASE = instances("o", None, 1)
GONE = {pool.id for pool in POOLS}


def test_a_fleet_that_is_well_moves_nothing_to_a_better_pool() -> None:
    young = [*BASE, *instances("s", "x-1c/m6i.large", 3, age=60)]
    moves = stepped(young)
    assert (moves.spot, moves.on_demand, moves.end) == ({}, 0, ())


def test_spot_that_is_missing_is_asked_for_as_a_whole() -> None:
    moves = stepped([*BASE, *instances("s", "x-1a/m5.large", 1)])
    assert moves.spot == {ANY: 4}
    assert moves.on_demand == 0, "six pools will not all refuse"


def test_when_all_pools_refuse_on_demand_stands_in_and_spot_stays_asked_for() -> None:
    moves = stepped(BASE, refused=tuple(GONE))
    assert (moves.spot, moves.on_demand, moves.end) == ({ANY: 6}, 6, ())


def test_on_demand_is_given_back_when_spot_of_any_pool_serves() -> None:
    covered = instances("o", None, 4)
    there = [*covered, *instances("s", "x-1b/m6i.large", 3, age=120)]
    moves = stepped(there)
    assert len(moves.end) == 3 and set(moves.end) < {one.id for one in covered}
    pending = [*covered, *instances("s", "x-1b/m6i.large", 3, age=20, serving=False)]
    assert stepped(pending).end == ()


@pytest.mark.parametrize(("target", "ended"), [(8, 1), (6, 2), (4, 3)])
def test_spot_above_its_part_goes_newest_first_and_the_target_serves_without_it(target: int, ended: int) -> None:
    fleet = [*BASE, *instances("s", "x-1a/m5.large", 4)]
    fleet = [replace(one, launched_at=one.launched_at + number) for number, one in enumerate(fleet)]
    moves = stepped(fleet, target=target)
    assert moves.end == tuple(f"s{n}" for n in range(3, 3 - ended, -1))


def test_what_does_not_serve_yet_is_not_counted_on_and_goes_first() -> None:
    fleet = [*BASE, *instances("s", "x-1a/m5.large", 3), *instances("n", "x-1a/m5.large", 1, age=9, serving=False)]
    assert stepped(fleet).end == ("n0",)
    waiting = [*BASE, *instances("s", "x-1a/m5.large", 2), *instances("n", "x-1a/m5.large", 2, age=9, serving=False)]
    assert stepped(waiting).end == ("n0",)


def test_what_is_told_to_go_is_replaced() -> None:
    fleet = [*BASE, *instances("s", "x-1a/m5.large", 3)]
    fleet[-1] = replace(fleet[-1], leaving=True)
    moves = stepped(fleet, lost=("x-1a/m5.large",))
    assert moves.spot == {ANY: 2} and moves.end == ()


def test_a_decision_says_that_the_fleet_chooses_the_pool() -> None:
    seen = autoscaling.Observation(NOW, 8, BASE, POOLS, Memory(), 0.05, on_demand_capacity=2)
    policy = autoscaling.Policy(Scaling(2, 20, unit="vcpus"), on_demand_base=2, fleet=True)
    decision = autoscaling.decide(seen, policy)
    assert decision.moves.spot == {ANY: 6} and decision.expected == 8
    assert "asked for: 6 vcpus in any pool" in decision.reasons


def test_a_fleet_replaces_what_it_is_told_to_and_ends_it_when_the_replacement_serves() -> None:
    well = instances("s", "x-1a/m5.large", 2)
    bad = [replace(one, leaving=True, replaced=True) for one in instances("b", "x-1a/m5.large", 1)]
    first = stepped([*BASE, *well, *bad])
    assert (first.spot, first.on_demand, first.end) == ({ANY: 2}, 0, ())
    new = instances("n", "x-1b/m5.large", 1, age=60)
    assert stepped([*BASE, *well, *bad, *new]).end == ("b0",)
    of_base = [replace(one, leaving=True, replaced=True) for one in BASE]
    assert stepped([*of_base, *well, *instances("t", "x-1b/m5.large", 1)]).on_demand == 2


def test_a_base_in_one_large_instance_leaves_less_to_spot():
    large = [supply.Instance("o", None, 4, NOW - HOUR, True)]
    assert stepped([*large, *instances("s", "x-1a/m5.large", 2)]).end == ()
    assert stepped([*large, *instances("s", "x-1a/m5.large", 1)]).spot == {ANY: 2}
