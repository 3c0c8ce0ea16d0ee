# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capacity_override against the sandbox: bounds that the next step keeps, and that end by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from ansible_collections.spot.platform.tests.integration.modules import fleets
from ansible_collections.spot.platform.tests.integration.modules.groups import (
    REGION,
    advance,
    figures,
    group_of,
    make,
    settle,
    table,
    writes,
)

TAG = "spot.platform/override"


@pytest.fixture(name="override")
def overridden(run_module, tmp_path):
    """``override(**options)``: of the group that `make` makes."""

    def override(check=False, **options):
        given = {"app": "web", "environment": "sandbox", "regions": [REGION], "cache_dir": str(tmp_path), **options}
        return run_module("capacity_override", given, check=check, diff=True)

    return override


def tags(sandbox):
    return {one["Key"]: one["Value"] for one in group_of(sandbox)["Tags"]}


def ahead(sandbox, **delta):
    return (datetime.fromisoformat(sandbox.get("/sandbox/health")["time"]) + timedelta(**delta)).isoformat(timespec="minutes")


def test_a_minimum_is_kept_for_its_hours_and_the_target_before_comes_back(sandbox, fresh, step, override):
    make(sandbox)
    settle(sandbox, step)
    planned = override(check=True, minimum=14, hours=2, by="alice", reason="the advert")
    assert planned["changed"] and TAG not in tags(sandbox)

    made = override(minimum=14, hours=2, by="alice", reason="the advert")
    assert made["changed"] and [(one["minimum"], one["by"], one["reason"]) for one in made["overrides"]] == [(14, "alice", "the advert")]
    (event,) = made["activity"]
    assert (event["kind"], event["app"], event["region"], event["resource"]) == ("capacity.overridden", "web", REGION, "sandbox-web")
    assert event["summary"].startswith("Temporarily at least 14 vcpus, until ") and event["summary"].endswith("(alice: the advert)")
    assert made["diff"]["before"] == {f"sandbox-web@{REGION}": None}
    assert made["diff"]["after"][f"sandbox-web@{REGION}"]["minimum"] == 14

    advance(sandbox, 300)
    sandbox.post("/sandbox/calls/reset")
    again = override(minimum=14, hours=2, by="bob", reason="the advert")
    assert not again["changed"] and again["activity"] == [] and writes(sandbox) == {}
    assert again["overrides"][0]["by"] == "alice"

    (decision,) = step()["decisions"]
    assert decision["target"] == 14 and decision["launched"]
    assert any("temporarily at least 14 vcpus" in reason for reason in decision["reasons"])
    settle(sandbox, step)
    assert figures(sandbox)["spot"] + figures(sandbox)["on_demand"] >= 14

    advance(sandbox, 7300)
    over = step()
    (decision,) = over["decisions"]
    assert (decision["target"], TAG in tags(sandbox)) == (8, False)
    assert any(reason.startswith("over: temporarily at least 14") for reason in decision["reasons"])
    settle(sandbox, step)
    assert not step()["changed"] and tags(sandbox)["spot.platform/target"] == "8"


def test_given_back_at_once_and_twice_is_no_change(sandbox, fresh, step, override):
    make(sandbox)
    override(minimum=12, hours=5)
    advance(sandbox, 60)
    step()
    assert tags(sandbox)["spot.platform/target"] == "12"
    made = override(minimum=16, hours=5)  # over the first one: what was before it comes back all the same
    assert made["changed"] and made["overrides"][0]["minimum"] == 16
    step()
    assert tags(sandbox)["spot.platform/target"] == "16"

    ended = override(state="absent")
    assert ended["changed"] and ended["overrides"][0]["until"] is None
    assert [event["kind"] for event in ended["activity"]] == ["capacity.restored"]
    assert not override(state="absent")["changed"]
    step()
    assert tags(sandbox)["spot.platform/target"] == "8" and TAG not in tags(sandbox)
    assert not override(state="absent")["changed"]


def test_a_maximum_and_an_on_demand_base(sandbox, fresh, step, override):
    make(sandbox)
    settle(sandbox, step)
    override(maximum=6, on_demand_base=6, hours=1)
    settle(sandbox, step)
    assert tags(sandbox)["spot.platform/target"] == "6"
    assert figures(sandbox)["on_demand"] >= 6 and figures(sandbox)["spot"] == 0
    advance(sandbox, 3700)
    settle(sandbox, step, 12)
    assert figures(sandbox)["on_demand"] == 2 and tags(sandbox)["spot.platform/target"] == "8"


