# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""instance_health against the sandbox: replaced within the budget, make before break, and not where all are unhealthy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.spot.platform.tests.integration.conftest import ROOT
from ansible_collections.spot.platform.tests.integration.modules import fleets
from ansible_collections.spot.platform.tests.integration.modules.balanced import balance, calls
from ansible_collections.spot.platform.tests.integration.modules.balanced import serving as in_service
from ansible_collections.spot.platform.tests.integration.modules.groups import (
    REGION,
    advance,
    figures,
    group_of,
    make,
    orphans,
    serving,
    settle,
    spot_members,
    table,
    writes,
)
from ansible_collections.spot.platform.tests.integration.modules.test_spot_autoscale_trouble import documented_are_made

GONE = "i-0123456789abcdef0"


@pytest.fixture
def check(run_module, tmp_path):
    """``check(**options)``: look at all groups of the region."""

    def run(dry=False, **options):
        given = {"regions": [REGION], "environment": "sandbox", "run_seconds": 10, "cache_dir": str(tmp_path), **options}
        return run_module("instance_health", given, check=dry, diff=True)

    return run


@pytest.fixture
def web(sandbox, fresh, step):
    """A group at rest behind a target group, whose ARN it is."""
    make(sandbox, target=16)
    arn = balance(sandbox)
    settle(sandbox, step)
    advance(sandbox, 900)
    return arn


def launched(result):
    return [name for one in result["decisions"] for order in one["launched"] for name in order["instances"]]


def events(result):
    return {one["kind"]: one for one in result["activity"] if one["kind"].startswith("health.")}


def step_until_gone(sandbox, step, bad, least):
    """Steps of a minute each; returns what of ``bad`` was ended. Never less than ``least`` serves."""
    ended = []
    for _minute in range(6):
        advance(sandbox, 60)
        assert serving(sandbox) >= least
        ended += [name for one in step()["decisions"] for name in one["ended"]]
    return sorted(set(ended) & set(bad))


def test_all_well_is_left_alone_and_costs_few_calls(sandbox, web, check):
    sandbox.post("/sandbox/calls/reset")
    result = check()
    assert not result.get("failed"), result["msg"]
    assert not result["changed"] and result["groups"] == [] and result["activity"] == [] and not result["alert"]
    assert writes(sandbox) == {} and sum(calls(sandbox).values()) < 15


def test_it_is_shown_then_done_then_known_to_be_on_its_way(sandbox, web, check, step):
    before = figures(sandbox)
    bad = sorted(spot_members(sandbox))[:2]
    shown = check(dry=True, unhealthy=bad)
    (group,) = shown["groups"]
    assert shown["changed"] and len(group["replaced"]) == 1 and launched(shown) and group["unhealthy"] == group["replaced"] + group["waiting"]
    assert figures(sandbox) == before

    done = check(unhealthy=bad)
    assert done["changed"] and done["groups"][0]["replaced"] == group["replaced"]
    event = events(done)["health.replaced"]
    assert event["resource"] == "sandbox-web" and event["changed"] and event["after"]["ids"] == group["replaced"]
    assert any("is named by an alert" in reason for reason in event["reasons"])
    assert set(bad) <= in_service(sandbox, web), "both serve on"

    again = check(unhealthy=bad)
    assert again["groups"][0]["replaced"] == [] and again["groups"][0]["waiting"] == group["waiting"]
    assert launched(again) == [] and set(events(again)) == {"health.waiting"}

    assert step_until_gone(sandbox, step, bad, 16) == group["replaced"]
    last = check(unhealthy=bad)
    assert last["groups"][0]["replaced"] == group["waiting"]
    assert [one["reason"] for one in last["skipped"]] == ["it is already terminated"]
    assert step_until_gone(sandbox, step, bad, 16) == group["waiting"] and orphans(sandbox) == set()


