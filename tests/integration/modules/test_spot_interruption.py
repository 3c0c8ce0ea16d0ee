# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_interruption against the sandbox: replaced, drained and let go, once, whatever goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.stepping import LEASE_SECONDS
from ansible_collections.spot.platform.tests.integration.conftest import ROOT
from ansible_collections.spot.platform.tests.integration.modules import fleets
from ansible_collections.spot.platform.tests.integration.modules.balanced import balance, calls, serving, targets
from ansible_collections.spot.platform.tests.integration.modules.groups import (
    REGION,
    advance,
    group_of,
    make,
    orphans,
    settle,
    spot_members,
    table,
    writes,
)
from ansible_collections.spot.platform.tests.integration.modules.test_spot_autoscale_trouble import documented_are_made

GONE = "i-0123456789abcdef0"


@pytest.fixture
def handle(run_module, tmp_path):
    """``handle(notices, **options)``: as the playbook does it, waiting for as little as the test needs."""

    def run(notices=(), check=False, **options):
        given = {"regions": [REGION], "environment": "sandbox", "drain_seconds": 0, "cache_dir": str(tmp_path)}
        return run_module("spot_interruption", {**given, "notices": list(notices), **options}, check=check, diff=True)

    return run


@pytest.fixture
def web(sandbox, fresh, step):
    """A group at rest behind a target group, whose ARN it is."""
    make(sandbox)
    arn = balance(sandbox)
    settle(sandbox, step)
    assert len(serving(sandbox, arn)) >= 4
    return arn


def noticed(sandbox, count=1):
    victims = sorted(spot_members(sandbox))[:count]
    sandbox.post("/sandbox/interrupt", instance_ids=victims)
    return victims


def launched(result):
    return [name for one in result["decisions"] for order in one["launched"] for name in order["instances"]]


def remembered(sandbox, key="sandbox-web"):
    found = sandbox.client("dynamodb").get_item(TableName="spot-platform-sandbox", Key={"id": {"S": key}})
    return json.loads(found["Item"]["memory"]["S"])


def test_it_is_shown_then_done_then_known_to_be_done(sandbox, web, handle, step):
    victims = noticed(sandbox, 2)
    sandbox.post("/sandbox/calls/reset")
    shown = handle(victims, check=True)
    assert shown["changed"] and {one["id"] for one in shown["instances"]} == set(victims)
    assert all(one["target_groups"] == [web] and one["drained"] is None for one in shown["instances"]), shown["instances"]
    assert shown["diff"]["before"][victims[0]]["target_groups"] == [web] and writes(sandbox) == {}
    assert "UpdateItem" not in calls(sandbox), "nothing is claimed"

    done = handle(victims)
    assert done["changed"] and launched(done) and not serving(sandbox, web) & set(victims)
    (event,) = [one for one in done["activity"] if one["kind"] == "interruption.handled"]
    assert event["resource"] == "sandbox-web" and event["after"]["ids"] == victims and event["changed"]
    assert "2 instances told to go by AWS: 2 taken out of their target groups" == event["summary"]

    sandbox.post("/sandbox/calls/reset")
    again = handle(victims)
    assert not again["changed"] and again["instances"] == [] and again["activity"] == [] and writes(sandbox) == {}
    assert [one["reason"] for one in again["skipped"]] == ["it was handled already"] * 2

    advance(sandbox, 60)
    settle(sandbox, step)
    assert orphans(sandbox) == set() and set(launched(done)) <= serving(sandbox, web)


def test_the_replacement_is_asked_for_before_the_instance_leaves_its_target_group(sandbox, web, handle):
    victims = noticed(sandbox)
    rule = {"service": "elbv2", "operation": "DeregisterTargets", "kind": "denied"}
    sandbox.post("/sandbox/faults", rules=[rule])
    failed = handle(victims)
    assert failed["failed"] and "elasticloadbalancing:DeregisterTargets" in failed["msg"] and launched(failed)
    (one,) = failed["instances"]
    assert one["failed"] and one["target_groups"] == []

    sandbox.post("/sandbox/faults", rules=[])
    again = handle(victims)
    assert again["changed"] and launched(again) == [] and not serving(sandbox, web) & set(victims)


def test_a_denied_launch_leaves_it_to_be_handled_again_but_drains_it(sandbox, web, handle):
    victims = noticed(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "CreateFleet", "kind": "denied"}])
    failed = handle(victims)
    assert failed["failed"] and "ec2:CreateFleet" in failed["msg"] and not serving(sandbox, web) & set(victims)
    sandbox.post("/sandbox/faults", rules=[])
    assert launched(handle(victims))


