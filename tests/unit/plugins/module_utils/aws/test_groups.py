# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of AWS, turned into `Group` and back into calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import fleets, groups
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import Group, Policy, changes
from botocore.stub import Stubber

GROUP = Group(
    launch_template="lt-1",
    launch_template_version="$Default",
    subnets=("subnet-a", "subnet-b"),
    overrides=(("m5.large", 2), ("c5.xlarge", 4)),
    desired=8,
    on_demand_base=2,
    policy=Policy(8, 2, 16, 2, "vcpus", "on_demand"),
    tags={"Name": "test-web", "spot.platform/managed-by": "spot.platform"},
    min_size=2,
    max_size=30,
    health_check_type="EC2",
    health_check_grace_period=0,
    target_group_arns=(),
)


def client(service: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name="us-east-1", **keys)


class Recorder:
    """A client that keeps the request of its last call, and whose meta data is a real client's."""

    def __init__(self, service: str) -> None:
        self.meta = client(service).meta
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda **request: self.requests.append((name, request)) or {}


def described(request: dict[str, Any]) -> dict[str, Any]:
    """A group as AWS describes what CreateAutoScalingGroup was given."""
    return {
        "AvailabilityZones": ["us-east-1a"],
        "DefaultCooldown": 300,
        "CreatedTime": "2026-01-31T00:00:00Z",
        **request,
    }


def test_what_is_created_reads_as_what_was_wanted() -> None:
    recorder = Recorder("autoscaling")
    groups.create(recorder, "test-web", GROUP)
    [(name, request)] = recorder.requests
    assert name == "create_auto_scaling_group"
    autoscaling = client("autoscaling")
    with Stubber(autoscaling) as stub:
        stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [described(request)]})
        assert groups.observe(autoscaling, ["test-web"]) == {"test-web": GROUP}


def test_names_are_asked_for_fifty_at_a_time() -> None:
    names = [f"web-{number:03}" for number in range(51)]
    autoscaling = client("autoscaling")
    with Stubber(autoscaling) as stub:
        for page in (names[:50], names[50:]):
            stub.add_response(
                "describe_auto_scaling_groups", {"AutoScalingGroups": []}, {"AutoScalingGroupNames": page}
            )
        assert groups.observe(autoscaling, names) == {}
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "changed, calls",
    [
        ({"desired": 9}, {"update_auto_scaling_group": {"DesiredCapacity"}}),
        ({"on_demand_base": 3}, {"update_auto_scaling_group": {"MixedInstancesPolicy"}}),
        ({"subnets": ("subnet-a",)}, {"update_auto_scaling_group": {"VPCZoneIdentifier"}}),
        ({"min_size": 0, "max_size": 5}, {"update_auto_scaling_group": {"MinSize", "MaxSize"}}),
        ({"target_group_arns": ("arn:a",)}, {"attach_load_balancer_target_groups": {"TargetGroupARNs"}}),
        ({"policy": Policy(9, 2, 16, 2, "vcpus", "on_demand")}, {"create_or_update_tags": {"Tags"}}),
        ({"tags": {**GROUP.tags, "team": "shop"}}, {"create_or_update_tags": {"Tags"}}),
    ],
)
def test_an_update_says_only_what_differs(changed: dict[str, Any], calls: dict[str, set[str]]) -> None:
    recorder = Recorder("autoscaling")
    wanted = replace(GROUP, **changed)
    groups.update(recorder, "test-web", wanted, GROUP, changes(wanted, GROUP).keys())
    assert {name: set(request) - {"AutoScalingGroupName"} for name, request in recorder.requests} == calls


def test_only_tags_that_differ_are_written() -> None:
    recorder = Recorder("autoscaling")
    wanted = replace(GROUP, policy=Policy(9, 2, 16, 2, "vcpus", "on_demand"))
    groups.update(recorder, "test-web", wanted, GROUP, ["policy"])
    [tag] = recorder.requests[0][1]["Tags"]
    assert (tag["Key"], tag["Value"], tag["PropagateAtLaunch"]) == ("spot.platform/target", "9", False)


