# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_autoscale against the sandbox: notices, droughts and back, demand, two at once, killed, throttled, denied."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import figures, make

REGION = "us-east-1"
FIGHTING = {"AZRebalance", "AlarmNotification", "ScheduledActions"}


@pytest.fixture
def step(run_module, tmp_path):
    """``step(**options)``: one step of all groups of the region, as the scheduled job takes it."""

    def take(check=False, **options):
        named = {} if "groups" in options else {"regions": [REGION]}
        given = {"cache_dir": str(tmp_path), "run_seconds": 10, **named, **options}
        return run_module("spot_autoscale", given, check=check, diff=True)

    return take


def advance(sandbox, seconds):
    sandbox.post("/sandbox/clock", advance=seconds)


def settle(sandbox, step, steps=8):
    """Take a step a minute until one has nothing to do."""
    for _each in range(steps):
        result = step()
        advance(sandbox, 60)
        if not result["changed"]:
            return result
    raise AssertionError(f"still at work after {steps} steps: {result['decisions']}")


def dry(sandbox, region=REGION):
    """No pool of the region has room for a Spot Instance; what runs is interrupted and gone."""
    sandbox.post("/sandbox/capacity", region=region, room=0)
    advance(sandbox, 200)


def group_of(sandbox, name="sandbox-web"):
    return sandbox.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]


def serving(sandbox):
    now = figures(sandbox)
    return now["spot"] + now["on_demand"]


def spot_members(sandbox):
    """The group's Spot Instances that run, with their pool."""
    members = {one["InstanceId"] for one in group_of(sandbox)["Instances"]}
    found = sandbox.client("ec2").describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    return {
        one["InstanceId"]: (one["Placement"]["AvailabilityZone"], one["InstanceType"])
        for part in found["Reservations"]
        for one in part["Instances"]
        if one["InstanceId"] in members and one.get("InstanceLifecycle") == "spot"
    }


def orphans(sandbox):
    """What runs, carries our tag, and belongs to no group."""
    groups = sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    members = {one["InstanceId"] for group in groups for one in group["Instances"]}
    filters = [
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
        {"Name": "tag:spot.platform/managed-by", "Values": ["spot.platform"]},
    ]
    found = sandbox.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return {one["InstanceId"] for part in found for one in part["Instances"]} - members


def writes(sandbox):
    """The calls since the last reset that changed something, without what is remembered."""
    reads = ("Describe", "Get", "BatchGet", "List")
    return {
        name: count
        for service, names in sandbox.get("/sandbox/calls")["services"].items()
        for name, count in names.items()
        if not name.startswith(reads) and service != "dynamodb"
    }


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
    result = step()
    assert not any(one["ended"] for one in result["decisions"]) and before <= set(spot_members(sandbox))


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


def test_two_at_once_act_once(sandbox, fresh, step):
    """The second sees that the first acts, or has acted, since it looked."""
    make(sandbox)
    settle(sandbox, step)
    dry(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "CreateFleet", "kind": "latency", "seconds": 0.3}])
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _number: step(), range(2)))
    sandbox.post("/sandbox/faults", rules=[])
    assert not any(one.get("failed") for one in results), results
    assert sorted(one["changed"] for one in results) == [False, True]
    advance(sandbox, 60)
    assert figures(sandbox)["on_demand"] == 8 and orphans(sandbox) == set()


