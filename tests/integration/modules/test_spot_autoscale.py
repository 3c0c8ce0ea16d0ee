# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_autoscale against the sandbox: through a drought and back, checked, repeated, throttled, denied."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import figures, make

REGION = "us-east-1"
ALL = {"regions": [REGION]}


def advance(sandbox, seconds):
    sandbox.post("/sandbox/clock", advance=seconds)


def dry(sandbox, region=REGION):
    """No pool of the region has room for a Spot Instance; what runs is interrupted and gone."""
    sandbox.post("/sandbox/capacity", region=region, room=0)
    advance(sandbox, 200)


def calls(sandbox, service="autoscaling"):
    return sandbox.get("/sandbox/calls")["services"].get(service, {})


def test_the_sandbox_tells_its_own_time(sandbox, fresh):
    """The step compares AWS's times with AWS's clock, the Date of the answer."""
    advance(sandbox, 5000)
    answer = sandbox.client("autoscaling").describe_auto_scaling_groups()
    told = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert abs((told - datetime.fromisoformat(sandbox.get("/sandbox/health")["time"])).total_seconds()) < 60


def test_a_group_that_is_well_is_left_alone(sandbox, fresh, run_module):
    make(sandbox)
    assert figures(sandbox) == {"desired": 8, "base": 2, "spot": 6, "on_demand": 2}
    result = run_module("spot_autoscale", ALL)
    assert not result["changed"] and result["activity"] == []
    assert [(one["kind"], one["serving"]) for one in result["decisions"]] == [("steady", 8)]


def test_through_a_drought_and_back(sandbox, fresh, run_module):
    make(sandbox)
    dry(sandbox)
    assert figures(sandbox) == {"desired": 8, "base": 2, "spot": 0, "on_demand": 2}

    shown = run_module("spot_autoscale", ALL, check=True, diff=True)
    assert shown["changed"] and figures(sandbox)["desired"] == 8
    assert shown["diff"]["after"] == {"sandbox-web@us-east-1": {"desired": 14, "on_demand_base": 8}}

    covered = run_module("spot_autoscale", ALL)
    (decision,) = covered["decisions"]
    assert (decision["kind"], decision["desired"], decision["on_demand_base"]) == ("fallback", 14, 8)
    assert any("Spot launch failed" in reason for reason in decision["reasons"])
    (event,) = covered["activity"]
    assert (event["kind"], event["app"], event["region"], event["changed"]) == (
        "capacity.fallback",
        "web",
        REGION,
        True,
    )
    advance(sandbox, 120)
    assert figures(sandbox) == {"desired": 14, "base": 8, "spot": 0, "on_demand": 8}

    again = run_module("spot_autoscale", ALL)
    assert not again["changed"] and again["decisions"][0]["kind"] == "waiting"

    sandbox.post("/sandbox/capacity", region=REGION, room=None)
    advance(sandbox, 200)
    assert figures(sandbox)["spot"] == 6
    advance(sandbox, 200)
    back = run_module("spot_autoscale", ALL)
    assert (back["decisions"][0]["kind"], back["decisions"][0]["desired"]) == ("returned", 8)
    assert back["activity"][0]["kind"] == "capacity.returned"
    for _step in range(20):
        advance(sandbox, 10)
        now = figures(sandbox)
        assert now["spot"] + now["on_demand"] >= 8, "going back must not take serving capacity away"
    assert now == {"desired": 8, "base": 2, "spot": 6, "on_demand": 2}
    assert not run_module("spot_autoscale", ALL)["changed"]


def test_spot_that_comes_back_is_trusted_only_when_it_has_been_stable(sandbox, fresh, run_module):
    make(sandbox)
    dry(sandbox)
    run_module("spot_autoscale", ALL)
    advance(sandbox, 60)
    sandbox.post("/sandbox/capacity", region=REGION, room=None)
    for _step in range(30):
        advance(sandbox, 10)
        if figures(sandbox)["spot"] == 6:
            break
    young = run_module("spot_autoscale", ALL)
    assert not young["changed"]
    assert young["decisions"][0]["kind"] == "waiting" and 5 <= young["ask_again_seconds"] <= 60


