# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of a group's spec: where there is none yet, and with the one that is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.allocation import Limits
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import (
    AUTO_SCALING_GROUP,
    EC2_FLEET,
    Group,
    Subnet,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.market import InstanceType, Offer, Selection
from ansible_collections.spot.platform.plugins.module_utils.engine.provisioning import (
    Decision,
    GroupSpec,
    decide,
    shortlist,
)

ZONES = ("us-east-1a", "us-east-1b")
SUBNETS = [Subnet(f"subnet-{zone[-1]}", zone, True) for zone in ZONES]
OURS = {"spot.platform/app": "web", "spot.platform/environment": "test"}


def offer(name: str, zone: str, price: float | None, vcpus: int = 2) -> Offer:
    kind = InstanceType(name, vcpus, 4096 * vcpus, ("x86_64",), False, True, 0, False)
    return Offer("us-east-1", zone, zone, kind, price, 0.05 * vcpus)


OFFERS = [
    offer(name, zone, price)
    for zone in ZONES
    for name, price in (("m5.large", 0.030), ("m5a.large", 0.031), ("c5.large", 0.032))
]


def spec(**changed: Any) -> GroupSpec:
    wanted: dict[str, Any] = {
        "name": "test-web",
        "region": "us-east-1",
        "kind": AUTO_SCALING_GROUP,
        "template": "test-web",
        "template_version": None,
        "subnets": tuple(subnet.id for subnet in SUBNETS),
        "selection": Selection(),
        "minimum": 2,
        "maximum": 16,
        "target": 8,
        "on_demand_base": 2,
        "unit": "vcpus",
        "fallback": "on_demand",
        "limits": Limits(),
        "profile": "balanced",
        "replan_threshold_percent": 10.0,
        "identity": OURS,
    }
    return GroupSpec(**{**wanted, **changed})


def decided(wanted: GroupSpec, present: Group | None = None, offers: list[Offer] | None = None) -> Decision:
    return decide(wanted, present, "lt-1", SUBNETS, OFFERS if offers is None else offers)


def made(**changed: Any) -> Group:
    """The group that ``spec`` makes, with what happened to it since."""
    return replace(decided(spec()).wanted, **changed)


def test_a_new_group() -> None:
    decision = decided(spec())
    group = decision.wanted
    assert decision.present is None and decision.changes == {}
    assert (group.desired, group.on_demand_base, group.min_size, group.max_size) == (8, 2, 2, 32)
    assert dict(group.overrides) == {"m5.large": 2, "m5a.large": 2, "c5.large": 2}
    assert not group.capacity_rebalance and group.health_check_type == "EC2" and group.target_group_arns == ()
    assert group.tags == OURS


def test_made_is_as_wanted() -> None:
    assert decided(spec(), made()).changes == {}


def test_a_group_that_is_being_deleted_is_none() -> None:
    assert decided(spec(), made(deleting=True)).present is None


def test_new_group_without_target_starts_at_the_minimum() -> None:
    assert decided(spec(target=None)).wanted.desired == 2


@pytest.mark.parametrize("target", [8, None])
def test_desired_capacity_is_left_alone(target: int | None) -> None:
    assert decided(spec(target=target), made(desired=11)).changes == {}


@pytest.mark.parametrize("target", [8, None])
def test_fallback_is_left_alone(target: int | None) -> None:
    assert decided(spec(target=target), made(desired=12, on_demand_base=6)).changes == {}


@pytest.mark.parametrize("target, desired", [(10, 12), (14, 14), (6, 12)])
def test_a_new_target_only_adds(target: int, desired: int) -> None:
    """What may go, and when, the autoscaler says; so a run that was killed before the tags is completed by another."""
    before = made(desired=12, on_demand_base=6)
    decision = decided(spec(target=target), before)
    assert (decision.wanted.desired, decision.wanted.on_demand_base) == (desired, 6)
    assert decision.changes["policy"][1].target == target
    assert f"the target goes from 8 to {target}" in decision.reasons


@pytest.mark.parametrize("base, in_force, wanted", [(4, 6, 6), (7, 6, 7), (4, 2, 4)])
def test_a_new_base_leaves_what_stands_in_for_spot(base: int, in_force: int, wanted: int) -> None:
    assert decided(spec(on_demand_base=base), made(desired=12, on_demand_base=in_force)).wanted.on_demand_base == wanted


def test_a_group_is_never_below_its_minimum() -> None:
    assert decided(spec(minimum=5), made(desired=3)).wanted.desired == 5


def test_new_unit_counts_anew() -> None:
    changes = decided(spec(unit="instances", target=4), made()).changes
    assert changes["desired"] == (8, 4)
    assert dict(changes["overrides"][1]) == {"m5.large": 1, "m5a.large": 1, "c5.large": 1}


def test_prices_that_move_a_little_change_nothing() -> None:
    dearer = [replace(item, spot_price=item.spot_price * 1.05) for item in OFFERS[:3]] + OFFERS[3:]
    assert decided(spec(), made(), dearer).changes == {}


def test_a_much_better_type_replaces_the_others() -> None:
    better = [*OFFERS, *(offer("c6i.large", zone, 0.010) for zone in ZONES)]
    decision = decided(spec(), made(), better)
    assert "c6i.large" in dict(decision.changes["overrides"][1])
    assert "more than the threshold" in decision.reasons[0]
    assert decided(spec(replan_threshold_percent=90.0), made(), better).changes == {}


def test_kept_types_are_planned_with() -> None:
    better = [*OFFERS, *(offer("c6i.large", zone, 0.0295) for zone in ZONES)]
    kept = decided(spec(), made(), better)
    assert {choice.offer.instance_type.name for choice in kept.plan.choices} <= set(dict(made().overrides))


def test_what_is_not_asked_for_stays() -> None:
    present = made(
        launch_template_version="7", health_check_type="ELB", health_check_grace_period=90, capacity_rebalance=False
    )
    assert decided(spec(), present).changes == {}
    assert decided(spec(health_check_grace_period=0), present).changes == {"health_check_grace_period": (90, 0)}


def test_drift_is_repaired() -> None:
    present = made(on_demand_percentage_above_base=100, spot_allocation_strategy="lowest-price")
    assert decided(spec(), present).changes.keys() == {"on_demand_percentage_above_base", "spot_allocation_strategy"}


def test_tags_are_added_and_others_left() -> None:
    changes = decided(spec(tags={"team": "shop"}), made(tags={**OURS, "other": "x"})).changes
    assert changes["tags"][1] == {**OURS, "other": "x", "team": "shop"}


def test_a_group_without_policy_tags_gets_them() -> None:
    changes = decided(spec(), made(policy=None, desired=5)).changes
    assert changes["policy"][1].target == 8 and changes["desired"] == (5, 8)


def test_somebody_elses_group() -> None:
    with pytest.raises(ValueError, match="spot.platform/app is not there instead of 'web'"):
        decided(spec(), made(tags={}))


def test_private_and_missing_subnets() -> None:
    private = [SUBNETS[0], replace(SUBNETS[1], public=False)]
    with pytest.raises(ValueError, match="subnet subnet-b is private"):
        decide(spec(), None, "lt-1", private, OFFERS)
    with pytest.raises(ValueError, match="there is no subnet subnet-b in us-east-1"):
        decide(spec(), None, "lt-1", SUBNETS[:1], OFFERS)


def test_only_zones_of_the_subnets_are_used() -> None:
    decision = decide(spec(subnets=("subnet-a",)), None, "lt-1", SUBNETS[:1], OFFERS)
    assert decision.plan.zones == ("us-east-1a",)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"minimum": 9, "maximum": 4}, "min is 9 and max is 4"),
        ({"target": 17}, "target is 17"),
        ({"on_demand_base": 17}, "on_demand_base is 17"),
        ({"kind": EC2_FLEET, "target_group_arns": ("arn:x",)}, "EC2 Fleet"),
    ],
)
def test_contradictions(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec(**changed)


def test_a_fleet_lists_its_pools_where_they_are_on_offer() -> None:
    wanted = spec(kind=EC2_FLEET)
    group = decided(wanted, offers=OFFERS[:5]).wanted
    assert group.min_size is None and group.target_group_arns is None
    assert ("c5.large", "subnet-a") in group.pools and ("c5.large", "subnet-b") not in group.pools
    assert decided(wanted, group, OFFERS[:5]).changes == {}


def test_a_fleet_takes_one_subnet_in_each_zone() -> None:
    twice = [SUBNETS[0], replace(SUBNETS[0], id="subnet-b")]
    with pytest.raises(ValueError, match="several subnets in us-east-1a"):
        decide(spec(kind=EC2_FLEET), None, "lt-1", twice, OFFERS)


def test_a_fleet_has_no_more_on_demand_than_capacity() -> None:
    wanted = spec(kind=EC2_FLEET, target=2, on_demand_base=4)
    group = decided(wanted).wanted
    assert (group.desired, group.on_demand_base) == (2, 2)
    assert decided(wanted, group).changes == {}


def test_shortlist_is_cheapest_for_what_they_count() -> None:
    many = [offer(f"m{n}.large", "us-east-1a", 0.1 - n / 1000) for n in range(40)]
    big = offer("x1.32xlarge", "us-east-1a", 0.5, vcpus=128)
    assert "x1.32xlarge" in shortlist(spec(), [*many, big])
    assert "x1.32xlarge" not in shortlist(spec(unit="instances"), [*many, big])
    assert len(shortlist(spec(), many)) == 24
    assert shortlist(spec(), [offer("m5.large", "us-east-1a", None)]) == set()


def test_selection() -> None:
    kind = OFFERS[0].instance_type
    assert kind in Selection() and kind in Selection.of(["m5.large"], None)
    assert kind not in Selection.of(["c5.large"], None)
    assert kind not in Selection.of(["m5.large"], {"vcpus": {"min": 4}})
    with pytest.raises(ValueError, match="vcpus"):
        Selection.of(None, {"vcpus": {"min": 4, "max": 2}})


def test_types_that_are_not_on_offer_are_named() -> None:
    decision = decided(spec(selection=Selection.of(["m5.large", "m9.large"], None)))
    assert decision.reasons[-1] == "not on offer in us-east-1a, us-east-1b, or not meeting the requirements: m9.large"
    with pytest.raises(ValueError, match=r"none of instance_types \(m9.large\) meets the requirements and is on offer"):
        decided(spec(selection=Selection.of(["m9.large"], None)))
    with pytest.raises(ValueError, match="no instance type meets the requirements"):
        decided(spec(selection=Selection.of(None, {"vcpus": {"min": 512}})))
