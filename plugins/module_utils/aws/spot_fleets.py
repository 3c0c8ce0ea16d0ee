# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spot Fleets of type maintain: as they are in AWS, turned into `Group`, and a `Group` turned into calls.

A backend like ``fleets``, in the words of the older API. What a Spot Fleet has over an EC2 Fleet is that it registers its
instances in target groups by itself; what it asks for is a role that it launches by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.waiter import BaseWaiterFactory, custom_waiter_config
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import deregister
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.fleets import (
    FIXED,
    as_list,
    check_fixed,
    configurations,
    create_tags,
    tags_of,
    token_of,
)
from ansible_collections.spot.platform.plugins.module_utils.aws.groups import all_tags, identity, policy_of
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import describe_target_health
from ansible_collections.spot.platform.plugins.module_utils.aws.steered_fleets import describe_spot_fleet_instances
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import Group

SERVICE = "ec2"
GONE = ("cancelled", "cancelled_running", "cancelled_terminating", "failed")
ROLE = "aws-ec2-spot-fleet-tagging-role"
"""The role that AWS's console makes for Spot Fleets, with the managed policy AmazonEC2SpotFleetTaggingRole."""
STRATEGIES = {
    "price-capacity-optimized": "priceCapacityOptimized",
    "capacity-optimized": "capacityOptimized",
    "lowest-price": "lowestPrice",
    "diversified": "diversified",
}
"""The names of strategies of an EC2 Fleet, and of a Spot Fleet."""


class _Waiters(BaseWaiterFactory):
    @property
    def _waiter_model_data(self) -> dict[str, Any]:
        states = {"matcher": "pathAll", "argument": "SpotFleetRequestConfigs[].SpotFleetRequestState"}
        none_left = {"matcher": "path", "argument": "length(SpotFleetRequestConfigs) == `0`", "expected": True}
        return {
            "fleet_cancelled": {
                "operation": "DescribeSpotFleetRequests",
                "delay": 2,
                "maxAttempts": 300,
                "acceptors": [
                    {"state": "success", "expected": "cancelled", **states},
                    {"state": "success", **none_left},
                ],
            }
        }


def default_role(sts: Any) -> str:
    """The ARN of the role `ROLE` in the account. ``sts``: a client of STS."""
    _arn, partition, _service, _region, account, *_rest = get_caller_identity(sts).split(":")
    return f"arn:{partition}:iam::{account}:role/{ROLE}"


@Errors.common_error_handler("ask for the account")
def get_caller_identity(client: Any) -> str:
    """GetCallerIdentity: the caller's ARN."""
    return client.get_caller_identity()["Arn"]


def observe(client: Any, names: Collection[str]) -> dict[str, Group]:
    """The newest living fleet of each of ``names``, of those that we manage."""
    found: dict[str, Group] = {}
    for item in sorted(describe_spot_fleet_requests(client), key=lambda fleet: str(fleet.get("CreateTime"))):
        name = tags_of(item).get("Name")
        if name in names and item["SpotFleetRequestState"] not in GONE and tags.MANAGED_BY in tags_of(item):
            found[name] = _group(item)
    return found


@Errors.common_error_handler("describe the Spot Fleets")
def describe_spot_fleet_requests(client: Any) -> list[dict[str, Any]]:
    """DescribeSpotFleetRequests, all pages, also those cancelled in the last days; it filters by nothing."""
    pages = client.get_paginator("describe_spot_fleet_requests").paginate()
    return [item for page in pages for item in page["SpotFleetRequestConfigs"]]


def _group(item: Mapping[str, Any]) -> Group:
    given, found = item["SpotFleetRequestConfig"], tags_of(item)
    configuration = (given.get("LaunchTemplateConfigs") or [{}])[0]
    template = configuration.get("LaunchTemplateSpecification", {})
    overrides = configuration.get("Overrides", ())
    balanced = given.get("LoadBalancersConfig", {}).get("TargetGroupsConfig", {}).get("TargetGroups", ())
    rebalance = given.get("SpotMaintenanceStrategies", {}).get("CapacityRebalance", {})
    names = {ours: name for name, ours in STRATEGIES.items()}
    return Group(
        launch_template=template.get("LaunchTemplateId", ""),
        launch_template_version=template.get("Version", "$Default"),
        subnets=tuple(sorted({pool["SubnetId"] for pool in overrides if "SubnetId" in pool})),
        overrides=tuple({pool["InstanceType"]: int(pool.get("WeightedCapacity", 1)) for pool in overrides}.items()),
        desired=given["TargetCapacity"],
        on_demand_base=given.get("OnDemandTargetCapacity", 0),
        policy=policy_of(found),
        tags=identity(found),
        capacity_rebalance=bool(rebalance.get("ReplacementStrategy")),
        target_group_arns=tuple(sorted(one["Arn"] for one in balanced)),
        pools=tuple(sorted((pool["InstanceType"], pool.get("SubnetId", "")) for pool in overrides)),
        spot_allocation_strategy=names.get(given.get("AllocationStrategy", ""), ""),
        on_demand_allocation_strategy=names.get(given.get("OnDemandAllocationStrategy", ""), ""),
        fleet_role=given.get("IamFleetRole"),
        id=item["SpotFleetRequestId"],
        deleting=tags.DRAINING in found,
    )