def test_an_event_keeps_the_target_of_what_metrics_follow(sandbox, fresh, step, override):
    """A step on an event does not know the metrics, and must not take away what they asked for."""
    make(sandbox, target=16)
    override(minimum=10, hours=1, followed=True)
    advance(sandbox, 60)
    step()
    assert tags(sandbox)["spot.platform/target"] == "16"
    advance(sandbox, 3700)
    step()
    assert tags(sandbox)["spot.platform/target"] == "16" and TAG not in tags(sandbox)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"minimum": 21, "hours": 2}, "minimum is 21, but capacity.max of web in us-east-1 is 20 vcpus: ask for 20 at most, or raise"),
        ({"minimum": 1, "hours": 2}, "minimum is 1, but capacity.min of web in us-east-1 is 2 vcpus"),
        ({"on_demand_base": -1, "hours": 2}, "on_demand_base is -1: it must be 0 or more"),
        ({"minimum": 12, "maximum": 10, "hours": 2}, "minimum is 12, above maximum 10"),
        ({"minimum": 12, "hours": 169}, "hours is 169: it must be above 0 and up to 168; what is to last longer belongs in the manifest"),
        ({"minimum": 12, "hours": 0}, "hours is 0: it must be above 0"),
        ({"minimum": 12, "ends_at": "2020-01-01T00:00Z"}, "the end is 2020-01-01T00:00Z, which is past: it is 2"),
        ({"minimum": 12, "ends_at": "2999-01-01T00:00Z"}, "more than 168 hours ahead"),
        ({"minimum": 12, "ends_at": "2026-11-27 05:00"}, "names no time zone: write it as 2026-01-31T23:59Z"),
        ({"minimum": 12, "ends_at": "tomorrow"}, "the end is 'tomorrow', which is no time: write it as"),
        ({"minimum": 12}, "give hours, or until when"),
        ({"hours": 2}, "there is nothing to set: give minimum, maximum or on_demand_base"),
        ({"minimum": 12, "hours": 2, "reason": "why " * 80}, "reason has 319 characters, 1"),
        ({"minimum": 12, "hours": 2, "app": "nobody"}, "nobody has no group in us-east-1: run spot.platform.app_onboard"),
        ({"minimum": 12, "hours": 2, "regions": [REGION, "eu-west-1"]}, "web has no group in eu-west-1"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(sandbox, override, options, words):
    if not sandbox.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["sandbox-web"])["AutoScalingGroups"]:
        make(sandbox)
    told = override(**options)
    assert told.get("failed") and words in told["msg"], told
    assert TAG not in tags(sandbox)


def test_until_is_exact(sandbox, fresh, override):
    make(sandbox)
    until = ahead(sandbox, hours=3)
    assert override(minimum=12, ends_at=until)["changed"]
    assert not override(minimum=12, ends_at=until)["changed"]
    assert override(minimum=12, ends_at=ahead(sandbox, hours=2))["changed"]


def test_it_waits_for_whoever_acts_on_the_group(sandbox, fresh, override):
    make(sandbox)
    dynamodb = sandbox.client("dynamodb")
    now = datetime.fromisoformat(sandbox.get("/sandbox/health")["time"]).timestamp()
    dynamodb.put_item(
        TableName="spot-platform-sandbox",
        Item={"id": {"S": "sandbox-web"}, "version": {"N": "7"}, "holder": {"S": "another"}, "until": {"N": f"{now + 3600:.0f}"}},
    )
    told = override(minimum=12, hours=1, lease_seconds=0)
    assert told["failed"] and "another controller has acted on sandbox-web" in told["msg"] and TAG not in tags(sandbox)
    dynamodb.update_item(
        TableName="spot-platform-sandbox",
        Key={"id": {"S": "sandbox-web"}},
        UpdateExpression="SET #until = :past",
        ExpressionAttributeNames={"#until": "until"},
        ExpressionAttributeValues={":past": {"N": "0"}},
    )
    assert override(minimum=12, hours=1, lease_seconds=0)["changed"]
    item = dynamodb.get_item(TableName="spot-platform-sandbox", Key={"id": {"S": "sandbox-web"}})["Item"]
    assert "holder" not in item and item["version"]["N"] == "9"


def test_a_tag_that_somebody_spoilt_keeps_no_group_from_its_steps(sandbox, fresh, step, override):
    make(sandbox)
    spoilt = {"ResourceId": "sandbox-web", "ResourceType": "auto-scaling-group", "Key": TAG, "Value": "{12", "PropagateAtLaunch": False}
    sandbox.client("autoscaling").create_or_update_tags(Tags=[spoilt])
    assert "failed" not in step()
    assert override(minimum=12, hours=1)["changed"]
    step()
    assert tags(sandbox)["spot.platform/target"] == "12"


@pytest.mark.parametrize("kind", ["ec2_fleet", "spot_fleet"])
def test_a_fleet_has_them_too(sandbox, fresh, step, override, kind):
    fleet = fleets.make(sandbox, kind)
    table(sandbox)
    advance(sandbox, 120)

    def carried():
        found = sandbox.client("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [fleet]}])
        return {one["Key"]: one["Value"] for one in found["Tags"]}

    assert override(app="work", minimum=12, hours=1)["changed"]
    step()
    assert carried()["spot.platform/target"] == "12" and TAG in carried()
    advance(sandbox, 3700)
    step()
    assert carried()["spot.platform/target"] == "8" and TAG not in carried()