def test_an_unhealthy_target_is_replaced_after_its_grace(sandbox, web, check, step):
    victim = sorted(spot_members(sandbox))[0]
    sandbox.post("/sandbox/targets", target_group=web, ids=[victim], state="unhealthy")
    assert check(grace_seconds=10**6)["groups"] == [], "it is too young for that"
    result = check()
    assert result["groups"][0]["replaced"] == [victim] and not result["alert"]
    assert any("is unhealthy in its target group" in reason for reason in result["groups"][0]["reasons"])
    assert step_until_gone(sandbox, step, [victim], 16) == [victim]


def test_a_whole_target_group_that_is_unhealthy_is_left_alone(sandbox, web, check):
    sandbox.post("/sandbox/targets", target_group=web, state="unhealthy")
    sandbox.post("/sandbox/calls/reset")
    result = check()
    assert result["alert"] and result["groups"][0]["healthy"] == 0 and not result["changed"] and writes(sandbox) == {}
    sandbox.post("/sandbox/targets", target_group=web, state="healthy")
    assert not check()["alert"]


@pytest.mark.parametrize("which", ["system", "instance"])
def test_an_instance_that_fails_its_status_checks_is_replaced_after_its_grace(sandbox, web, check, step, which):
    victim = sorted(spot_members(sandbox))[0]
    sandbox.post("/sandbox/checks", instance_ids=[victim], **{which: "impaired"})
    assert not check()["changed"]
    advance(sandbox, 310)
    result = check()
    assert result["groups"][0]["replaced"] == [victim]
    assert any("fails EC2's status checks for 3" in reason for reason in result["groups"][0]["reasons"])
    assert step_until_gone(sandbox, step, [victim], 16) == [victim]


def test_a_whole_group_is_the_fault_of_the_application(sandbox, web, check):
    every = [one["InstanceId"] for one in group_of(sandbox)["Instances"]]
    sandbox.post("/sandbox/calls/reset")
    result = check(unhealthy=every)
    assert result["alert"] and not result["changed"] and result["groups"][0]["stopped"] and writes(sandbox) == {}
    event = events(result)["health.stopped"]
    assert not event["changed"] and f"{len(every)} instances are unhealthy at once" in event["summary"]
    assert not check(unhealthy=every[1:], dry=True)["alert"]
    assert check(unhealthy=every[1:], stop_share=0.5)["alert"]


def test_gone_unknown_and_foreign_instances_are_told_of(sandbox, web, check):
    ec2 = sandbox.client("ec2")
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    foreign = ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    result = check(unhealthy=[GONE, "web-1", foreign])
    assert not result.get("failed") and not result["changed"]
    assert {one["id"]: one["reason"] for one in result["skipped"]} == {
        GONE: f"EC2 does not know it in {REGION}: gone for long, or elsewhere",
        "web-1": "it is no instance id: one is like i-0123456789abcdef0",
        foreign: "it is not managed by spot.platform",
    }


@pytest.mark.parametrize("kind", ["ec2_fleet", "spot_fleet"])
def test_a_fleet_is_looked_after_too(sandbox, fresh, check, step, kind):
    fleets.make(sandbox, kind)
    table(sandbox)
    settle(sandbox, step)
    bad = sorted(one["InstanceId"] for one in fleets.members(sandbox, kind))[0]
    result = check(unhealthy=[bad])
    assert result["changed"] and result["groups"][0]["replaced"] == [bad]
    ended = []
    for _minute in range(5):
        advance(sandbox, 60)
        ended += [name for one in step()["decisions"] for name in one["ended"]]
    assert bad in ended and fleets.figures(sandbox, kind) == {"desired": 8, "base": 2, "spot": 6, "on_demand": 2}


def test_two_at_once_replace_it_once(sandbox, web, check):
    bad = sorted(spot_members(sandbox))[:1]
    sandbox.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "CreateFleet", "kind": "latency", "seconds": 0.5}])
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _number: check(unhealthy=bad), range(2)))
    sandbox.post("/sandbox/faults", rules=[])
    assert not any(one.get("failed") for one in results), [one.get("msg") for one in results]
    assert sum(len(launched(one)) for one in results) == 1