def create(client: Any, name: str, wanted: Group) -> None:
    """Make the fleet, in one call; two runs at once make one, as in ``fleets``."""
    everything = describe_spot_fleet_requests(client)
    past = sorted(item["SpotFleetRequestId"] for item in everything if tags_of(item).get("Name") == name)
    request: dict[str, Any] = {
        "Type": "maintain",
        "IamFleetRole": wanted.fleet_role,
        "LaunchTemplateConfigs": configurations(wanted),
        "TargetCapacity": wanted.desired,
        "OnDemandTargetCapacity": wanted.on_demand_base,
        "AllocationStrategy": STRATEGIES[wanted.spot_allocation_strategy],
        "OnDemandAllocationStrategy": STRATEGIES[wanted.on_demand_allocation_strategy],
        "ExcessCapacityTerminationPolicy": "noTermination",
        "ReplaceUnhealthyInstances": True,
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": as_list(all_tags(wanted))}],
    }
    if wanted.target_group_arns:
        balanced = {"TargetGroups": [{"Arn": arn} for arn in wanted.target_group_arns]}
        request["LoadBalancersConfig"] = {"TargetGroupsConfig": balanced}
    if wanted.capacity_rebalance:
        request["SpotMaintenanceStrategies"] = {"CapacityRebalance": {"ReplacementStrategy": "launch"}}
    request_spot_fleet(client, {"ClientToken": token_of(name, past, request), **request})


def update(client: Any, name: str, wanted: Group, present: Group, changed: Collection[str]) -> None:
    """Change the fields ``changed``. Raises `AwsError` for one that AWS lets nobody change in a fleet."""
    fixed = (FIXED | {"fleet_role", "target_group_arns"}) & set(changed)
    check_fixed(f"Spot Fleet {name} ({present.id})", fixed)
    request: dict[str, Any] = {}
    if {"launch_template", "launch_template_version", "overrides", "pools"} & set(changed):
        request["LaunchTemplateConfigs"] = configurations(wanted)
    if {"desired", "on_demand_base"} & set(changed) or request:
        set_capacity(client, present.id, wanted.desired, wanted.on_demand_base, True, request)
    if {"tags", "policy"} & set(changed):
        create_tags(client, present.id, all_tags(wanted))


def set_capacity(
    client: Any, fleet_id: str, total: int, on_demand: int, keep: bool, more: Mapping[str, Any] | None = None
) -> None:
    """Set total and On-Demand part; ``keep``: what is above them stays. ``more`` goes with the same request."""
    modify_spot_fleet_request(
        client,
        {
            "SpotFleetRequestId": fleet_id,
            "ExcessCapacityTerminationPolicy": "noTermination" if keep else "default",
            "TargetCapacity": total,
            "OnDemandTargetCapacity": min(on_demand, total),
            **(more or {}),
        },
    )


def drain(clients: Clients, region: str, present: Group, timeout: int) -> None:
    """Take the fleet's instances out of their target groups, and wait at most ``timeout`` seconds until they are drained;
    a fleet that ends its instances does not wait for that. It is tagged first, for it never registers them again."""
    if not present.target_group_arns:
        return
    ec2 = clients.get(SERVICE, region)
    create_tags(ec2, present.id, {tags.DRAINING: "true"})
    ids = sorted(one["InstanceId"] for one in describe_spot_fleet_instances(ec2, present.id))
    client = clients.get("elbv2", region)
    for arn in present.target_group_arns:
        registered = describe_target_health(client, arn)
        for part in deregister(client, arn, [one for one in ids if one in registered]):
            wait_until_drained(client, arn, part, timeout)


def delete(client: Any, present: Group, timeout: int) -> None:
    """Cancel the fleet with its instances, and wait at most ``timeout`` seconds until it is gone."""
    cancel_spot_fleet_request(client, present.id)
    wait_until_cancelled(client, present.id, timeout)


@Errors.common_error_handler("wait until the instances are drained")
def wait_until_drained(client: Any, arn: str, ids: Sequence[str], timeout: int) -> None:
    """Polls DescribeTargetHealth."""
    waiter = client.get_waiter("target_deregistered")
    waiter.wait(
        TargetGroupArn=arn,
        Targets=[{"Id": one} for one in ids],
        WaiterConfig=custom_waiter_config(timeout, default_pause=5),
    )


@Errors.common_error_handler("request the Spot Fleet")
def request_spot_fleet(client: Any, request: Mapping[str, Any]) -> None:
    """RequestSpotFleet. Pools without room are no error: a maintained fleet goes on asking."""
    client.request_spot_fleet(SpotFleetRequestConfig=request)


@Errors.common_error_handler("modify the Spot Fleet")
def modify_spot_fleet_request(client: Any, request: Mapping[str, Any]) -> None:
    """ModifySpotFleetRequest."""
    client.modify_spot_fleet_request(**request)


@Errors.common_error_handler("cancel the Spot Fleet")
def cancel_spot_fleet_request(client: Any, fleet_id: str) -> None:
    """CancelSpotFleetRequests. Raises `AwsError` where AWS refuses in its answer."""
    answer = client.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
    for refused in answer.get("UnsuccessfulFleetRequests", ()):
        error = refused["Error"]
        raise AwsError(f"cannot cancel the Spot Fleet {fleet_id}: {error['Code']}: {error['Message']}", error["Code"])


@Errors.common_error_handler("wait until the Spot Fleet is cancelled")
def wait_until_cancelled(client: Any, fleet_id: str, timeout: int) -> None:
    """Polls DescribeSpotFleetRequests."""
    waiter = _Waiters().get_waiter(client, "fleet_cancelled")
    waiter.wait(SpotFleetRequestIds=[fleet_id], WaiterConfig=custom_waiter_config(timeout))