def test_gone_unknown_foreign_and_on_demand_instances_are_told_of(sandbox, web, handle):
    (victim,) = noticed(sandbox)
    ec2 = sandbox.client("ec2")
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    foreign = ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ended, other = sorted(spot_members(sandbox).keys() - {victim})[:2]
    ec2.terminate_instances(InstanceIds=[ended])
    ec2.create_tags(Resources=[other], Tags=[{"Key": "spot.platform/environment", "Value": "production"}])
    of_base = sorted({one["InstanceId"] for one in group_of(sandbox)["Instances"]} - spot_members(sandbox).keys() - {ended})[0]
    result = handle([victim, victim, GONE, "web-1", foreign, ended, other, of_base], rebalances=[victim])
    assert not result.get("failed") and [one["id"] for one in result["instances"]] == [victim]
    assert result["instances"][0]["told"] == "interruption"
    reasons = {one["id"]: one["reason"] for one in result["skipped"]}
    assert reasons == {
        GONE: f"EC2 does not know it in {REGION}: gone for long, or elsewhere",
        "web-1": "it is no instance id: one is like i-0123456789abcdef0",
        foreign: "it is not managed by spot.platform",
        ended: "it is already terminated",
        other: "it is of the environment production, not sandbox",
        of_base: "it is On-Demand, which AWS does not interrupt",
    }


@pytest.mark.parametrize("policy", ["ignore", "note", "replace"])
def test_a_rebalance_recommendation_is_a_hint_by_policy(sandbox, web, handle, step, policy):
    victim = sorted(spot_members(sandbox))[0]
    sandbox.post("/sandbox/rebalance", instance_ids=[victim])
    result = handle(rebalances=[victim], rebalance_policy=policy)
    assert victim in serving(sandbox, web), "it serves on"
    if policy == "ignore":
        assert result["instances"] == [] and "is ignore" in result["skipped"][0]["reason"] and not result["changed"]
        return
    assert victim in remembered(sandbox)["warned"]
    assert (result["changed"], bool(launched(result))) == (policy == "replace",) * 2
    assert result["activity"][0]["kind"] == ("rebalance.replaced" if policy == "replace" else "rebalance.noted")
    again = handle(rebalances=[victim], rebalance_policy=policy)
    assert [one["reason"] for one in again["skipped"]] == ["it was handled already"] and not again["changed"]
    if policy == "replace":
        ended = []
        for _minute in range(5):
            advance(sandbox, 60)
            ended += [name for one in step()["decisions"] for name in one["ended"]]
        assert victim in ended
    else:
        sandbox.post("/sandbox/interrupt", instance_ids=[victim])
        assert handle([victim])["changed"], "an interruption is not the same news"


def test_where_nothing_is_to_be_launched_the_pool_is_hot_all_the_same(sandbox, web, handle, step):
    victim, pool = sorted(spot_members(sandbox).items())[0]
    tag = {"ResourceId": "sandbox-web", "ResourceType": "auto-scaling-group", "PropagateAtLaunch": False}
    sandbox.client("autoscaling").create_or_update_tags(Tags=[tag | {"Key": "spot.platform/fallback", "Value": "none"}])
    sandbox.post("/sandbox/capacity", region=REGION, room=0, interrupt=False)
    sandbox.post("/sandbox/interrupt", instance_ids=[victim])
    result = handle([victim])
    assert launched(result) == [] and result["instances"][0]["target_groups"] == [web]
    assert victim in remembered(sandbox)["counted"] and remembered(sandbox)["pools"]["/".join(pool)][4] > 0.9


def without_base(sandbox, step):
    """A group of Spot alone behind a target group, and all of it told to go."""
    make(sandbox, base=0)
    arn = balance(sandbox)
    settle(sandbox, step)
    victims = noticed(sandbox, 99)
    assert set(victims) == serving(sandbox, arn) and set(targets(sandbox, arn).values()) == {"healthy"}
    return arn, victims


