# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_autoscale against the sandbox where something is amiss: two at once, killed, without its table, throttled, denied."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from ansible_collections.spot.platform.tests.integration.modules.groups import (
    REGION,
    TYPES,
    advance,
    dry,
    figures,
    group_of,
    make,
    orphans,
    settle,
    spot_members,
    writes,
)

IAM = {"elbv2": "elasticloadbalancing"}
"""Where IAM calls a service otherwise than boto3."""


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
    text = import_module(f"ansible_collections.spot.platform.plugins.modules.{module}").DOCUMENTATION
    documented = set(re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", text))
    made = {
        f"{IAM.get(service, service)}:{name}" for service, names in sandbox.get("/sandbox/calls")["services"].items() for name in names
    }
    assert made <= documented, made - documented
    return True


def test_a_stateful_group_whose_volumes_cannot_be_seen_is_left_alone_and_nothing_else_is(sandbox, fresh, step):
    make(sandbox)
    make(sandbox, "orders", target=3, base=0, weights=dict.fromkeys(TYPES, 1), **{"spot.platform/stays": "/srv/data", "spot.platform/unit": "instances"})
    sandbox.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "DescribeVolumes", "kind": "denied"}])
    result = step()
    assert result["failed"] and [(one["group"], "ec2:DescribeVolumes" in one["message"]) for one in result["errors"]] == [("sandbox-orders", True)]
    assert [one["group"] for one in result["decisions"]] == ["sandbox-web"]
    sandbox.post("/sandbox/faults", rules=[])
    assert not step().get("failed")
