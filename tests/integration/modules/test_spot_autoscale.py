# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_autoscale against the sandbox: notices, droughts and back, demand."""

from __future__ import annotations

import json
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import (
    REGION,
    advance,
    dry,
    figures,
    group_of,
    make,
    orphans,
    serving,
    settle,
    spot_members,
    writes,
)

FIGHTING = {"AZRebalance", "AlarmNotification", "ScheduledActions"}


def test_the_sandbox_tells_its_own_time(sandbox, fresh):
    """The step compares AWS's times with AWS's clock, the Date of the answer."""
    advance(sandbox, 5000)
    answer = sandbox.client("autoscaling").describe_auto_scaling_groups()
    told = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert abs((told - datetime.fromisoformat(sandbox.get("/sandbox/health")["time"])).total_seconds()) < 60


def test_a_group_comes_to_rest_and_is_then_left_alone(sandbox, fresh, step):
    make(sandbox)
    assert figures(sandbox) == {"desired": 8, "base": 2, "spot": 6, "on_demand": 2}
    settle(sandbox, step)
    assert serving(sandbox) == figures(sandbox)["desired"] >= 8 and figures(sandbox)["on_demand"] == 2
    assert {one["ProcessName"] for one in group_of(sandbox)["SuspendedProcesses"]} == FIGHTING
    sandbox.post("/sandbox/calls/reset")
    result = step()
    assert not result["changed"] and result["activity"] == [] and writes(sandbox) == {}
    assert [(one["kind"], one["changes"]) for one in result["decisions"]] == [("steady", False)]