def test_the_last_healthy_targets_stay_until_draining_is_due(sandbox, fresh, handle, step):
    arn, victims = without_base(sandbox, step)
    for lifecycle in ("spot", "on_demand"):
        sandbox.post("/sandbox/capacity", region=REGION, lifecycle=lifecycle, room=0, interrupt=False)
    now = sandbox.get("/sandbox/clock")["time"]
    began = time.monotonic()
    result = handle(victims, drain_seconds=100, noticed_at=dict.fromkeys(victims, now))
    assert time.monotonic() - began > 13, "until the time of the drain and five seconds are left"
    assert all(one["held"] and one["target_groups"] == [arn] for one in result["instances"])
    assert launched(result) == [] and not serving(sandbox, arn) & set(victims)


def test_the_last_healthy_targets_leave_when_what_replaces_them_is_healthy(sandbox, fresh, handle, step):
    arn, victims = without_base(sandbox, step)
    sandbox.post("/sandbox/launches", pending_seconds=3)
    result = handle(victims, drain_seconds=40)
    sandbox.post("/sandbox/launches", pending_seconds=0)
    assert all(one["held"] and one["target_groups"] == [arn] for one in result["instances"])
    assert serving(sandbox, arn) and not serving(sandbox, arn) & set(victims)
    assert [one["changes"] for one in result["decisions"]] == [True, True], "a second step attached what ran"


@pytest.mark.parametrize("delay, seconds, drained", [(4, 110, True), (300, 2, False)])
def test_the_drain_is_waited_for_and_never_longer_than_is_said(sandbox, web, handle, delay, seconds, drained):
    wanted = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}]
    sandbox.client("elbv2").modify_target_group_attributes(TargetGroupArn=web, Attributes=wanted)
    (victim,) = noticed(sandbox)
    began = time.monotonic()
    result = handle([victim], drain_seconds=seconds)
    assert time.monotonic() - began < 100
    (one,) = result["instances"]
    assert one["drained"] is drained and (victim in targets(sandbox, web)) is not drained
    assert victim in spot_members(sandbox), "it is not ended while it drains"
    told = [one for one in result["activity"] if one["kind"] == "interruption.handled"][0]["reasons"]
    assert told == ([] if drained else [f"not drained in time: {victim}"])


def test_throttling_is_survived(sandbox, web, handle):
    victims = noticed(sandbox, 2)
    rules = [{"service": name, "rate": 0.3, "kind": "throttle"} for name in ("autoscaling", "ec2", "dynamodb", "elbv2")]
    sandbox.post("/sandbox/faults", rules=rules)
    result = handle(victims)
    sandbox.post("/sandbox/faults", rules=[])
    assert not result.get("failed"), result["msg"]
    assert launched(result) and not serving(sandbox, web) & set(victims)


def test_two_at_once_handle_it_once(sandbox, web, handle):
    victims = noticed(sandbox, 2)
    sandbox.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "CreateFleet", "kind": "latency", "seconds": 0.5}])
    sandbox.post("/sandbox/calls/reset")
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _number: handle(victims), range(2)))
    assert not any(one.get("failed") for one in results), results
    handled = [one["id"] for result in results for one in result["instances"]]
    assert sorted(handled) == victims, "each once, by one of them"
    assert calls(sandbox)["DeregisterTargets"] == 1
    assert sum(len(result["skipped"]) for result in results) == 2
    assert sum(len(launched(result)) for result in results) == len(set(launched(results[0]) + launched(results[1])))


def test_what_a_killed_run_left_is_taken_up(sandbox, web, handle, step, tmp_path):
    victims = noticed(sandbox, 2)
    rule = {"service": "elbv2", "operation": "DeregisterTargets", "kind": "latency", "seconds": 3}
    sandbox.post("/sandbox/faults", rules=[rule])
    sandbox.post("/sandbox/calls/reset")
    arguments = {"regions": [REGION], "notices": victims, "drain_seconds": 0, "cache_dir": str(tmp_path)}
    killed = subprocess.Popen(
        [sys.executable, "-m", "ansible_collections.spot.platform.plugins.modules.spot_interruption"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **sandbox.env, "PYTHONPATH": str(ROOT / ".collections")},
        text=True,
    )
    killed.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    killed.stdin.close()
    deadline = time.monotonic() + 60
    while not calls(sandbox).get("DescribeTargetHealth"):
        assert time.monotonic() < deadline, "it did not come so far"
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    sandbox.post("/sandbox/faults", rules=[])
    advance(sandbox, 31)
    result = handle(victims)
    assert not result.get("failed") and {one["id"] for one in result["instances"]} == set(victims)
    assert not serving(sandbox, web) & set(victims)
    advance(sandbox, LEASE_SECONDS)  # the killed run may have died in its step
    settle(sandbox, step)
    assert not orphans(sandbox)


