# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_autoscale against the sandbox: regions that help each other, names that follow, and what is paid for already."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import figures, make

EAST, WEST = "us-east-1", "eu-west-1"
NAME = "web.example.com"
SPREAD = {
    "app": "web",
    "regions": [EAST, WEST],
    "sharing": {"max_extra": 0.5, "after_seconds": 50, "stable_seconds": 60},
    "dns": {"zone": "example.com", "name": NAME},
}


@pytest.fixture
def step(run_module, tmp_path):
    """``step(**options)``: one step of all groups of both regions, as the scheduled job takes it."""

    def take(check=False, **options):
        given = {"regions": [EAST, WEST], "environment": "sandbox", "spread": [SPREAD]}
        return run_module(
            "spot_autoscale", {"cache_dir": str(tmp_path), "run_seconds": 10, **given, **options}, check=check, diff=True
        )

    return take


@pytest.fixture
def web(sandbox, fresh):
    """The application in two regions, behind a load balancer in each, and a hosted zone."""
    sandbox.client("route53").create_hosted_zone(Name="example.com", CallerReference="one")
    for region in (EAST, WEST):
        make(sandbox, region=region)
        balance(sandbox, region)
    return sandbox


def balance(sandbox: Any, region: str) -> None:
    """Put the group behind a load balancer."""
    elbv2, ec2 = sandbox.client("elbv2", region), sandbox.client("ec2", region)
    subnets = ec2.describe_subnets()["Subnets"][:2]
    group = elbv2.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"])["TargetGroups"][0]
    load = elbv2.create_load_balancer(Name="web", Subnets=[one["SubnetId"] for one in subnets])["LoadBalancers"][0]
    elbv2.create_listener(
        LoadBalancerArn=load["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    sandbox.client("autoscaling", region).attach_load_balancer_target_groups(
        AutoScalingGroupName="sandbox-web", TargetGroupARNs=[group["TargetGroupArn"]]
    )


def minutes(sandbox, step, count, **options):
    """A step a minute; the last result."""
    for _each in range(count):
        result = step(**options)
        sandbox.post("/sandbox/clock", advance=60)
    return result


def sold_out(sandbox, region):
    """Neither Spot nor On-Demand is to be had in a region; what runs of Spot is taken away."""
    sandbox.post("/sandbox/capacity", region=region, room=0)
    sandbox.post("/sandbox/capacity", region=region, room=0, lifecycle="on_demand")
    sandbox.post("/sandbox/clock", advance=200)


def serving(sandbox, region):
    now = figures(sandbox, region=region)
    return now["spot"] + now["on_demand"]


def weights(sandbox):
    route53 = sandbox.client("route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    sets = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    return {one["SetIdentifier"].rpartition("/")[2]: one["Weight"] for one in sets if one["Type"] == "A"}


def by_region(result):
    return {one["region"]: one for one in result["decisions"]}


def test_a_region_that_runs_dry_is_helped_by_the_other_and_its_name_follows(web, step):
    minutes(web, step, 3)
    assert serving(web, EAST) >= 8 and serving(web, WEST) >= 8
    assert abs(weights(web)[EAST] - weights(web)[WEST]) <= 30, "both serve alike"

    sold_out(web, EAST)
    alone = step()
    assert by_region(alone)[WEST]["target"] == 8, "a shortage that is young moves nothing"
    web.post("/sandbox/clock", advance=60)
    told = by_region(step())
    assert (told[EAST]["target"], told[WEST]["target"], told[WEST]["lent"]) == (8, 12, 4)
    assert any("carries 4 vcpus for us-east-1" in reason for reason in told[WEST]["reasons"])
    web.post("/sandbox/clock", advance=60)
    minutes(web, step, 2)
    assert serving(web, WEST) >= 12
    assert weights(web)[WEST] > 4 * weights(web)[EAST], "what serves is led to"

    web.post("/sandbox/capacity", region=EAST, room=None)
    web.post("/sandbox/capacity", region=EAST, room=None, lifecycle="on_demand")
    least = serving(web, EAST) + serving(web, WEST)
    for _minute in range(10):  # pools that were closed are asked a few at a time
        told = by_region(step())
        web.post("/sandbox/clock", advance=60)
        now = serving(web, EAST) + serving(web, WEST)
        assert now >= min(16, least), "the total is kept on the way back"
        least = max(least, now)
    assert (told[EAST]["target"], told[WEST]["target"], told[WEST]["lent"]) == (8, 8, 0)
    assert serving(web, EAST) >= 8 and 8 <= serving(web, WEST) <= 10
    assert abs(weights(web)[EAST] - weights(web)[WEST]) <= 30
    assert not step()["changed"]


def test_a_region_that_cannot_be_observed_is_carried_and_its_record_stays(web, step):
    minutes(web, step, 2)
    before = weights(web)
    web.post("/sandbox/faults", rules=[{"kind": "error", "service": "autoscaling", "region": WEST, "rate": 1.0}])
    blind = []
    for _minute in range(3):
        blind.append(step())
        web.post("/sandbox/clock", advance=60)
    assert all(one["failed"] and [error["region"] for error in one["errors"]] == [WEST] for one in blind)
    assert (by_region(blind[0])[EAST]["lent"], by_region(blind[-1])[EAST]["lent"]) == (0, 4)
    assert weights(web)[WEST] > 0 and set(weights(web)) == set(before)
    web.post("/sandbox/faults", rules=[])
    minutes(web, step, 5)
    assert by_region(step())[EAST]["lent"] == 0


def test_in_check_mode_the_name_and_the_tags_stay(web, step):
    result = step(check=True)
    assert [one["name"] for one in result["names"]] == [NAME] and result["names"][0]["changes"]
    assert weights(web) == {}
    assert step()["changed"] and set(weights(web)) == {EAST, WEST}


def test_a_name_in_a_zone_that_is_not_there_fails_the_task_and_keeps_no_group_from_its_step(web, step):
    spread = {**SPREAD, "dns": {"zone": "example.org", "name": "web.example.org"}}
    result = step(spread=[spread])
    assert result["failed"] and "there is no hosted zone example.org: create it" in result["msg"]
    assert {one["region"] for one in result["decisions"]} == {EAST, WEST}


def test_on_demand_that_is_paid_for_is_used_before_spot(sandbox, fresh, run_module, tmp_path):
    make(sandbox, base=0)
    options = {"regions": [EAST], "cache_dir": str(tmp_path), "run_seconds": 10}
    for _minute in range(3):
        run_module("spot_autoscale", options)
        sandbox.post("/sandbox/clock", advance=60)
    assert figures(sandbox)["on_demand"] == 0
    reserved = {"region": EAST, "instance_type": "m5a.large", "count": 2}
    sandbox.post("/sandbox/commitments", reserved_instances=[reserved])
    options["cache_dir"] = str(tmp_path / "later")  # the list of commitments is kept for ten minutes
    result = run_module("spot_autoscale", options)
    (decision,) = result["decisions"]
    assert any("4 vcpus of On-Demand are paid for" in reason for reason in decision["reasons"]), decision["reasons"]
    for _minute in range(5):
        sandbox.post("/sandbox/clock", advance=60)
        run_module("spot_autoscale", options)
    now = figures(sandbox)
    assert now["on_demand"] == 4 and 4 <= now["spot"] <= 6, now
    group = sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
    ids = [one["InstanceId"] for one in group["Instances"]]
    found = sandbox.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    kinds = [
        one["InstanceType"] for part in found for one in part["Instances"] if one.get("InstanceLifecycle") != "spot"
    ]
    assert kinds == ["m5a.large", "m5a.large"], "of the type that is paid for"
    last = run_module("spot_autoscale", options)
    assert not last["changed"], "and it stays so"
