# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of a group's control: when On-Demand stands in, when it goes, and when nothing is done."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import (
    FailedLaunch,
    Instance,
    Observation,
    Policy,
    decide,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
POLICY = Policy(on_demand_base=2, fallback="on_demand", min=2, max=20)
ICE = FailedLaunch(NOW - timedelta(seconds=20), "spot", "Could not launch Spot Instances. InsufficientInstanceCapacity")


def some(lifecycle, count, capacity=1, state="InService", healthy=True, age=3600):
    launched = NOW - timedelta(seconds=age)
    return tuple(
        Instance(
            id=f"i-{lifecycle}{state}{age}{number:04}",
            instance_type="m5.large",
            zone="us-east-1a",
            lifecycle=lifecycle,
            capacity=capacity,
            state=state,
            healthy=healthy,
            launched_at=launched,
            serving_since=launched,
        )
        for number in range(count)
    )


def seen(*instances, target=10, desired=10, base=2, **more):
    facts = {
        "group": "sandbox-web",
        "region": "us-east-1",
        "app": "web",
        "unit": "instances",
        "now": NOW,
        "max_size": 38,
        "active_at": NOW - timedelta(seconds=30),
        **more,
    }
    members = tuple(one for part in instances for one in part)
    return Observation(target=target, desired=desired, on_demand_base=base, instances=members, **facts)


def test_a_group_that_has_all_it_wants_is_left_alone():
    decision = decide(seen(some("on_demand", 2), some("spot", 8)), POLICY)
    assert (decision.kind, decision.changes, decision.reasons) == ("steady", False, ())
    assert (decision.serving, decision.expected, decision.ask_again_seconds) == (10, 10, 60)


def test_on_demand_covers_at_once_what_a_failed_spot_launch_leaves_open():
    decision = decide(seen(some("on_demand", 2), some("spot", 5), failed_launches=(ICE,)), POLICY)
    assert decision.kind == "fallback"
    assert (decision.desired, decision.on_demand_base, decision.fallback) == (13, 5, 3)
    assert decision.serving == 7 and decision.expected == 10
    text = " ".join(decision.reasons)
    assert "5 of 8 instances" in text and "20 s ago" in text and "InsufficientInstanceCapacity" in text
    assert "desired 10 -> 13, On-Demand base 2 -> 5" in text


def test_deciding_twice_on_the_same_shortage_asks_for_nothing_more():
    first = decide(seen(some("spot", 5), some("on_demand", 2), failed_launches=(ICE,)), POLICY)
    pending = some("on_demand", 3, state="Pending", age=5)
    again = decide(
        seen(
            some("spot", 5),
            some("on_demand", 2),
            pending,
            desired=first.desired,
            base=first.on_demand_base,
            failed_launches=(ICE,),
        ),
        POLICY,
    )
    assert not again.changes and again.kind == "waiting" and again.fallback == 3


def test_spot_that_is_on_its_way_is_waited_for():
    decision = decide(
        seen(some("on_demand", 2), some("spot", 5), some("spot", 3, state="Pending", age=20), failed_launches=(ICE,)),
        POLICY,
    )
    assert not decision.changes and decision.kind == "steady"


def test_spot_that_does_not_get_into_service_is_no_longer_waited_for():
    stuck = some("spot", 3, state="Pending", age=181)
    decision = decide(seen(some("on_demand", 2), some("spot", 5), stuck), POLICY)
    assert decision.kind == "fallback" and decision.fallback == 3
    assert stuck[0].id in " ".join(decision.reasons)


def test_a_fresh_loss_without_a_failed_launch_is_waited_for_and_then_covered():
    short = seen(some("on_demand", 2), some("spot", 5))
    waiting = decide(short, POLICY)
    assert waiting.kind == "waiting" and not waiting.changes
    assert waiting.ask_again_seconds == 60
    quiet = decide(replace(short, active_at=NOW - timedelta(seconds=180)), POLICY)
    assert quiet.kind == "fallback" and quiet.fallback == 3


def test_a_failure_that_was_followed_by_a_launch_is_no_evidence():
    old = replace(ICE, time=NOW - timedelta(seconds=2000))
    decision = decide(seen(some("on_demand", 2), some("spot", 5, age=1000), failed_launches=(old,)), POLICY)
    assert decision.kind == "waiting"


def test_a_failed_on_demand_launch_says_nothing_about_spot():
    failed = replace(ICE, lifecycle="on_demand")
    assert decide(seen(some("spot", 5), failed_launches=(failed,)), POLICY).kind == "waiting"