def test_policy_of_tags() -> None:
    held = groups.all_tags(GROUP)
    assert groups.policy_of(held) == GROUP.policy
    assert groups.identity(held) == GROUP.tags
    assert groups.policy_of({**held, "spot.platform/target": "many"}) is None
    assert groups.policy_of({}) is None


FLEET = replace(
    GROUP,
    min_size=None,
    max_size=None,
    health_check_type=None,
    health_check_grace_period=None,
    target_group_arns=None,
    pools=(("c5.xlarge", "subnet-b"), ("m5.large", "subnet-a"), ("m5.large", "subnet-b")),
)


class FleetRecorder(Recorder):
    """With no fleets to describe."""

    def get_paginator(self, name: str) -> Any:
        return type("Paginator", (), {"paginate": staticmethod(lambda: [{"Fleets": []}])})


def fleet_request() -> dict[str, Any]:
    recorder = FleetRecorder("ec2")
    fleets.create(recorder, "test-web", FLEET)
    return recorder.requests[-1][1]


def test_a_fleet_reads_as_what_was_wanted() -> None:
    request = fleet_request()
    found = {
        "FleetId": "fleet-1",
        "FleetState": "active",
        "Tags": request["TagSpecifications"][0]["Tags"],
        **{key: value for key, value in request.items() if key not in ("ClientToken", "TagSpecifications")},
    }
    ec2 = client("ec2")
    deleted = {**found, "FleetId": "fleet-0", "FleetState": "deleted_terminating"}
    with Stubber(ec2) as stub:
        stub.add_response("describe_fleets", {"Fleets": [found, deleted, {**found, "FleetId": "fleet-2", "Tags": []}]})
        present = fleets.observe(ec2, ["test-web"])
    assert present == {"test-web": FLEET} and present["test-web"].id == "fleet-1"


def test_the_same_fleet_has_the_same_token() -> None:
    assert fleet_request()["ClientToken"] == fleet_request()["ClientToken"]


def test_what_a_fleet_cannot_change_is_said() -> None:
    with pytest.raises(AwsError, match="capacity_rebalance of the EC2 Fleet test-web .* cannot be changed"):
        fleets.update(Recorder("ec2"), "test-web", FLEET, replace(FLEET, id="fleet-1"), ["capacity_rebalance"])


def test_a_refused_deletion_is_an_error() -> None:
    ec2 = client("ec2")
    refused = [{"FleetId": "fleet-1", "Error": {"Code": "unexpectedError", "Message": "no"}}]
    with Stubber(ec2) as stub:
        stub.add_response("delete_fleets", {"UnsuccessfulFleetDeletions": refused})
        with pytest.raises(AwsError, match="cannot delete the EC2 Fleet fleet-1: unexpectedError: no"):
            fleets.delete(ec2, replace(FLEET, id="fleet-1"), 10)


class Pages:
    """A client whose paginators write down what they are asked, and find nothing."""

    def __init__(self) -> None:
        self.asked = []

    def get_paginator(self, _operation):
        return self

    def paginate(self, **request):
        self.asked.append(request)
        return []


def test_a_filter_takes_200_values_so_more_are_asked_for_in_parts():
    client = Pages()
    names = [f"web-{number:03}" for number in range(450)]
    assert groups.launch_templates(client, [*names, "lt-1"]) == {}
    assert [len(one["Filters"][0]["Values"]) for one in client.asked[1:]] == [200, 200, 50]
    assert client.asked[0] == {"LaunchTemplateIds": ["lt-1"]}
    client.asked.clear()
    assert groups.subnets(client, {f"subnet-{number}" for number in range(201)}) == {}
    assert [len(one["Filters"][0]["Values"]) for one in client.asked] == [200, 1]
    client.asked.clear()
    assert groups.subnets(client, ()) == {} and groups.launch_templates(client, ()) == {} and client.asked == []
