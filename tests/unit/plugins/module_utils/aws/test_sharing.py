# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications in several regions: what is known of each, what it is to carry, and where its name leads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import Balancer
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Member, Spread, record, shared
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Steered
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import Peer, Remembered
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import Limits
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, Pool
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import LOAD, Budget, Metric, Point, Scaling, Schedule
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance

NOW = 1_000_000.0
EAST, WEST, NORTH = "us-east-1", "us-west-2", "eu-north-1"
SPREAD = Spread("web", [EAST, WEST], Limits(), "web.example.com", "example.com")
BOOT = 120.0


def some(count, age=3600.0, **more):
    return [Instance(f"i-{age:.0f}-{number}", None, 1, NOW - age, **{"serving": True, **more}) for number in range(count)]


def member(region, *instances, target=10, lent=0, load=None, **remembered):
    """A region whose group has these instances; ``load``: what its metric asks for."""
    found = [one for part in instances for one in part]
    metric = Metric("custom", LOAD, 1.0, series=tuple(Point(NOW - age, float(load), 10.0) for age in range(900, 0, -60))) if load else None
    scaling = Scaling(2, 20, metrics=(metric,) if metric else ())
    one = Steered(
        name="test-web",
        kind="auto_scaling_group",
        region=region,
        tags={tags.APP: "web", tags.ENVIRONMENT: "test", tags.TARGET: str(target), tags.LENT: str(lent)},
        now=NOW,
        created=0.0,
        desired=target,
        on_demand_base=0,
        counted=len(found),
        template={},
        weights={"m5.large": 1},
        subnets={f"{region}a": "subnet"},
        instances=tuple(found),
        target_groups=(f"arn-{region}",),
    )
    pools = [Pool(f"{region}a/m5.large", f"{region}a", 0.02)]
    seen = engine.Observation(NOW, target, found, pools, Memory(), 0.06, lent=lent)
    return Member(one, engine.Policy(scaling), Remembered(**remembered), seen)


def targets(members):
    return {region: one.observation.share.target for region, one in members.items()}


def test_what_one_region_is_short_of_for_long_the_other_carries():
    short = member(EAST, some(4), short_since=NOW - 300)
    found = shared(SPREAD, {EAST: short, WEST: member(WEST, some(10))}, (), BOOT)
    assert targets(found) == {EAST: 10, WEST: 15}
    assert found[WEST].observation.share.lent == 5
    assert found[WEST].peers == {EAST: Peer(10, 0)} and found[EAST].peers == {WEST: Peer(15, 5)}


@pytest.mark.parametrize("since", [None, NOW - 60])
def test_a_shortage_that_is_new_moves_nothing(since):
    short = member(EAST, some(4), short_since=since)
    assert targets(shared(SPREAD, {EAST: short, WEST: member(WEST, some(10))}, (), BOOT)) == {EAST: 10, WEST: 10}


def test_instances_on_their_way_are_no_shortage_and_those_that_leave_are_one():
    west = member(WEST, some(10))
    booting = member(EAST, some(4), some(6, age=30, serving=False), short_since=NOW - 300)
    assert targets(shared(SPREAD, {EAST: booting, WEST: west}, (), BOOT))[WEST] == 10
    leaving = member(EAST, some(4), some(6, age=99, leaving=True), short_since=NOW - 300)
    assert targets(shared(SPREAD, {EAST: leaving, WEST: west}, (), BOOT))[WEST] == 15


def test_what_is_carried_goes_back_once_the_other_has_served_for_a_while():
    carrying = member(WEST, some(15), target=15, lent=5)
    young = member(EAST, some(4), some(6, age=BOOT + 200))
    assert targets(shared(SPREAD, {EAST: young, WEST: carrying}, (), BOOT))[WEST] == 15
    old = member(EAST, some(4), some(6, age=BOOT + 400))
    assert targets(shared(SPREAD, {EAST: old, WEST: carrying}, (), BOOT))[WEST] == 12, "step by step"


def test_what_a_region_carries_stays_within_its_budget_and_its_schedule():
    short, west = member(EAST, some(4), short_since=NOW - 300), member(WEST, some(10), load=10)
    scaling = west.policy.scaling
    for narrower in (
        replace(scaling, budget=Budget(0.06 * 12)),
        replace(scaling, schedules=(Schedule(frozenset(range(7)), 0, 0, "UTC", max=12),)),
    ):
        narrow = replace(west, policy=replace(west.policy, scaling=narrower))
        assert targets(shared(replace(SPREAD, name=None), {EAST: short, WEST: narrow}, (), BOOT))[WEST] == 12


def test_without_limits_nothing_is_shared():
    members = {EAST: member(EAST, some(4), short_since=NOW - 300), WEST: member(WEST, some(10))}
    assert shared(replace(SPREAD, limits=None), members, (), BOOT) == members
    assert shared(SPREAD, {}, (), BOOT) == {}


def test_a_region_that_cannot_be_observed_is_helped_after_a_while_by_what_others_remember():
    first = shared(SPREAD, {WEST: member(WEST, some(10), peers={EAST: Peer(8, 0)})}, [EAST], BOOT)
    assert targets(first) == {WEST: 10} and first[WEST].peers == {EAST: Peer(8, 0, NOW)}
    spread = replace(SPREAD, regions=[EAST, WEST, NORTH])
    later = {
        WEST: member(WEST, some(10), peers={EAST: Peer(8, 0, NOW - 300)}),
        NORTH: member(NORTH, some(10), peers={EAST: Peer(8, 0, NOW - 200)}),
    }
    found = shared(spread, later, [EAST], BOOT)
    assert sum(targets(found).values()) == 28
    assert found[WEST].peers[EAST] == Peer(8, 0, NOW - 300), "since when the first of them did not see it"


def test_a_region_that_nobody_remembers_counts_for_its_minimum_and_moves_nothing_yet():
    found = shared(SPREAD, {WEST: member(WEST, some(10))}, [EAST], BOOT)
    assert targets(found) == {WEST: 10} and found[WEST].peers == {EAST: Peer(2, 0, NOW)}


def test_with_weights_the_load_follows_the_capacity_so_the_demand_is_divided_anew():
    members = {EAST: member(EAST, some(2), target=2, load=2), WEST: member(WEST, some(10), load=14)}
    assert targets(shared(SPREAD, members, (), BOOT)) == {EAST: 8, WEST: 8}
    assert targets(shared(replace(SPREAD, policy="latency"), members, (), BOOT)) == {EAST: 2, WEST: 14}


def test_the_name_leads_to_what_serves_but_to_no_more_than_is_to_stay():
    members = {EAST: member(EAST, some(10)), WEST: member(WEST, some(15), target=15, lent=5)}
    balancers = {EAST: {f"arn-{EAST}": Balancer("east.elb", "Z1")}, WEST: {}}
    found = record(replace(SPREAD, regions=[EAST, WEST, NORTH]), members, [NORTH], {WEST: 12}, balancers)
    assert (found.zone, found.name, found.policy, found.environment) == ("example.com", "web.example.com", "weighted", "test")
    assert [(one.region, one.serving, one.balancer) for one in found.targets] == [
        (EAST, 10, Balancer("east.elb", "Z1")),
        (WEST, 12, None),
        (NORTH, None, None),
    ]


def test_where_the_application_is_not_at_all_its_name_is_left_alone():
    assert record(SPREAD, {}, [], {}, {}) is None
    assert record(replace(SPREAD, name=None), {EAST: member(EAST, some(1))}, [], {}, {}) is None