def test_without_its_table_it_is_done_all_the_same(sandbox, web, handle):
    victims = noticed(sandbox)
    sandbox.client("dynamodb").delete_table(TableName="spot-platform-sandbox")
    result = handle(victims)
    assert not result.get("failed") and launched(result) and not serving(sandbox, web) & set(victims)
    assert any("another controller may handle the same" in note for note in result["notes"])


def test_a_terminating_hook_is_completed(sandbox, web, handle):
    autoscaling = sandbox.client("autoscaling")
    autoscaling.put_lifecycle_hook(
        AutoScalingGroupName="sandbox-web",
        LifecycleHookName="drain",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=600,
    )
    (victim,) = noticed(sandbox)
    autoscaling.terminate_instance_in_auto_scaling_group(InstanceId=victim, ShouldDecrementDesiredCapacity=False)
    (state,) = [one["LifecycleState"] for one in group_of(sandbox)["Instances"] if one["InstanceId"] == victim]
    assert state == "Terminating:Wait"
    assert handle([victim], check=True)["instances"][0]["hooks"] == ["drain"]
    result = handle([victim])
    assert result["instances"][0]["hooks"] == ["drain"], result
    assert victim not in {one["InstanceId"] for one in group_of(sandbox)["Instances"]}


def test_a_spot_fleet_and_several_regions_in_few_calls(sandbox, fresh, handle, step):
    for region in (REGION, "eu-west-1"):
        for app in ("web", "shop"):
            make(sandbox, app=app, region=region, target=20)
            balance(sandbox, f"sandbox-{app}", app, region)
    arn = balance(sandbox, "sandbox-web", "work")
    fleets.make(sandbox, "spot_fleet", target_groups=[arn])
    advance(sandbox, 120)
    spot = [{"Name": "instance-lifecycle", "Values": ["spot"]}, {"Name": "instance-state-name", "Values": ["running"]}]
    victims = []
    for region in (REGION, "eu-west-1"):
        pages = sandbox.client("ec2", region).get_paginator("describe_instances").paginate(Filters=spot)
        victims += [one["InstanceId"] for page in pages for part in page["Reservations"] for one in part["Instances"]]
    sandbox.post("/sandbox/interrupt", instance_ids=victims)
    sandbox.post("/sandbox/calls/reset")
    result = handle(victims, regions=[REGION, "eu-west-1"])
    assert not result.get("failed"), result["msg"]
    assert {one["id"] for one in result["instances"]} == set(victims) and len(victims) > 30
    assert all(one["target_groups"] for one in result["instances"])
    made = calls(sandbox)
    assert made["DeregisterTargets"] == 5 and made["DescribeTargetHealth"] < 20 and made["DescribeInstances"] < 20
    assert made["DescribeAutoScalingGroups"] < 20 and made["BatchGetItem"] < 20
    assert {one["region"] for one in result["activity"] if one["kind"] == "interruption.handled"} == {REGION, "eu-west-1"}


def test_a_region_that_cannot_be_read_does_not_keep_the_others(sandbox, web, handle):
    victims = noticed(sandbox)
    rule = {"service": "ec2", "operation": "DescribeInstances", "region": "eu-west-1", "kind": "denied"}
    sandbox.post("/sandbox/faults", rules=[rule])
    result = handle([*victims, GONE], regions=[REGION, "eu-west-1"])
    sandbox.post("/sandbox/faults", rules=[])
    assert result["failed"] and "eu-west-1" in result["msg"] and result["skipped"] == [], "who knows where it is"
    assert {one["id"] for one in result["instances"]} == set(victims) and not serving(sandbox, web) & set(victims)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"noticed_at": {GONE: "noon"}}, f"noticed_at of {GONE} is 'noon'"),
        ({"noticed_at": {GONE: "2026-01-31T12:00:00"}}, "write it as 2026-01-31T12:00:00Z"),
        ({"drain_seconds": -1}, "drain_seconds is -1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_touched(sandbox, fresh, handle, options, words):
    table(sandbox)
    sandbox.post("/sandbox/calls/reset")
    result = handle([GONE], **options)
    assert result["failed"] and words in result["msg"] and calls(sandbox) == {}


def test_the_actions_are_documented(sandbox, web, handle):
    victims = noticed(sandbox)
    sandbox.post("/sandbox/calls/reset")
    assert handle(victims)["changed"] and targets(sandbox, web) is not None
    assert documented_are_made("spot_interruption", sandbox)