@pytest.mark.parametrize("healthy, state", [(False, "InService"), (True, "Terminating"), (True, "Standby")])
def test_what_does_not_serve_does_not_count(healthy, state):
    lost = some("spot", 3, healthy=healthy, state=state)
    decision = decide(seen(some("on_demand", 2), some("spot", 5), lost, failed_launches=(ICE,)), POLICY)
    assert decision.fallback == 3 and decision.serving == 7


def test_on_demand_stays_until_its_spot_replacement_has_been_stable():
    young = some("spot", 3, age=60)
    waiting = decide(seen(some("on_demand", 5), some("spot", 5), young, desired=13, base=5), POLICY)
    assert waiting.kind == "waiting" and not waiting.changes and waiting.fallback == 3
    assert waiting.ask_again_seconds == 60
    stable = some("spot", 3, age=121)
    back = decide(seen(some("on_demand", 5), some("spot", 5), stable, desired=13, base=5), POLICY)
    assert (back.kind, back.desired, back.on_demand_base, back.fallback) == ("returned", 10, 2, 0)
    assert "8 of 8 instances of Spot have served for 120 s" in back.reasons[0]


def test_on_demand_goes_in_parts_as_spot_comes_back_in_parts():
    decision = decide(seen(some("on_demand", 5), some("spot", 7), desired=13, base=5, failed_launches=(ICE,)), POLICY)
    assert (decision.kind, decision.desired, decision.on_demand_base) == ("returned", 11, 3)


def test_no_step_takes_serving_capacity_below_the_target():
    """Over all mixtures of a covered group: what still serves when On-Demand above its share is gone is the target."""
    for fallback in range(1, 9):
        for stable in range(0, 9):
            for young in range(0, 9 - stable):
                observation = seen(
                    some("on_demand", 2 + fallback),
                    some("spot", stable),
                    some("spot", young, age=30),
                    desired=10 + fallback,
                    base=2 + fallback,
                    failed_launches=(ICE,),
                )
                decision = decide(observation, POLICY)
                before = observation.on_demand_base + stable
                after = min(2 + fallback, decision.on_demand_base) + stable
                assert after >= min(10, before)


@pytest.mark.parametrize("desired, base", [(10, 5), (13, 2), (9, 2), (13, 1)])
def test_figures_that_do_not_belong_together_are_set_right(desired, base):
    decision = decide(seen(some("on_demand", base), some("spot", 5, age=30), desired=desired, base=base), POLICY)
    assert decision.kind in ("adjusted", "fallback")
    assert decision.desired - decision.target == decision.on_demand_base - 2 == decision.fallback


def test_a_new_target_is_taken_over_with_the_fallback_in_force():
    decision = decide(seen(some("on_demand", 5), some("spot", 5), target=12, desired=13, base=5), POLICY)
    assert (decision.kind, decision.desired, decision.on_demand_base) == ("adjusted", 15, 5)


def test_weights_that_overshoot_are_not_taken_for_a_shortage():
    on_demand, spot = some("on_demand", 1, capacity=4), some("spot", 3, capacity=2)
    decision = decide(seen(on_demand, spot, unit="vcpus", active_at=NOW - timedelta(hours=1)), POLICY)
    assert decision.kind == "steady"


def test_fallback_none_waits_and_says_so():
    decision = decide(seen(some("spot", 5), failed_launches=(ICE,)), replace(POLICY, fallback="none"))
    assert decision.kind == "waiting" and not decision.changes
    assert "fallback: none" in " ".join(decision.reasons)


def test_a_target_outside_the_bounds_is_brought_inside():
    decision = decide(seen(some("on_demand", 2), some("spot", 8), target=50), replace(POLICY, max=12))
    assert decision.target == decision.desired == 12 and "outside 2 to 12" in decision.reasons[0]


def test_max_size_limits_the_fallback_and_is_named():
    decision = decide(seen(some("on_demand", 2), max_size=13, failed_launches=(ICE,)), POLICY)
    assert decision.desired == 13 and decision.fallback == 3
    assert "MaxSize of 13" in " ".join(decision.reasons)


def test_a_group_that_is_being_deleted_is_left_alone():
    decision = decide(seen(updating=True, failed_launches=(ICE,)), POLICY)
    assert not decision.changes and "being deleted" in " ".join(decision.reasons)


def test_a_suspended_launch_process_is_named():
    decision = decide(seen(some("spot", 5), suspended=("Launch",), failed_launches=(ICE,)), POLICY)
    assert "Launch process is suspended" in " ".join(decision.reasons)