def test_throttling_is_survived(sandbox, web, check):
    bad = sorted(spot_members(sandbox))[:1]
    rules = [{"service": name, "rate": 0.3, "kind": "throttle"} for name in ("autoscaling", "ec2", "dynamodb", "elbv2")]
    sandbox.post("/sandbox/faults", rules=rules)
    result = check(unhealthy=bad)
    sandbox.post("/sandbox/faults", rules=[])
    assert not result.get("failed") and result["groups"][0]["replaced"] == bad, result.get("msg")


@pytest.mark.parametrize("service, operation", [("ec2", "DescribeInstanceStatus"), ("elbv2", "DescribeTargetHealth")])
def test_what_cannot_be_read_is_named_and_nothing_is_done_before_it_can(sandbox, web, check, service, operation):
    bad = sorted(spot_members(sandbox))[:1]
    sandbox.post("/sandbox/faults", rules=[{"service": service, "operation": operation, "kind": "denied"}])
    sandbox.post("/sandbox/calls/reset")
    result = check(unhealthy=bad)
    assert result["failed"] and operation in result["msg"] and result["groups"] == [] and writes(sandbox) == {}
    sandbox.post("/sandbox/faults", rules=[])
    assert check(unhealthy=bad)["changed"]


def test_a_denied_launch_is_named_and_made_up_for_by_the_next_step(sandbox, web, check, step):
    bad = sorted(spot_members(sandbox))[:1]
    sandbox.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "CreateFleet", "kind": "denied"}])
    result = check(unhealthy=bad)
    sandbox.post("/sandbox/faults", rules=[])
    assert result["failed"] and "ec2:CreateFleet" in result["msg"] and result["groups"][0]["replaced"] == []
    assert set(events(result)) == {"health.failed"}
    assert launched(step()), "it is remembered who is to be replaced"
    assert step_until_gone(sandbox, step, bad, 16) == bad


def test_what_a_killed_run_left_is_completed(sandbox, web, check, step, tmp_path):
    bad = sorted(spot_members(sandbox))[:1]
    sandbox.post("/sandbox/faults", rules=[{"service": "autoscaling", "operation": "AttachInstances", "kind": "latency", "seconds": 3}])
    sandbox.post("/sandbox/calls/reset")
    arguments = {"regions": [REGION], "unhealthy": bad, "cache_dir": str(tmp_path)}
    killed = subprocess.Popen(
        [sys.executable, "-m", "ansible_collections.spot.platform.plugins.modules.instance_health"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **sandbox.env, "PYTHONPATH": str(ROOT / ".collections")},
        text=True,
    )
    killed.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    killed.stdin.close()
    deadline = time.monotonic() + 60
    while not calls(sandbox).get("CreateFleet"):
        assert time.monotonic() < deadline, "it did not come so far"
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    sandbox.post("/sandbox/faults", rules=[])
    advance(sandbox, 130)
    result = check(unhealthy=bad)
    assert not result.get("failed"), result["msg"]
    step_until_gone(sandbox, step, bad, 16)  # or it went before, if the group had heard of the replacement when the run was killed
    assert not set(bad) & set(spot_members(sandbox)) and orphans(sandbox) == set()
    assert serving(sandbox) == figures(sandbox)["desired"] == 16


@pytest.mark.parametrize(
    "options, words",
    [
        ({"max_replaced": 0}, "max_replaced is 0"),
        ({"max_percent": 120}, "max_percent is 120"),
        ({"stop_share": 0}, "stop_share is 0"),
    ],
)
def test_bad_input_is_refused_before_anything_is_touched(sandbox, fresh, check, options, words):
    sandbox.post("/sandbox/calls/reset")
    result = check(**options)
    assert result["failed"] and words in result["msg"] and calls(sandbox) == {}


def test_the_actions_are_documented(sandbox, web, check):
    sandbox.post("/sandbox/calls/reset")
    assert check(unhealthy=[*spot_members(sandbox)][:1])["changed"]
    assert documented_are_made("instance_health", sandbox)