def test_a_pool_that_is_lost_but_replaced_by_spot_needs_no_on_demand(sandbox, fresh, run_module):
    make(sandbox)
    group = sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
    victim = next(one for one in group["Instances"] if is_spot(sandbox, one["InstanceId"]))
    pool = {"zone": victim["AvailabilityZone"], "instance_type": victim["InstanceType"]}
    sandbox.post("/sandbox/capacity", region=REGION, room=0, **pool)
    advance(sandbox, 300)
    result = run_module("spot_autoscale", ALL)
    assert not result["changed"] and figures(sandbox) == {"desired": 8, "base": 2, "spot": 6, "on_demand": 2}


def is_spot(sandbox, instance):
    found = sandbox.client("ec2").describe_instances(InstanceIds=[instance])
    return found["Reservations"][0]["Instances"][0].get("InstanceLifecycle") == "spot"


@pytest.mark.parametrize("desired, base", [(8, 5), (14, 2), (5, 2)])
def test_figures_that_someone_left_half_done_are_set_right(sandbox, fresh, run_module, desired, base):
    name = make(sandbox)
    autoscaling = sandbox.client("autoscaling")
    group = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    policy = group["MixedInstancesPolicy"]
    policy["InstancesDistribution"]["OnDemandBaseCapacity"] = base
    policy["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
    autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=name, DesiredCapacity=desired, MixedInstancesPolicy=policy
    )
    advance(sandbox, 300)
    for _step in range(2):
        run_module("spot_autoscale", ALL)
        advance(sandbox, 300)
    assert figures(sandbox) == {"desired": 8, "base": 2, "spot": 6, "on_demand": 2}


def test_many_groups_and_one_that_fails(sandbox, fresh, run_module):
    make(sandbox)
    make(sandbox, app="worker", **{"spot.platform/target": "many"})
    dry(sandbox)
    result = run_module("spot_autoscale", ALL)
    assert result["failed"] and "1 of 2 failed" in result["msg"]
    assert result["errors"][0]["group"] == "sandbox-worker" and "'many'" in result["errors"][0]["message"]
    assert figures(sandbox)["desired"] == 14 and result["changed"]
    only = run_module("spot_autoscale", {**ALL, "apps": ["web"]})
    assert not only.get("failed") and [one["app"] for one in only["decisions"]] == ["web"]


def test_named_groups_in_two_regions_and_one_that_is_not_there(sandbox, fresh, run_module):
    make(sandbox)
    make(sandbox, region="eu-west-1")
    wanted = [{"name": "sandbox-web"}, {"name": "sandbox-web", "region": "eu-west-1"}, {"name": "sandbox-none"}]
    result = run_module("spot_autoscale", {"region": REGION, "groups": wanted})
    assert sorted(one["region"] for one in result["decisions"]) == ["eu-west-1", "us-east-1"]
    assert "the group sandbox-none is not there in us-east-1" in result["msg"]


def test_throttling_is_survived(sandbox, fresh, run_module):
    make(sandbox)
    dry(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"service": "autoscaling", "rate": 0.3, "kind": "throttle"}])
    result = run_module("spot_autoscale", ALL)
    assert result["changed"] and not result.get("failed")


def test_a_denied_action_is_named_and_nothing_is_changed(sandbox, fresh, run_module):
    make(sandbox)
    dry(sandbox)
    rule = {"service": "autoscaling", "operation": "UpdateAutoScalingGroup", "rate": 1, "kind": "denied"}
    sandbox.post("/sandbox/faults", rules=[rule])
    result = run_module("spot_autoscale", ALL)
    assert result["failed"] and "autoscaling:UpdateAutoScalingGroup" in result["msg"]
    assert figures(sandbox)["desired"] == 8


def test_the_calls_are_few_and_their_actions_documented(sandbox, fresh, run_module):
    make(sandbox)
    dry(sandbox)
    sandbox.post("/sandbox/calls/reset")
    run_module("spot_autoscale", ALL)
    assert sum(calls(sandbox).values()) == 3 and calls(sandbox)["UpdateAutoScalingGroup"] == 1
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
