# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in the sandbox's Route 53 that follow the capacity of two regions' load balancers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import balancers as loads
from ansible_collections.spot.platform.plugins.module_utils.aws import route53
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import balancers
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.route53 import Change, Record, Target, follow

REGIONS = ("us-east-1", "eu-west-1")
NAME = "web.example.com"


class World:
    """A hosted zone, and a target group behind a load balancer in each region."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        env = sandbox.env
        keys = {"aws_access_key_id": env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}
        self.clients = Clients("us-east-1", sandbox.url, keys)
        self.zone = self.clients.get("route53").create_hosted_zone(Name="example.com", CallerReference="one")
        self.groups = {region: self.make(region) for region in REGIONS}
        self.balancers = {
            region: balancers(self.clients, region, [group])[group] for region, group in self.groups.items()
        }
        sandbox.post("/sandbox/calls/reset")

    def make(self, region: str) -> str:
        """A target group's ARN."""
        elbv2, ec2 = self.clients.get("elbv2", region), self.clients.get("ec2", region)
        subnets = ec2.describe_subnets()["Subnets"][:2]
        group = elbv2.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"])
        arn = group["TargetGroups"][0]["TargetGroupArn"]
        load = elbv2.create_load_balancer(Name="web", Subnets=[one["SubnetId"] for one in subnets])["LoadBalancers"][0]
        forward = [{"Type": "forward", "TargetGroupArn": arn}]
        elbv2.create_listener(LoadBalancerArn=load["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=forward)
        return arn

    def record(self, *serving: int | None, **more: Any) -> Record:
        targets = tuple(Target(region, has, self.balancers[region]) for region, has in zip(REGIONS, serving))
        given = {"zone": "example.com", "name": NAME, "policy": "weighted", "app": "web", "environment": "sandbox"}
        return Record(**{**given, "targets": targets, **more})

    def follow(self, *serving: int | None, act: bool = True, **more: Any) -> Change:
        (change,) = follow(self.clients, [self.record(*serving, **more)], act)
        return change

    def sets(self, kind: str = "A") -> list[dict[str, Any]]:
        found = self.sandbox.client("route53").list_resource_record_sets(HostedZoneId=self.zone["HostedZone"]["Id"])
        return [one for one in found["ResourceRecordSets"] if one["Type"] == kind]

    def weights(self) -> dict[str, int]:
        return {one["SetIdentifier"].rpartition("/")[2]: one["Weight"] for one in self.sets()}

    def calls(self, service: str = "route53") -> dict[str, int]:
        """The calls since they were last asked for."""
        calls = self.sandbox.get("/sandbox/calls")["services"].get(service, {})
        self.sandbox.post("/sandbox/calls/reset")
        return calls


@pytest.fixture
def world(fresh: Any) -> World:
    return World(fresh)


def simple(world: World, name: str = NAME) -> None:
    record = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    world.clients.get("route53").change_resource_record_sets(
        HostedZoneId=world.zone["HostedZone"]["Id"],
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
    )


def test_weights_follow_what_serves_to_nothing_and_back(world):
    assert world.follow(10, 10).changed
    assert world.calls() == {"ListHostedZonesByName": 1, "ListResourceRecordSets": 1, "ChangeResourceRecordSets": 1}
    assert world.weights() == {"us-east-1": 128, "eu-west-1": 127}
    target = world.sets()[0]["AliasTarget"]
    assert target["DNSName"] == f"{world.balancers['eu-west-1'].dns_name.lower()}." and target["EvaluateTargetHealth"]
    assert target["HostedZoneId"] == world.balancers["eu-west-1"].zone_id

    short = world.follow(15, 5)
    assert world.weights() == {"us-east-1": 191, "eu-west-1": 64}
    assert (short.before["us-east-1"]["weight"], short.after["us-east-1"]["weight"]) == (128, 191)
    world.follow(20, 0)
    assert world.weights() == {"us-east-1": 255, "eu-west-1": 0}
    world.follow(0, 0)
    assert world.weights() == {"us-east-1": 128, "eu-west-1": 127}
    world.follow(10, 10)
    assert world.weights() == {"us-east-1": 128, "eu-west-1": 127}


def test_the_second_run_writes_nothing(world):
    world.follow(10, 5)
    world.calls()
    change = world.follow(10, 5)
    assert not change.changed and change.before == change.after
    assert world.calls() == {"ListHostedZonesByName": 1, "ListResourceRecordSets": 1}
    assert not world.follow(104, 50).changed, "a change of a few percent is not worth one in DNS"


def test_check_mode_shows_what_would_be_done(world):
    change = world.follow(10, 5, act=False)
    assert change.changed and change.after["us-east-1"]["weight"] == 170
    assert world.sets() == [] and "ChangeResourceRecordSets" not in world.calls()


def test_a_record_of_somebody_else_is_refused_and_other_names_go_on(world):
    simple(world)
    before = world.sets()
    refused, good = follow(world.clients, [world.record(10, 5), world.record(1, 1, name="ok.example.com")], act=True)
    assert not refused.changed and "web.example.com. has a record of type A that is not ours" in refused.error
    assert good.changed and [one for one in world.sets() if one["Name"] == f"{NAME}."] == before


def test_latency_records_of_regions_that_serve_nothing_go_and_come_back(world):
    def regions() -> set[str]:
        return {one["Region"] for one in world.sets()}

    world.follow(10, 5, policy="latency")
    assert regions() == set(REGIONS)
    world.follow(10, 0, policy="latency")
    assert regions() == {"us-east-1"}
    assert not world.follow(0, 0, policy="latency").changed
    world.follow(10, 5, policy="latency")
    assert regions() == set(REGIONS)


def test_the_policy_is_changed_with_never_a_moment_without_records(world):
    world.follow(10, 5)
    world.calls()
    assert world.follow(10, 5, policy="latency").error is None
    assert world.calls()["ChangeResourceRecordSets"] == 1
    assert [sorted({"Region", "Weight"} & set(one)) for one in world.sets()] == [["Region"], ["Region"]]


def test_a_region_that_could_not_be_observed_keeps_its_record(world):
    world.follow(10, 5)
    lost = world.record(10, None)
    lost = replace(lost, targets=(lost.targets[0], Target("eu-west-1", None)))
    (change,) = follow(world.clients, [lost], act=True)
    assert not change.changed and world.weights() == {"us-east-1": 170, "eu-west-1": 85}


def test_offboarding_leaves_what_is_not_ours(world):
    simple(world, "other.example.com")
    world.follow(10, 5)
    world.follow(10, 5, name="second.example.com")
    change = world.follow()
    assert change.after == {} and len(change.before) == 2
    assert sorted(one["Name"] for one in world.sets()) == ["other.example.com.", *["second.example.com."] * 2]


def test_many_names_take_few_calls(world):
    wanted = [world.record(10, 5, name=f"app{number}.example.com") for number in range(200)]
    assert all(one.changed for one in follow(world.clients, wanted, act=True))
    assert world.calls() == {"ListHostedZonesByName": 1, "ListResourceRecordSets": 1, "ChangeResourceRecordSets": 1}
    assert not any(one.changed for one in follow(world.clients, wanted, act=True))
    assert world.calls() == {"ListHostedZonesByName": 1, "ListResourceRecordSets": 2}


def test_throttling_and_a_lost_answer_are_survived(world):
    rules = [
        {"service": "route53", "kind": "throttle", "rate": 1, "count": 2},
        {"service": "route53", "operation": "ChangeResourceRecordSets", "kind": "error", "count": 1},
    ]
    world.sandbox.post("/sandbox/faults", rules=rules)
    assert world.follow(10, 5).error is None
    assert world.weights() == {"us-east-1": 170, "eu-west-1": 85}


def test_a_denied_action_is_named_and_all_actions_are_documented(world):
    denied = {"service": "route53", "operation": "ChangeResourceRecordSets", "kind": "denied"}
    world.sandbox.post("/sandbox/faults", rules=[denied])
    change = world.follow(10, 5)
    assert "route53:ChangeResourceRecordSets" in change.error and not change.changed and world.sets() == []
    balancers(world.clients, "us-east-1", [world.groups["us-east-1"]])
    for module, service, prefix in ((route53, "route53", "route53"), (loads, "elbv2", "elasticloadbalancing")):
        documented = set(re.findall(rf"``{prefix}:([A-Za-z0-9]+)``", module.__doc__))
        assert set(world.sandbox.get("/sandbox/calls")["services"][service]) <= documented


def test_target_groups_lead_to_their_balancers_in_two_calls(world):
    group = world.groups["eu-west-1"]
    found = balancers(world.clients, "eu-west-1", [group])
    assert found[group].dns_name.endswith(".elb.amazonaws.com") and found[group].zone_id
    assert world.calls("elbv2") == {"DescribeTargetGroups": 1, "DescribeLoadBalancers": 1}
    gone = group.replace("web", "gone")
    assert balancers(world.clients, "eu-west-1", [group, gone]) == found