def test_what_a_killed_step_launched_is_attached_by_the_next(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    dry(sandbox)
    rule = {"service": "autoscaling", "operation": "AttachInstances", "kind": "denied"}
    sandbox.post("/sandbox/faults", rules=[rule])
    failed = step()
    assert failed["failed"] and "autoscaling:AttachInstances" in failed["msg"] and len(orphans(sandbox)) == 3
    sandbox.post("/sandbox/faults", rules=[])
    step()
    advance(sandbox, 60)
    assert orphans(sandbox) == set() and figures(sandbox)["on_demand"] == 8


def test_without_its_table_it_adds_and_ends_nothing(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    sandbox.client("dynamodb").delete_table(TableName="spot-platform-sandbox")
    dry(sandbox)
    step()
    advance(sandbox, 60)
    assert figures(sandbox)["on_demand"] == 8
    sandbox.post("/sandbox/capacity", region=REGION, room=None)
    advance(sandbox, 600)
    reasons = []
    for _each in range(4):
        (decision,) = step()["decisions"]
        assert decision["ended"] == []
        reasons += decision["reasons"]
        advance(sandbox, 60)
    assert any("nothing is ended: there is no table spot-platform-sandbox" in reason for reason in reasons)


def test_released_groups_are_as_they_were(sandbox, fresh, step):
    name = make(sandbox)
    sandbox.client("autoscaling").suspend_processes(AutoScalingGroupName=name, ScalingProcesses=["ScheduledActions"])
    settle(sandbox, step)
    before = set(spot_members(sandbox))
    assert step(state="released", check=True)["changed"]
    released = step(state="released")
    assert released["changed"] and released["activity"][0]["kind"] == "capacity.released"
    assert [one["ProcessName"] for one in group_of(sandbox)["SuspendedProcesses"]] == ["ScheduledActions"]
    assert set(spot_members(sandbox)) == before and not step(state="released")["changed"]


def test_many_groups_and_one_that_fails(sandbox, fresh, step):
    make(sandbox)
    make(sandbox, app="worker", **{"spot.platform/target": "many"})
    dry(sandbox)
    result = step()
    assert result["failed"] and "1 of 2 failed" in result["msg"]
    assert result["errors"][0]["group"] == "sandbox-worker" and "'many'" in result["errors"][0]["message"]
    advance(sandbox, 60)
    assert figures(sandbox)["on_demand"] == 8 and result["changed"]
    only = step(apps=["web"])
    assert not only.get("failed") and [one["app"] for one in only["decisions"]] == ["web"]


def test_named_groups_in_two_regions_and_one_that_is_not_there(sandbox, fresh, step):
    make(sandbox)
    make(sandbox, region="eu-west-1")
    wanted = [{"name": "sandbox-web"}, {"name": "sandbox-web", "region": "eu-west-1"}, {"name": "sandbox-none"}]
    result = step(region=REGION, groups=wanted)
    assert sorted(one["region"] for one in result["decisions"]) == ["eu-west-1", "us-east-1"]
    assert "the group sandbox-none is not there in us-east-1" in result["msg"]


def test_throttling_is_survived(sandbox, fresh, step):
    make(sandbox)
    dry(sandbox)
    rules = [{"service": name, "rate": 0.2, "kind": "throttle"} for name in ("autoscaling", "ec2", "dynamodb")]
    sandbox.post("/sandbox/faults", rules=rules)
    result = step()
    assert result["changed"] and not result.get("failed"), result.get("msg")


def test_a_denied_launch_is_named_and_the_group_goes_on_by_itself(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    dry(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "CreateFleet", "kind": "denied"}])
    result = step()
    assert result["failed"] and "ec2:CreateFleet" in result["msg"]
    assert figures(sandbox)["desired"] == 8


def test_bad_scaling_is_refused_before_anything_is_touched(sandbox, fresh, step):
    make(sandbox)
    sandbox.post("/sandbox/calls/reset")
    result = step(scaling=[{"app": "web", "metrics": [{"name": "cpu", "target": 120}]}])
    assert result["failed"] and "target is 120" in result["msg"] and writes(sandbox) == {}


def test_the_actions_are_documented(sandbox, fresh, step):
    make(sandbox)
    dry(sandbox)
    sandbox.post("/sandbox/calls/reset")
    step(placement_scores=True)
    assert documented_are_made("spot_autoscale", sandbox)


def documented_are_made(module, sandbox):
    """Whether every call that was made is among the actions that the module documents."""
    from importlib import import_module

    text = import_module(f"ansible_collections.spot.platform.plugins.modules.{module}").DOCUMENTATION
    documented = set(re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", text))
    made = {
        f"{service}:{name}" for service, names in sandbox.get("/sandbox/calls")["services"].items() for name in names
    }
    assert made <= documented, made - documented
    return True