def test_a_notice_starts_the_replacement_in_the_same_step(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    victims = list(spot_members(sandbox))[:2]
    sandbox.post("/sandbox/interrupt", instance_ids=victims)
    told = step(groups=[{"name": "sandbox-web", "region": REGION}], notices=victims, lease_seconds=10)
    (decision,) = told["decisions"]
    launched = [name for one in decision["launched"] for name in one["instances"]]
    assert launched and any("told to go" in reason for reason in decision["reasons"])
    assert decision["expected"] >= 8
    advance(sandbox, 60)
    step()
    advance(sandbox, 10)
    assert set(launched) & {one["InstanceId"] for one in group_of(sandbox)["Instances"]}
    for _each in range(6):
        assert serving(sandbox) >= 8, "nothing was lost: what replaces them served before they went"
        advance(sandbox, 30)
    settle(sandbox, step)
    assert orphans(sandbox) == set() and serving(sandbox) >= 8


def test_the_notice_is_seen_without_an_event(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    victims = list(spot_members(sandbox))[:1]
    sandbox.post("/sandbox/interrupt", instance_ids=victims)
    (decision,) = step()["decisions"]
    assert any(victims[0] in reason for reason in decision["reasons"]) and decision["launched"]


def test_a_rebalance_recommendation_moves_nothing(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    before = set(spot_members(sandbox))
    sandbox.post("/sandbox/rebalance", instance_ids=sorted(before))
    advance(sandbox, 60)
    result = step(rebalances=sorted(before))
    assert not any(one["ended"] for one in result["decisions"]) and before <= set(spot_members(sandbox))
    item = sandbox.client("dynamodb").get_item(TableName="spot-platform-sandbox", Key={"id": {"S": "sandbox-web"}})["Item"]
    assert set(json.loads(item["memory"]["S"])["warned"]) == before, "they count towards the risk of their pools, once"


def test_through_a_drought_and_back(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    dry(sandbox)
    assert figures(sandbox)["spot"] == 0 and figures(sandbox)["on_demand"] == 2

    shown = step(check=True)
    assert shown["changed"] and figures(sandbox)["on_demand"] == 2 and shown["diff"]["after"].keys() == {"sandbox-web@us-east-1"}

    covered = step()
    (decision,) = covered["decisions"]
    assert (decision["kind"], decision["fallback"], decision["after"]["on_demand_base"]) == ("fallback", 6, 8)
    assert any("InsufficientInstanceCapacity" in reason for reason in decision["reasons"])
    (event,) = covered["activity"]
    assert (event["kind"], event["app"], event["region"], event["changed"]) == ("capacity.fallback", "web", REGION, True)
    assert event["summary"] == "On-Demand stands in for 6 vcpus of Spot"
    advance(sandbox, 60)
    assert figures(sandbox) == {"desired": 8, "base": 8, "spot": 0, "on_demand": 8}

    again = step()
    assert not again["changed"] and again["decisions"][0]["kind"] == "waiting" and figures(sandbox)["on_demand"] == 8

    sandbox.post("/sandbox/capacity", region=REGION, room=None)
    advance(sandbox, 300)
    kinds = []
    for _step in range(12):
        kinds.append(step()["decisions"][0]["kind"])
        for _each in range(6):
            advance(sandbox, 10)
            assert serving(sandbox) >= 8, "going back must not take serving capacity away"
    assert "returned" in kinds and kinds[-1] == "steady"
    now = figures(sandbox)
    assert now["on_demand"] == now["base"] == 2 and now["spot"] >= 6 and orphans(sandbox) == set()


def test_pools_that_keep_what_they_gave_and_give_no_more_are_not_relied_on(sandbox, fresh, step):
    """Spot runs on in some pools, none has room for more, and one is lost: On-Demand comes in the same step."""
    make(sandbox, **{"spot.platform/max-zone-share": "0.5"})
    settle(sandbox, step)
    sandbox.post("/sandbox/capacity", region=REGION, room=0, interrupt=False)
    kept, *lost = sorted(set(spot_members(sandbox).values()))
    assert lost, "the share of a zone spreads them"
    for zone, kind in lost:
        sandbox.post("/sandbox/capacity", region=REGION, zone=zone, instance_type=kind, room=0)
    advance(sandbox, 200)
    assert set(spot_members(sandbox).values()) == {kept}
    (decision,) = step()["decisions"]
    assert decision["kind"] == "fallback" and decision["expected"] >= 8
    advance(sandbox, 60)
    assert serving(sandbox) >= 8 and set(spot_members(sandbox).values()) == {kept}


def test_a_group_that_fell_below_its_minimum_is_filled_again(sandbox, fresh, step):
    name = make(sandbox, **{"spot.platform/min": "8"})
    sandbox.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=name, MinSize=8)
    settle(sandbox, step)
    dry(sandbox)
    assert not step().get("failed")
    advance(sandbox, 60)
    assert serving(sandbox) >= 8
    settle(sandbox, step)
    assert figures(sandbox)["on_demand"] == figures(sandbox)["desired"] == 8 and orphans(sandbox) == set()


def test_without_fallback_nothing_stands_in(sandbox, fresh, step):
    make(sandbox, **{"spot.platform/fallback": "none"})
    dry(sandbox)
    result = step()
    assert figures(sandbox)["on_demand"] == 2
    assert any("fallback: none" in reason for reason in result["decisions"][0]["reasons"])
    assert group_of(sandbox)["DesiredCapacity"] == 8, "the group goes on asking for Spot by itself"


def test_a_pool_that_is_lost_is_replaced_by_others(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    zone, kind = next(iter(spot_members(sandbox).values()))
    sandbox.post("/sandbox/capacity", region=REGION, zone=zone, instance_type=kind, room=0)
    advance(sandbox, 200)
    settle(sandbox, step)
    now = figures(sandbox)
    assert now["spot"] >= 6 and now["on_demand"] == 2 and (zone, kind) not in spot_members(sandbox).values()


def test_the_target_follows_the_demand(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    metric = {
        "name": "custom",
        "kind": "load",
        "target": 100,
        "namespace": "Shop",
        "metric": "Orders",
        "dimensions": {"App": "$app"},
    }
    scaling = [{"app": "web", "metrics": [metric], "stabilization_minutes": 5}]

    def report(value):
        epoch = sandbox.get("/sandbox/clock")["epoch"]
        data = [
            {"MetricName": "Orders", "Dimensions": [{"Name": "App", "Value": "web"}], "Timestamp": epoch - age, "Value": value}
            for age in range(60, 900, 60)
        ]
        sandbox.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=data)

    report(1350)
    (up,) = step(scaling=scaling)["decisions"]
    assert (up["kind"], up["target"]) == ("scaled", 14) and any("Orders" in reason for reason in up["reasons"])
    tags = {one["Key"]: one["Value"] for one in group_of(sandbox)["Tags"]}
    assert tags["spot.platform/target"] == "14"
    advance(sandbox, 120)
    assert serving(sandbox) >= 14
    advance(sandbox, 1800)
    report(500)
    targets = []
    for _each in range(6):
        targets.append(step(scaling=scaling)["decisions"][0]["target"])
        advance(sandbox, 60)
    assert targets[-1] == 5 and sorted(targets, reverse=True) == targets
    for _each in range(4):
        step(scaling=scaling)
        advance(sandbox, 60)
    assert 5 <= serving(sandbox) < 9


@pytest.mark.parametrize("desired, base", [(8, 5), (14, 2), (5, 2)])
def test_figures_that_someone_changed_are_set_right(sandbox, fresh, step, desired, base):
    name = make(sandbox)
    settle(sandbox, step)
    policy = group_of(sandbox)["MixedInstancesPolicy"]
    policy["InstancesDistribution"]["OnDemandBaseCapacity"] = base
    policy["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
    sandbox.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=name, DesiredCapacity=desired, MixedInstancesPolicy=policy
    )
    advance(sandbox, 60)
    settle(sandbox, step)
    now = figures(sandbox)
    assert now["on_demand"] == now["base"] == 2 and now["desired"] == serving(sandbox) >= 8
