# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleets of a region with their instances, and what the history of one that is short of Spot says of its pools."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import steered_fleets
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import HEALTHY, UNHEALTHY, Membership
from ansible_collections.spot.platform.plugins.module_utils.aws.steered_fleets import Refusals, refusals_in
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import EC2_FLEET, SPOT_FLEET
from botocore.stub import Stubber

NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
POOLS = [(zone, kind) for zone in ("us-east-1a", "us-east-1b") for kind in ("m5.large", "m5a.large")]
AMI = "ami-0123456789abcdef0, Linux/UNIX"
NO_ROOM = "There is no Spot capacity available that matches your request."


def event(kind: str, what: str, text: str = "", age: float = 10) -> dict[str, Any]:
    information = {"EventSubType": what, "EventDescription": text}
    return {"EventType": kind, "EventInformation": information, "Timestamp": NOW - timedelta(seconds=age)}


CHANGED = event("fleetRequestChange", "modify_succeeded", age=30)


@pytest.mark.parametrize("kind", ["error", "service-error"])
def test_a_pool_is_known_by_its_type_and_zone(kind: str) -> None:
    events = [CHANGED, event(kind, "spotFleetRequestConfigurationInvalid", f"m5.large, {AMI}, us-east-1b: {NO_ROOM}")]
    assert refusals_in(events, POOLS, NOW) == Refusals(frozenset({("us-east-1b", "m5.large")}))


def test_a_type_without_a_zone_is_refused_in_all_of_them() -> None:
    events = [CHANGED, event("information", "launchSpecTemporarilyBlacklisted", f"m5a.large, {AMI}: {NO_ROOM}")]
    assert refusals_in(events, POOLS, NOW).pools == {("us-east-1a", "m5a.large"), ("us-east-1b", "m5a.large")}


@pytest.mark.parametrize("what", ["allLaunchSpecsTemporarilyBlacklisted", "spotInstanceCountLimitExceeded"])
def test_some_events_speak_of_all_pools(what: str) -> None:
    assert refusals_in([CHANGED, event("error", what)], POOLS, NOW).pools == set(POOLS)


def test_a_fleet_that_has_just_changed_may_still_launch() -> None:
    assert refusals_in([CHANGED], POOLS, NOW) == Refusals()
    assert refusals_in([event("instanceChange", "terminated", age=59)], POOLS, NOW) == Refusals()


@pytest.mark.parametrize("events", [[], [event("instance-change", "terminated", age=60)]])
def test_the_silence_of_a_fleet_is_a_refusal(events: list[dict[str, Any]]) -> None:
    assert refusals_in(events, POOLS, NOW).pools == set(POOLS)


def test_texts_that_name_no_pool_refuse_none() -> None:
    events = [CHANGED, event("error", "spotFleetRequestConfigurationInvalid", "Value (x) for parameter y is invalid.")]
    assert refusals_in(events, POOLS, NOW) == Refusals()


def test_what_keeps_the_whole_fleet_from_launching_is_told_once() -> None:
    events = [CHANGED, *2 * [event("error", "iamFleetRoleInvalid", "The role x cannot be assumed")]]
    assert refusals_in(events, POOLS, NOW).troubles == ("iamFleetRoleInvalid: The role x cannot be assumed",)


def spot_fleet(number: int, name: str, **changed: Any) -> dict[str, Any]:
    carried = {"Name": name, tags.MANAGED_BY: "spot.platform", tags.APP: name, tags.ENVIRONMENT: "production"}
    return {
        "SpotFleetRequestId": f"sfr-{number}",
        "SpotFleetRequestState": "active",
        "CreateTime": NOW + timedelta(minutes=number),
        "SpotFleetRequestConfig": {
            "Type": "maintain",
            "IamFleetRole": "role",
            "TargetCapacity": 4,
            "LoadBalancersConfig": {"TargetGroupsConfig": {"TargetGroups": [{"Arn": "arn:web"}]}},
            "LaunchTemplateConfigs": [{"Overrides": [{"SubnetId": "subnet-1"}, {"InstanceType": "m5.large"}]}],
        },
        "Tags": [{"Key": key, "Value": value} for key, value in carried.items()],
        **changed,
    }


def test_all_pages_of_spot_fleets_are_read_and_the_newest_living_one_of_a_name_counts() -> None:
    client = boto3.client("ec2", "us-east-1")
    first = [spot_fleet(1, "web"), spot_fleet(2, "web"), spot_fleet(3, "web", SpotFleetRequestState="cancelled")]
    second = [spot_fleet(4, "worker"), spot_fleet(5, "other", Tags=[])]
    with Stubber(client) as stub:
        stub.add_response("describe_spot_fleet_requests", {"SpotFleetRequestConfigs": first, "NextToken": "2"}, {})
        stub.add_response(
            "describe_spot_fleet_requests", {"SpotFleetRequestConfigs": second}, {"NextToken": "2"}
        )
        found = steered_fleets.fleets(client, SPOT_FLEET)
    assert [(fleet.name, fleet.id) for fleet in found] == [("web", "sfr-2"), ("worker", "sfr-4")]
    assert found[0].weights == {"m5.large": 1} and found[0].subnets == {"subnet-1"}


def instance(name: str, state: str = "running", **carried: str) -> dict[str, Any]:
    return {"instance_id": name, "state": {"name": state}, "tags": carried}


def test_the_members_of_each_fleet_have_its_word_for_their_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those that are pending, nor those of an instant fleet, which are a group's."""
    of_ec2, of_spot = ({steered_fleets.MEMBER_TAGS[kind]: f"id-{kind}"} for kind in (EC2_FLEET, SPOT_FLEET))
    found = [
        instance("i-1", **of_ec2),
        instance("i-2", **of_spot),
        instance("i-3", **of_spot),
        instance("i-4", "pending", **of_spot),
        instance("i-5", **{steered_fleets.MEMBER_TAGS[EC2_FLEET]: "fleet-instant", tags.GROUP: "web"}),
        instance("i-6"),
    ]
    monkeypatch.setattr(steered_fleets, "side_by_side", lambda work, items: [work(item) for item in items])
    client = boto3.client("ec2", "us-east-1")
    fleet = {**spot_fleet(1, "web"), "SpotFleetRequestId": "id-spot_fleet"}
    health = {"i-2": "healthy", "i-4": "healthy"}
    with Stubber(client) as stub:
        stub.add_response("describe_spot_fleet_requests", {"SpotFleetRequestConfigs": [fleet]})
        stub.add_response("describe_fleet_instances", {"ActiveInstances": [{"InstanceId": "i-1"}]}, {"FleetId": "id-ec2_fleet"})
        page = {"ActiveInstances": [{"InstanceId": key, "InstanceHealth": value} for key, value in health.items()]}
        asked = {"SpotFleetRequestId": "id-spot_fleet"}
        stub.add_response("describe_spot_fleet_instances", {**page, "NextToken": "2"}, asked)
        rest = {"ActiveInstances": [{"InstanceId": "i-3", "InstanceHealth": "unhealthy"}]}
        stub.add_response("describe_spot_fleet_instances", rest, {**asked, "NextToken": "2"})
        members = steered_fleets.memberships(client, found)
    assert members == {
        "i-1": Membership(None, HEALTHY, ()),
        "i-2": Membership(None, HEALTHY, ("arn:web",)),
        "i-3": Membership(None, UNHEALTHY, ("arn:web",)),
    }
